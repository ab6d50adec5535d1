//! Secrets in the lines that workers print.
//!
//! Best effort, with the shapes that `snakepit_bridge/_redact.py` knows: a line may hold others.
//! Every pattern takes time linear in the line: it comes from anywhere.

use std::borrow::Cow;
use std::sync::LazyLock;

use regex::{Captures, Regex};

/// Stands in place of a secret.
const MASK: &str = "<redacted>";

/// After a bare `token:` a shorter quoted word is prose, as in `unexpected token: '}'`.
const MIN_AFTER_COLON: usize = 6;

/// Names of what is secret, with words before them.
const KEY: &str = r"(?:[a-z0-9]{1,40}[_-]){0,4}(?:api[_-]?key|access[_-]?key|private[_-]?key|secret[_-]?key|secret|token|password|passwd|pwd|credentials?)";

/// Without one of these words no pattern can match.
static HINT: LazyLock<Regex> = LazyLock::new(|| {
    regex(
        r#"(?i)[\s"']-u|--user|key|secret|token|passw|pwd|credential|authorization|bearer|sk-|gh[oprsu]_|github_pat|glpat-|hf_|xox|a[ks]ia|eyj|://"#,
    )
});

/// `"api_key": "…"`, `token='…'`, with quotes around the key or without, for each kind of quote.
static QUOTED: LazyLock<[Regex; 4]> = LazyLock::new(|| {
    let value = |quote: &str, inner: &str| {
        regex(&format!(
            r#"(?is)(?P<before>^|[^a-z0-9])(?P<q>\\?["']?)(?P<key>{KEY})(?P<q2>\\?["']?)(?P<space>\s{{0,8}})(?P<sign>[:=])(?P<more>\s{{0,8}}b?)(?P<open>{quote})(?P<value>{inner})(?P<close>{quote}|$)"#
        ))
    };
    [
        value(r#"\\""#, r#"(?:[^\\]|\\[^"])*"#),
        value(r"\\'", r"(?:[^\\]|\\[^'])*"),
        value(r#"""#, r#"[^"]*"#),
        value("'", "[^']*"),
    ]
});

/// `password=…` without quotes; names in source lines have no digits, most secrets have.
static BARE: LazyLock<Regex> = LazyLock::new(|| {
    regex(&format!(
        r#"(?i)(?P<head>(?:^|[^a-z0-9]){KEY}(?:=|:\s{{0,8}}))(?P<value>[^\s"',;&)}}\]<(]{{6,}})"#
    ))
});

static AUTHORIZATION: LazyLock<Regex> = LazyLock::new(|| {
    regex(
        r#"(?i)(?P<head>authorization["']?\s{0,8}[:=]\s{0,8}["']?(?:(?:bearer|basic|token|digest)\s+)?)(?P<value>[^\s"',;)}\]<]{4,})"#,
    )
});

static BEARER: LazyLock<Regex> =
    LazyLock::new(|| regex(r"(?i)(?P<head>\bbearer\s{1,8})(?P<value>[A-Za-z0-9._~+/=-]{8,})"));

/// Tokens that show by their form what they are: of OpenAI, GitHub, GitLab, Hugging Face, Slack and AWS, and JSON Web Tokens.
static TOKEN: LazyLock<Regex> = LazyLock::new(|| {
    let forms = [
        "sk-[A-Za-z0-9_-]{8,}",
        "gh[oprsu]_[A-Za-z0-9]{20,}",
        "github_pat_[A-Za-z0-9_]{20,}",
        "glpat-[A-Za-z0-9_-]{16,}",
        "hf_[A-Za-z0-9]{20,}",
        "xox[abeoprs]-[A-Za-z0-9-]{10,}",
        "A[KS]IA[A-Z0-9]{16}",
        r"eyJ[A-Za-z0-9_-]{8,}\.eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]*",
    ];
    regex(&format!(r"(?P<head>\b)(?P<value>{})", forms.join("|")))
});

/// A private key in one line, between its marks.
static PEM: LazyLock<Regex> = LazyLock::new(|| {
    regex(
        r"(?s)(?P<head>-----BEGIN [A-Z ]{0,40}PRIVATE KEY-----)(?P<value>.+?)(?P<tail>-----END|$)",
    )
});

/// `curl -u user:password`, also as a list of arguments.
static USER: LazyLock<Regex> = LazyLock::new(|| {
    regex(
        r#"(?P<head>[\s"'](?:-u|--user)(?:["'],\s{0,4}|\s{1,8}|=)["']?[^\s:/"']{1,200}:)(?P<value>[^\s"']{1,200})"#,
    )
});

/// `https://user:password@host`
static URL: LazyLock<Regex> = LazyLock::new(|| {
    regex(
        r#"(?i)(?P<head>\b[a-z][a-z0-9+.-]{0,20}://[^\s/:@"']{0,200}:)(?P<value>[^\s/@"']{1,200})(?P<tail>@)"#,
    )
});

fn regex(pattern: &str) -> Regex {
    Regex::new(pattern).expect("the tests compile every pattern")
}

/// The line with what looks like a secret replaced by `<redacted>`.
pub(crate) fn redact(line: &str) -> Cow<'_, str> {
    if !HINT.is_match(line) {
        return Cow::Borrowed(line);
    }
    let head = |found: &Captures<'_>| format!("{}{MASK}", &found["head"]);
    let text = PEM.replace_all(line, |found: &Captures<'_>| {
        format!("{}{MASK}{}", &found["head"], &found["tail"])
    });
    let text = BEARER.replace_all(&text, head);
    let mut text = AUTHORIZATION.replace_all(&text, head).into_owned();
    for pattern in &*QUOTED {
        text = pattern.replace_all(&text, quoted).into_owned();
    }
    let text = BARE.replace_all(&text, bare);
    let text = TOKEN.replace_all(&text, head);
    let text = USER.replace_all(&text, head);
    let text = URL.replace_all(&text, |found: &Captures<'_>| {
        format!("{}{MASK}{}", &found["head"], &found["tail"])
    });
    Cow::Owned(text.into_owned())
}

fn quoted(found: &Captures<'_>) -> String {
    let value = &found["value"];
    let prose =
        found["q2"].is_empty() && &found["sign"] == ":" && value.chars().count() < MIN_AFTER_COLON;
    if prose || value.is_empty() {
        return found[0].to_owned();
    }
    let part = |name: &str| &found[name];
    let names = ["before", "q", "key", "q2", "space", "sign", "more", "open"];
    let mut out: String = names.iter().map(|name| part(name)).collect();
    out.push_str(MASK);
    out.push_str(part("close"));
    out
}

fn bare(found: &Captures<'_>) -> String {
    let digits = found["value"].chars().take(100).any(|c| c.is_ascii_digit());
    if digits {
        format!("{}{MASK}", &found["head"])
    } else {
        found[0].to_owned()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn secrets_are_masked() {
        for (text, secret) in [
            ("Authorization: Bearer abcdef123456", "abcdef123456"),
            ("authorization=Basic dXNlcjpwYXNz", "dXNlcjpwYXNz"),
            (r#"{"Authorization": "Bearer secret123"}"#, "secret123"),
            ("got bearer eyJhbGciOi.J9 there", "eyJhbGciOi.J9"),
            ("key sk-proj-abcd1234efgh failed", "sk-proj-abcd1234efgh"),
            (
                "cloned with ghp_0123456789abcdefghijABCDEFGHIJ",
                "ghp_0123456789abcdefghijABCDEFGHIJ",
            ),
            (
                "glpat-0123456789_abcdefgh, used",
                "glpat-0123456789_abcdefgh",
            ),
            (
                "as hf_0123456789abcdefghijABCDE",
                "hf_0123456789abcdefghijABCDE",
            ),
            ("xoxb-0123456789-abcdef posts", "xoxb-0123456789-abcdef"),
            ("AKIAIOSFODNN7EXAMPLE", "AKIAIOSFODNN7EXAMPLE"),
            (
                "got eyJhbGciOiJI.eyJzdWIiOiIx.SflKxwRJ there",
                "eyJhbGciOiJI.eyJzdWIiOiIx.SflKxwRJ",
            ),
            (
                r"-----BEGIN RSA PRIVATE KEY-----\nMIIEowIBAAKCAQEA7\nbq1\n-----END RSA PRIVATE KEY-----",
                "MIIEowIBAAKCAQEA7",
            ),
            ("$ curl -u alice:hunter2 https://x", "hunter2"),
            ("Command '['curl', '-u', 'alice:hunter2']'", "hunter2"),
            ("curl --user 'alice:hunter2'", "hunter2"),
            (r#"{"api_key": "abc"}"#, "abc"),
            (r#""token: 'hushhush' it said""#, "hushhush"),
            ("{'password': 'p w d'}", "p w d"),
            (r#"{\"token\": \"t0k\"}"#, "t0k"),
            ("Client(api_key='xyz')", "xyz"),
            ("AWS_SECRET_ACCESS_KEY='wJalr/XU'", "wJalr/XU"),
            (r#"client_secret = "hush""#, "hush"),
            ("OPENAI_API_KEY=abc123def", "abc123def"),
            ("password: hunter2x", "hunter2x"),
            ("postgres://user:pa55@db/x", "pa55"),
            ("secret='unclosed", "unclosed"),
            (r#"{"token":"first1","password":"other"}"#, "other"),
        ] {
            let got = redact(text);
            assert!(!got.contains(secret) && got.contains(MASK), "{text}: {got}");
        }
    }

    #[test]
    fn other_lines_stay() {
        for text in [
            "unexpected token: '}'",
            "keyword argument 'token' is missing",
            "    return login(password=password, token=token)",
            "the secret of the sauce",
            "see https://example.org/a:b@c",
            "tokens: 15 of 20",
            "run it as -u root, at 12:30",
            "pass --user NAME: it is needed",
            "no key 'x' in {'a': 1}",
            "",
        ] {
            assert_eq!(redact(text), text);
        }
    }

    proptest! {
        #[test]
        fn a_value_behind_a_key_is_masked_wherever_it_stands(
            before in "[ a-z(,]{0,20}",
            key in "(api_key|MY_TOKEN|password|db-pwd)",
            quote in "['\"]",
            value in "[A-Za-z0-9/+]{8,40}",
            after in "[ a-z),]{0,20}",
        ) {
            let line = format!("{before} {key}={quote}{value}{quote}{after}");
            prop_assert!(!redact(&line).contains(&value), "{}", redact(&line));
            let line = format!("{before} {{{quote}{key}{quote}: {quote}{value}{quote}}}{after}");
            prop_assert!(!redact(&line).contains(&value), "{}", redact(&line));
        }

        #[test]
        fn no_line_breaks_it(line in "[a_\\-.:/@'\"\\\\=\\[ sktokenbearerpassword1]{0,300}") {
            let once = redact(&line).into_owned();
            prop_assert!(redact(&once).matches(MASK).count() >= once.matches(MASK).count());
        }
    }
}
