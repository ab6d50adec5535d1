//! The patterns of secrets.

use std::ops::Range;
use std::sync::LazyLock;

use regex::Regex;

use super::hints::{self, Hints};
use super::unquoted::is_path;
use super::values::Open;
use super::{commands, containers, headers, logins, markup, named, sql, tokens, validation};

static BEARER: LazyLock<Regex> = LazyLock::new(|| {
    regex(r"(?:^|[^A-Za-z0-9])(?i-u:bearer)(?:[ \t]{1,8}|%20|\+)(?P<value>[A-Za-z0-9._~+/=-]{8,})")
});

/// A private key in one text, from its first mark to the next end mark.
static PEM: LazyLock<Regex> =
    LazyLock::new(|| regex("-{4,5} ?BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)? ?-{4,5}"));

/// The end mark of any block with marks, such as PEM.
static END: LazyLock<Regex> = LazyLock::new(|| regex("-{4,5} ?END "));

static PEM_END: LazyLock<Regex> =
    LazyLock::new(|| regex("-{4,5} ?END [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)? ?-{4,5}"));

/// `?sig=…`: the signature of a URL that grants access by itself.
static SIGNED: LazyLock<Regex> = LazyLock::new(|| {
    regex(
        r#"(?i-u:(?:[?&]|%3F|%26)(?:sig|signature|x-(?:amz|goog)-signature)(?:=|%3D))(?P<value>[^ \t\r\n&"'<>]{8,})"#,
    )
});

pub(super) fn regex(pattern: &str) -> Regex {
    Regex::new(pattern).expect("the tests compile every pattern")
}

/// Returns `true` for a name and its value, as in `token_type=bearer max_tokens=4096`. The `=` that
/// pad a token may precede punctuation.
fn is_pair(word: &str) -> bool {
    let pair = word.split_once('=');
    pair.is_some_and(|(name, value)| {
        is_path(name) && value.starts_with(|c: char| c.is_ascii_alphanumeric())
    })
}

/// Adds the spans of secrets, which may overlap. Returns the state of the last value if it may
/// continue after the text.
pub(super) fn find(text: &str, spans: &mut Vec<Range<usize>>) -> Option<Open> {
    tokens::find(text, spans);
    let hints = Hints::of(text);
    if hints.has(hints::KEYS) {
        pem(text, spans);
        spans.extend(cut_key(text));
    }
    for (kind, pattern) in [(hints::BEARER, &BEARER), (hints::SIGNATURES, &SIGNED)] {
        if hints.has(kind) {
            let values = pattern.captures_iter(text);
            let values = values.filter_map(|found| found.name("value"));
            let values = values.filter(|value| kind != hints::BEARER || !is_pair(value.as_str()));
            spans.extend(values.map(|value| value.range()));
        }
    }
    if hints.has(hints::HEADERS) {
        headers::find(text, spans);
    }
    if hints.has(hints::LOGINS) {
        logins::find(text, spans);
    }
    if hints.has_command() {
        commands::find(text, spans);
    }
    if hints.has(hints::CLAUSES) {
        sql::find(text, spans);
    }
    if !hints.has(hints::NAMES) {
        return None;
    }
    validation::find(text, spans);
    if text.contains('<') || text.contains("&lt;") {
        markup::find(text, spans);
    }
    let open = named::find(text, spans);
    containers::find(text, spans).or(open)
}

/// Adds the spans of private keys, without their marks.
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

/// Returns the span of the end of a private key whose beginning was cut off.
fn cut_key(text: &str) -> Option<Range<usize>> {
    let end = PEM_END.find(text)?.start();
    let of_keys = |c: char| c.is_ascii_alphanumeric() || "+/=\\ \r\n".contains(c);
    let before = &text[..end];
    let start = before.trim_end_matches(of_keys).len();
    (end - start >= 16).then(|| start..before.trim_end().len())
}
