//! Tokens that show by their form what they are.
//!
//! The forms follow the rules of gitleaks; minimum lengths are a little shorter than what the
//! issuers use today.

use std::ops::Range;
use std::sync::LazyLock;

use regex::Regex;

/// One form each. No form may need more than one look at a character behind its prefix.
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
    // Hugging Face
    "(?:hf|api_org)_[A-Za-z0-9]{20,}",
    // Slack
    "xox[abeoprs]-[A-Za-z0-9-]{10,}",
    "xapp-[0-9]-[A-Za-z0-9-]{10,}",
    "hooks\\.slack\\.com/(?:services|workflows|triggers)/[A-Za-z0-9+/]{20,}",
    // Discord, Telegram
    "discord(?:app)?\\.com/api/webhooks/[0-9]{6,20}/[A-Za-z0-9_-]{20,}",
    "[0-9]{8,10}:AA[A-Za-z0-9_-]{30,}",
    // AWS
    "(?:A3T[A-Z0-9]|AKIA|ASIA|ABIA|ACCA)[A-Z0-9]{16}",
    "ABSK[A-Za-z0-9+/]{60,}",
    // Google
    "AIza[A-Za-z0-9_-]{30,}",
    "ya29\\.[A-Za-z0-9_-]{20,}",
    "GOCSPX-[A-Za-z0-9_-]{20,}",
    // Package registries
    "npm_[A-Za-z0-9]{30,}",
    "pypi-[A-Za-z0-9_-]{20,}",
    "rubygems_[a-f0-9]{32,}",
    // Clouds and hosting
    "do[opr]_v1_[a-f0-9]{32,}",
    "dapi[a-f0-9]{32}",
    "tskey-[a-z]{2,12}-[A-Za-z0-9-]{10,}",
    "fm[12][ar]?_[A-Za-z0-9+/_-]{40,}",
    "pscale_(?:tkn|oauth|pw)_[A-Za-z0-9=._-]{30,}",
    "pul-[a-f0-9]{40}",
    "hv[bs]\\.[A-Za-z0-9_-]{24,}",
    "dp\\.pt\\.[A-Za-z0-9]{40,}",
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
    "(?:gsk|r8|pplx)[_-][A-Za-z0-9]{30,}",
    "nvapi-[A-Za-z0-9_-]{40,}",
    "AGE-SECRET-KEY-1[A-Z0-9]{50,}",
    // JSON Web Tokens, signed and encrypted
    "eyJ[A-Za-z0-9_-]{8,}\\.[A-Za-z0-9_-]*\\.[A-Za-z0-9_-]*(?:\\.[A-Za-z0-9_-]*){0,2}",
];

/// Prefixes that begin ordinary names, too: such a token has a digit.
const WITH_DIGIT: [&str; 2] = ["sk-", "pypi-"];

static TOKENS: LazyLock<Regex> = LazyLock::new(|| {
    let forms = FORMS.join("|");
    let pattern = format!("(?:^|[^A-Za-z0-9])(?P<value>{forms})");
    Regex::new(&pattern).expect("the tests compile every pattern")
});

/// Adds the tokens of a text.
pub(super) fn find(text: &str, spans: &mut Vec<Range<usize>>) {
    for found in TOKENS.captures_iter(text) {
        let value = found.name("value").expect("it is in every match");
        let prefixed = WITH_DIGIT.iter().any(|it| value.as_str().starts_with(it));
        if !prefixed || value.as_str().bytes().any(|byte| byte.is_ascii_digit()) {
            spans.push(value.range());
        }
    }
}
