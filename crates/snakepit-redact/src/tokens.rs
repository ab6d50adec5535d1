//! Tokens whose form identifies them.
//!
//! The forms follow the rules of gitleaks; minimum lengths are a little shorter than those that
//! issuers use today.

use std::ops::Range;
use std::sync::LazyLock;

use aho_corasick::AhoCorasick;
use regex::Regex;

/// The forms of tokens. After the prefix, no form may read a character more than once.
const FORMS: &[&str] = &[
    // OpenAI, Anthropic, OpenRouter
    "sk-[A-Za-z0-9_-]{8,}",
    // Stripe
    "(?:sk|rk)_(?:live|test|prod)_[A-Za-z0-9]{10,}",
    "whsec_[A-Za-z0-9+/]{20,}",
    // GitHub
    "gh[oprsu]_[A-Za-z0-9]{20,}",
    "github_pat_[A-Za-z0-9_]{20,}",
    // GitLab
    "gl(?:pat|dt|rt|ft|ptt|soat|imt|agent|cbt|oas|ffct|rtr)-[A-Za-z0-9_.-]{16,}",
    "GR1348941[A-Za-z0-9_-]{20,}",
    // Hugging Face
    "(?:hf|api_org)_[A-Za-z0-9]{20,}",
    // Slack
    "xox[abeoprs]-[A-Za-z0-9-]{10,}",
    "xapp-[0-9]-[A-Za-z0-9-]{10,}",
    "hooks\\.slack\\.com/(?:services|workflows|triggers)/[A-Za-z0-9+/]{20,}",
    // Discord, Telegram
    "discord(?:app)?\\.com/api/webhooks/[0-9]{6,20}/[A-Za-z0-9_-]{20,}",
    "[0-9]{5,16}:A[A-Za-z0-9_-]{30,}",
    // Twilio, Mailchimp
    "SK[0-9a-fA-F]{32}",
    "[a-f0-9]{32}-us[0-9]{1,2}",
    "xoxe\\.xox[bp]-[0-9]-[A-Za-z0-9]{20,}",
    "webhook\\.office\\.com/webhookb2/[A-Za-z0-9@/-]{80,}",
    // Azure AD
    "[A-Za-z0-9_~.]{3}[0-9]Q~[A-Za-z0-9_~.-]{31,34}",
    // AWS
    "(?:A3T[A-Z0-9]|AKIA|ASIA|ABIA|ACCA)[A-Z0-9]{16}",
    "ABSK[A-Za-z0-9+/]{60,}",
    "bedrock-api-key-[A-Za-z0-9+/=]{20,}",
    // Alibaba
    "LTAI[A-Za-z0-9]{20}",
    // Google
    "AIza[A-Za-z0-9_-]{30,}",
    "ya29\\.[A-Za-z0-9_-]{20,}",
    "GOCSPX-[A-Za-z0-9_-]{20,}",
    "1//0[A-Za-z0-9_-]{30,}",
    // Package registries
    "npm_[A-Za-z0-9]{30,}",
    "pypi-[A-Za-z0-9_-]{20,}",
    "rubygems_[a-f0-9]{32,}",
    "CLOJARS_[a-z0-9]{60}",
    "dckr_[op]at_[A-Za-z0-9_-]{20,}",
    "AKCp[A-Za-z0-9]{69}",
    "cmVmd[A-Za-z0-9]{59}",
    // Clouds and hosting
    "do[opr]_v1_[a-f0-9]{32,}",
    "dapi[a-f0-9]{32}",
    "tskey-[a-z]{2,12}-[A-Za-z0-9-]{10,}",
    "fm[12][ar]?_[A-Za-z0-9+/_-]{40,}",
    "pscale_(?:tkn|oauth|pw)_[A-Za-z0-9=._-]{30,}",
    "pul-[a-f0-9]{40}",
    "hv[bs]\\.[A-Za-z0-9_-]{24,}",
    "dp\\.pt\\.[A-Za-z0-9]{40,}",
    "v1\\.0-[a-f0-9]{24}-[a-f0-9]{100,}",
    "fo1_[A-Za-z0-9_-]{43}",
    "HRKU-AA[A-Za-z0-9_-]{58}",
    "[A-Za-z0-9]{14}\\.atlasv1\\.[A-Za-z0-9_=-]{60,70}",
    "sha256~[A-Za-z0-9_-]{43}",
    "nfp_[A-Za-z0-9]{36,}",
    "sb(?:p_|_secret_)[A-Za-z0-9_]{20,}",
    "dt0c01\\.[A-Za-z0-9]{24}\\.[A-Za-z0-9]{64}",
    // Password managers
    "A3-[A-Z0-9]{6}-[A-Z0-9]{6,11}-[A-Z0-9-]{11,30}",
    "ops_eyJ[A-Za-z0-9+/]{100,}",
    // Services
    "SG\\.[A-Za-z0-9_-]{16,}\\.[A-Za-z0-9_-]{16,}",
    "shp(?:at|ca|pa|ss)_[A-Fa-f0-9]{32}",
    "gl(?:sa|c)_[A-Za-z0-9+/_]{32,}",
    "lin_api_[A-Za-z0-9]{30,}",
    "ntn_[A-Za-z0-9]{40,}",
    "PMAK-[a-f0-9-]{40,}",
    "sntry[su]_[A-Za-z0-9+/=_]{40,}",
    "ATATT3[A-Za-z0-9_=-]{60,}",
    "xkeysib-[a-f0-9]{40,}",
    "NRAK-[A-Z0-9]{20,}",
    "(?:gsk|r8|pplx|xai)[_-][A-Za-z0-9]{30,}",
    "lsv2_(?:pt|sk)_[a-f0-9]{32}_[a-f0-9]{10}",
    "pcsk_[A-Za-z0-9_]{50,}",
    "tvly-[A-Za-z0-9-]{20,}",
    "jina_[A-Za-z0-9_-]{40,}",
    "figd_[A-Za-z0-9_-]{40,}",
    "p8e-[A-Za-z0-9]{32}",
    "duffel_(?:test|live)_[A-Za-z0-9_=-]{43}",
    "EZ[AT]K[A-Za-z0-9]{54}",
    "EAA[MC][A-Za-z0-9]{100,}",
    "FLWSECK_TEST-[A-Za-z0-9]{12,}",
    "fio-u-[A-Za-z0-9_=-]{64}",
    "eyJrIjoi[A-Za-z0-9]{70,}",
    "[A-Za-z0-9]{6}_[A-Za-z0-9]{29}_mmk",
    "API-[A-Z0-9]{26}",
    "pnu_[A-Za-z0-9]{36}",
    "rdme_[a-z0-9]{70}",
    "sm_[aps]at_[A-Za-z0-9]{16}",
    "shippo_(?:live|test)_[a-fA-F0-9]{40}",
    "sgp_[A-Za-z0-9_]{40,}",
    "sq0[a-z]{3}-[A-Za-z0-9_-]{22,60}",
    "nvapi-[A-Za-z0-9_-]{40,}",
    "AGE-SECRET-KEY-1[A-Z0-9]{50,}",
    // JSON Web Tokens, signed and encrypted
    "eyJ[A-Za-z0-9_-]{8,}\\.[A-Za-z0-9_-]*\\.[A-Za-z0-9_-]*(?:\\.[A-Za-z0-9_-]*){0,2}",
];

/// Fragments of tokens, at least one of which each token contains. Without one the forms are
/// neither compiled nor tried.
const NEEDLES: &[&str] = &[
    "sk-",
    "_live_",
    "_test_",
    "_prod_",
    "whsec_",
    "gho_",
    "ghp_",
    "ghr_",
    "ghs_",
    "ghu_",
    "github_pat_",
    "glpat-",
    "gldt-",
    "glrt-",
    "glft-",
    "glptt-",
    "glsoat-",
    "glimt-",
    "glagent-",
    "glcbt-",
    "gloas-",
    "glffct-",
    "glrtr-",
    "GR1348941",
    "hf_",
    "api_org_",
    "xox",
    "xapp-",
    "hooks.slack.com",
    "webhook.office.com",
    "api/webhooks",
    ":A",
    "SK",
    "-us",
    "Q~",
    "A3T",
    "AKIA",
    "ASIA",
    "ABIA",
    "ACCA",
    "ABSK",
    "bedrock-api-key-",
    "LTAI",
    "AIza",
    "ya29.",
    "GOCSPX-",
    "1//0",
    "npm_",
    "pypi-",
    "rubygems_",
    "CLOJARS_",
    "dckr_",
    "AKCp",
    "cmVmd",
    "_v1_",
    "dapi",
    "tskey-",
    "fm1",
    "fm2",
    "pscale_",
    "pul-",
    "hvb.",
    "hvs.",
    "dp.pt.",
    "v1.0-",
    "fo1_",
    "HRKU-AA",
    ".atlasv1.",
    "sha256~",
    "nfp_",
    "sbp_",
    "sb_secret_",
    "dt0c01.",
    "A3-",
    "ops_eyJ",
    "SG.",
    "shp",
    "glsa_",
    "glc_",
    "lin_api_",
    "ntn_",
    "PMAK-",
    "sntry",
    "ATATT3",
    "xkeysib-",
    "NRAK-",
    "gsk",
    "r8_",
    "r8-",
    "pplx",
    "xai",
    "nvapi-",
    "lsv2_",
    "pcsk_",
    "tvly-",
    "jina_",
    "figd_",
    "p8e-",
    "duffel_",
    "EZAK",
    "EZTK",
    "EAAM",
    "EAAC",
    "FLWSECK_TEST-",
    "fio-u-",
    "eyJ",
    "_mmk",
    "API-",
    "pnu_",
    "rdme_",
    "sm_",
    "shippo_",
    "sgp_",
    "sq0",
    "AGE-SECRET-KEY-1",
];

static FINDER: LazyLock<AhoCorasick> =
    LazyLock::new(|| AhoCorasick::new(NEEDLES).expect("a few words make a small automaton"));

/// Prefixes that ordinary names have, too: such a token contains a digit.
const WITH_DIGIT: [&str; 2] = ["sk-", "pypi-"];

static TOKENS: LazyLock<Regex> = LazyLock::new(|| {
    let forms = FORMS.join("|");
    let pattern = format!("(?:^|[^A-Za-z0-9]|/bot)(?P<value>{forms})");
    Regex::new(&pattern).expect("the tests compile every pattern")
});

/// Adds the spans of tokens.
pub(super) fn find(text: &str, spans: &mut Vec<Range<usize>>) {
    if !FINDER.is_match(text) {
        return;
    }
    for found in TOKENS.captures_iter(text) {
        let value = found.name("value").expect("it is in every match");
        let prefixed = WITH_DIGIT.iter().any(|it| value.as_str().starts_with(it));
        if !prefixed || value.as_str().bytes().any(|byte| byte.is_ascii_digit()) {
            spans.push(value.range());
        }
    }
}
