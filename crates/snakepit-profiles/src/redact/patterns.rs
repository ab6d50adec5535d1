//! The shapes of secrets.

use std::ops::Range;
use std::sync::LazyLock;

use regex::{Captures, Match, Regex};

use super::unquoted::{Around, is_secret};
use super::{headers, tokens};

/// After a bare `token:` a shorter quoted word is prose, as in `unexpected token: '}'`.
const MIN_AFTER_COLON: usize = 6;

/// Names of what is secret, with words before them.
const KEY: &str = "(?:[a-z0-9]{1,40}[_.-]){0,4}(?:[a-z0-9]{0,20}(?:password|passwd|passphrase|pwd|secret|token\
    |(?:api|access|account|private|secret|signing|encryption|master|auth|storage)[_-]?key)\
    |(?:db|user|smtp|mail|ftp|ssh|redis|mysql|postgres|pg|root|admin)[_-]?pass|credentials?)";

/// Without one of these words only a token can be in a text.
static HINT: LazyLock<Regex> = LazyLock::new(|| {
    regex(
        r#"(?i)[\s"']-u|--user|key|secret|token|pass|pwd|credential|authorization|cookie|bearer|://|[?&]sig|signature"#,
    )
});

/// `"api_key": "…"`, `token='…'`, `("password", "…")`, with quotes around the key or without, for each kind of quote.
static QUOTED: LazyLock<[Regex; 4]> = LazyLock::new(|| {
    let value = |quote: &str, inner: &str| {
        regex(&format!(
            r#"(?is)(?P<before>^|[^a-z0-9])b?(?:\\?["']?)(?P<key>{KEY})(?P<closed>\\?["']?)\]?\s{{0,8}}(?P<sign>=>|:=|[:=,])\s{{0,8}}b?{quote}(?P<value>{inner})(?:{quote}|$)"#
        ))
    };
    [
        value(r#"\\""#, r#"(?:[^\\]|\\[^"])*"#),
        value(r"\\'", r"(?:[^\\]|\\[^'])*"),
        value(r#"""#, r#"[^"]*"#),
        value("'", "[^']*"),
    ]
});

/// `password=…` and `password: …` without quotes.
static UNQUOTED: LazyLock<Regex> = LazyLock::new(|| {
    regex(&format!(
        r#"(?i)(?:^|[^a-z0-9])(?P<key>{KEY})\\?["']?\]?(?P<sign>\s{{0,8}}=\s{{0,8}}|:\s{{0,8}})(?P<value>[^\s"',;&)}}\]<(\[=>~|][^\s"',;&)}}\]<(\[|]{{3,}})"#
    ))
});

/// `--password …`, also as a list of arguments.
static OPTION: LazyLock<Regex> = LazyLock::new(|| {
    regex(&format!(
        r#"(?i)(?:^|[\s"'(\[])--?(?P<key>{KEY})(?:(?P<list>["'],\s{{0,4}}b?["'])|\s{{1,4}})(?P<value>[^\s"',;)\]<-][^\s"',;)\]<]{{3,}})"#
    ))
});

static BEARER: LazyLock<Regex> =
    LazyLock::new(|| regex(r"(?i)\bbearer\s{1,8}(?P<value>[A-Za-z0-9._~+/=-]{8,})"));

/// A private key in one text, between its marks.
static PEM: LazyLock<Regex> = LazyLock::new(|| {
    regex(
        r"(?s)-{4,5} ?BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)? ?-{4,5}(?P<value>.*?)(?:-{4,5} ?END |$)",
    )
});

static PEM_END: LazyLock<Regex> =
    LazyLock::new(|| regex("-{4,5} ?END [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)? ?-{4,5}"));

/// `curl -u user:password`, also as a list of arguments.
static USER: LazyLock<Regex> = LazyLock::new(|| {
    regex(
        r#"[\s"'](?:-u|--user)(?:["'],\s{0,4}|\s{1,8}|=)["']?[^\s:/"']{1,200}:(?P<value>[^\s"']{1,200})"#,
    )
});

/// `https://user:password@host`
static URL: LazyLock<Regex> = LazyLock::new(|| {
    regex(r#"(?i)\b[a-z][a-z0-9+.-]{0,20}://[^\s/:@"']{0,200}:(?P<value>[^\s/@"']{1,200})@"#)
});

/// `?sig=…`: a URL that is itself a permission.
static SIGNED: LazyLock<Regex> = LazyLock::new(|| {
    regex(r#"(?i)[?&](?:sig|signature|x-(?:amz|goog)-signature)=(?P<value>[^\s&"'<>]{8,})"#)
});

fn regex(pattern: &str) -> Regex {
    Regex::new(pattern).expect("the tests compile every pattern")
}

/// Returns where the secrets of a text are; the spans may overlap.
pub(super) fn find(text: &str) -> Vec<Range<usize>> {
    let mut spans = Vec::new();
    tokens::find(text, &mut spans);
    if !HINT.is_match(text) {
        return spans;
    }
    for pattern in [&*PEM, &BEARER, &USER, &URL, &SIGNED] {
        let values = values(pattern, text).map(|(_, value)| value.range());
        spans.extend(values.filter(|value| !value.is_empty()));
    }
    spans.extend(cut_key(text));
    headers::find(text, &mut spans);
    for pattern in &*QUOTED {
        let secrets = values(pattern, text).filter(|(found, value)| is_quoted_secret(found, value));
        spans.extend(secrets.map(|(_, value)| value.range()));
    }
    let unquoted = values(&UNQUOTED, text).filter(|(found, value)| {
        let around = Around {
            key: &found["key"],
            loose: &found["sign"] != "=",
            rest: &text[value.end()..],
        };
        is_secret(around, value.as_str())
    });
    spans.extend(unquoted.map(|(_, value)| value.range()));
    let options = values(&OPTION, text).filter(|(found, value)| {
        let around = Around {
            key: &found["key"],
            loose: false,
            rest: &text[value.end()..],
        };
        let (list, value) = (found.name("list").is_some(), value.as_str());
        list || is_secret(around, value)
            && (value.len() >= 12 || value.bytes().any(|byte| byte.is_ascii_digit()))
    });
    spans.extend(options.map(|(_, value)| value.range()));
    spans
}

/// The end of a private key whose beginning was cut off.
fn cut_key(text: &str) -> Option<Range<usize>> {
    let end = PEM_END.find(text)?.start();
    let of_keys = |c: char| c.is_ascii_alphanumeric() || "+/=\\ \r\n".contains(c);
    let before = &text[..end];
    let start = before.trim_end_matches(of_keys).len();
    (end - start >= 16).then(|| start..before.trim_end().len())
}

fn values<'t>(
    pattern: &'t Regex,
    text: &'t str,
) -> impl Iterator<Item = (Captures<'t>, Match<'t>)> {
    pattern.captures_iter(text).map(|found| {
        let value = found.name("value").expect("it is in every match");
        (found, value)
    })
}

fn is_quoted_secret(found: &Captures<'_>, value: &Match<'_>) -> bool {
    let value = value.as_str();
    let (closed, sign) = (!found["closed"].is_empty(), &found["sign"]);
    let prose = !closed && sign == ":" && value.chars().count() < MIN_AFTER_COLON;
    // A pair stands in parentheses; in a list, names follow each other.
    let listed = sign == "," && !(closed && &found["before"] == "(");
    !(value.is_empty() || prose || listed)
}
