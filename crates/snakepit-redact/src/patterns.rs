//! The shapes of secrets.

use std::ops::Range;
use std::sync::LazyLock;

use regex::Regex;

use super::values::Open;
use super::{headers, logins, markup, named, tokens};

/// Without one of these words only a token can be in a text.
static HINT: LazyLock<Regex> = LazyLock::new(|| {
    regex(
        r"(?i-u:-u|key|secret|token|pass|pwd|credential|authorization|cookie|bearer|basic|://|/\\/|%3|sig)",
    )
});

static BEARER: LazyLock<Regex> = LazyLock::new(|| {
    regex(r"(?:^|[^A-Za-z0-9])(?i-u:bearer)(?:[ \t]{1,8}|%20|\+)(?P<value>[A-Za-z0-9._~+/=-]{8,})")
});

/// A private key in one text, from its first mark to the next end mark.
static PEM: LazyLock<Regex> =
    LazyLock::new(|| regex("-{4,5} ?BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)? ?-{4,5}"));

/// The end mark of anything that has marks.
static END: LazyLock<Regex> = LazyLock::new(|| regex("-{4,5} ?END "));

static PEM_END: LazyLock<Regex> =
    LazyLock::new(|| regex("-{4,5} ?END [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)? ?-{4,5}"));

/// `?sig=…`: a URL that is itself a permission.
static SIGNED: LazyLock<Regex> = LazyLock::new(|| {
    regex(
        r#"(?i-u:(?:[?&]|%3F|%26)(?:sig|signature|x-(?:amz|goog)-signature)(?:=|%3D))(?P<value>[^ \t\r\n&"'<>]{8,})"#,
    )
});

pub(super) fn regex(pattern: &str) -> Regex {
    Regex::new(pattern).expect("the tests compile every pattern")
}

/// Adds the secrets of a text; the spans may overlap.
pub(super) fn find(text: &str, spans: &mut Vec<Range<usize>>) {
    tokens::find(text, spans);
    if !HINT.is_match(text) {
        return;
    }
    pem(text, spans);
    for pattern in [&*BEARER, &SIGNED] {
        let values = pattern
            .captures_iter(text)
            .filter_map(|found| found.name("value"));
        let values = values.map(|value| value.range());
        spans.extend(values.filter(|value| !value.is_empty()));
    }
    spans.extend(cut_key(text));
    headers::find(text, spans);
    logins::find(text, spans);
    named::find(text, spans);
    if text.contains('<') || text.contains("&lt;") {
        markup::find(text, spans);
    }
}

/// Returns how the last value of a text may go on behind it.
pub(super) fn open(text: &str) -> Option<Open> {
    HINT.is_match(text)
        .then(|| named::find(text, &mut Vec::new()))
        .flatten()
}

/// Adds private keys without their marks.
fn pem(text: &str, spans: &mut Vec<Range<usize>>) {
    let mut at = 0;
    while let Some(mark) = PEM.find_at(text, at) {
        let end = END
            .find_at(text, mark.end())
            .map_or(text.len(), |end| end.start());
        spans.extend((mark.end() < end).then_some(mark.end()..end));
        at = end;
    }
}

/// The end of a private key whose beginning was cut off.
fn cut_key(text: &str) -> Option<Range<usize>> {
    let end = PEM_END.find(text)?.start();
    let of_keys = |c: char| c.is_ascii_alphanumeric() || "+/=\\ \r\n".contains(c);
    let before = &text[..end];
    let start = before.trim_end_matches(of_keys).len();
    (end - start >= 16).then(|| start..before.trim_end().len())
}
