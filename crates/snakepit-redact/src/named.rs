//! Values that follow the name of a secret: `password='…'`, `"api_key": …`, `--token …`.
//!
//! A match is a name, a sign and a value. The form of the value determines its end
//! ([`values`](super::values)). Values without quotes are judged by [`unquoted`](super::unquoted).

use std::ops::Range;
use std::sync::LazyLock;

use regex::{Captures, Regex};

use super::patterns::regex;
use super::unquoted::{is_described, is_said, is_special, is_strong, is_token_of_text};
use super::values::{Open, Pair, Reader};

/// Shortest quoted value after a bare `token:`. A shorter one is prose, as in
/// `unexpected token: '}'`.
const MIN_AFTER_COLON: usize = 6;

/// Names of secrets, with words before them.
pub(super) const KEY: &str = "(?:(?:[A-Za-z0-9]+[_.-])*\
    (?:[A-Za-z0-9]*(?i-u:password|passwd|passphrase|passcode|pwd|secret|token\
    |(?:api|access|account|private|secret|signing|encryption|master|auth|storage|fernet|hmac|jwt)[ _-]?key\
    |client[_-]key[_-]data)\
    |(?i-u:(?:db|user|smtp|mail|ftp|ssh|redis|mysql|postgres|pg|root|admin)[_-]?(?:pass|pw)\
    |(?:redis|smtp|mail|ftp|db)[_-]auth|credentials?)))";

/// Suffixes of such names: `DB_PASSWORD_PROD`, `password2`.
pub(super) const SUFFIX: &str = "(?:[_.-]?(?i-u:production|prod|development|develop|dev|testing\
    |test|staging|stage|live|qa|uat|preview|local|primary|secondary|base|confirmation|confirmed\
    |confirm|repeat|again|verify|old|new|current|previous|value|string|str|text|plaintext|plain|raw\
    |base64|b64|encoded|hex|default|main|backup|replica|read|write|ro|rw|[0-9]{1,3})){0,2}";

/// Quotes around a name: with backslashes, doubled, or escaped as in HTML, URLs and JSON.
pub(super) const CLOSED: &str =
    r#"\\{0,15}["'`]{1,2}|&(?:quot|apos|#3[49]|#x2[27]);|%(?:25){0,2}2[27]|\\u002[27]"#;

static HEAD: LazyLock<Regex> = LazyLock::new(|| {
    regex(&format!(
        r#"(?:^|(?P<before>[^A-Za-z0-9]))(?P<key>{KEY}){SUFFIX}(?P<closed>(?:{CLOSED})?\]?)[ \t]*(?P<sign>=>|:=|=|:|：|＝|%(?:25){{0,2}}3[AaDd]|,?[ \t\r\n]{{0,20}}\\{{0,3}}["']?[Vv]alue\\{{0,3}}["']?[ \t]*[:=]|,)(?:[ \t]|%20)*"#
    ))
});

/// `--password …`
static OPTION: LazyLock<Regex> = LazyLock::new(|| {
    regex(&format!(
        r#"(?:^|[ \t\r\n"'(\[])--?(?:(?P<key>{KEY}){SUFFIX}[ \t]{{1,4}}|(?P<short>pass|pw)(?:[ \t]{{1,4}}|=))"#
    ))
});

/// `"pass": "…"`: a name that is a common word outside of quotes.
static PASS: LazyLock<Regex> = LazyLock::new(|| {
    regex(r#"(?P<closed>\\{0,3}["'])(?i-u:pass|pw)\\{0,3}["']\]?[ \t]*(?:=>|:=|=|:)[ \t]*"#)
});

/// `the password is …`
static SAID: LazyLock<Regex> = LazyLock::new(|| {
    regex(
        r#"(?:^|[^A-Za-z0-9_])(?i-u:password|passwd|passphrase|passcode|pwd|api[ _-]?key)[ \t](?i-u:is|was)(?:[ \t]now)?:?[ \t]["'`]?(?P<value>[^ \t\r\n"'`,;]+)"#,
    )
});

/// Beginnings of words that say how a password is kept.
const KEPT: [&str; 7] = ["argon2", "ascii", "base64", "md5", "pbkdf2", "sha", "utf"];

/// The type annotation of a variable, before its value.
static ANNOTATION: LazyLock<Regex> = LazyLock::new(|| {
    regex(r"^[A-Za-z_][A-Za-z0-9_.\[\]]{0,60}(?: ?\| ?[A-Za-z0-9_.\[\]]{1,60}){0,4} ?=[ \t]*")
});

/// Adds the spans of values that follow names. Returns the state of the last value if it may
/// continue after the text.
pub(super) fn find(text: &str, spans: &mut Vec<Range<usize>>) -> Option<Open> {
    let mut reader = Reader::of(text);
    let (mut at, mut open) = (0, None);
    // The character before a name may be the last one of what was read before.
    while let Some(found) = HEAD.captures_at(text, before(text, at)) {
        let values = of_head(text, &found, &mut reader);
        let sign = found.name("sign").expect("it is in every match");
        at = values
            .iter()
            .fold(sign.end(), |at, value| at.max(value.end));
        open = reader.take_open();
        spans.extend(values);
    }
    at = 0;
    while let Some(found) = PASS.captures_at(text, at) {
        at = found.get(0).expect("it is the match").end();
        let values = reader.quoted(at, &found["closed"]);
        let secret = |value: &&str| value.len() >= 6 && !is_said(value) || is_strong(value);
        if values
            .first()
            .map(|first| &text[first.clone()])
            .filter(secret)
            .is_some()
        {
            spans.extend(values);
        }
    }
    for found in SAID.captures_iter(text) {
        let value = found.name("value").expect("it is in every match");
        let shown = value.as_str().trim_end_matches('.');
        let lower = shown.to_ascii_lowercase();
        if is_strong(shown) && !is_said(shown) && !KEPT.iter().any(|it| lower.starts_with(it)) {
            spans.push(value.start()..value.start() + shown.len());
        }
    }
    if !text.contains('-') {
        return open;
    }
    at = 0;
    while let Some(found) = OPTION.captures_at(text, before(text, at)) {
        let end = found.get(0).expect("it is the match").end();
        let mut values = reader.quoted(end, "");
        if values.is_empty() && !reader.is_quote(end) {
            let name = found.name("key").or_else(|| found.name("short"));
            let name = name.map_or("", |name| name.as_str());
            values.extend(reader.argument(name, end));
        }
        at = values.iter().fold(end, |at, value| at.max(value.end));
        spans.extend(values);
    }
    open
}

/// Returns the start of the character before a position.
pub(super) fn before(text: &str, at: usize) -> usize {
    let last = text[..at].chars().next_back();
    at - last.map_or(0, char::len_utf8)
}

fn of_head(text: &str, found: &Captures<'_>, reader: &mut Reader<'_>) -> Vec<Range<usize>> {
    let at = found.get(0).expect("it is the match").end();
    let group = |name| found.name(name).expect("it is in every match");
    let (sign, closed) = (group("sign"), group("closed"));
    let (key, key_at, line) = key(found);
    if sign.as_str() == "," {
        let values = if closed.is_empty() {
            Vec::new()
        } else {
            reader.quoted(at, closed.as_str())
        };
        return listed(text, values, found);
    }
    let colon = matches!(sign.as_str(), ":" | "：");
    if colon && let Some(block) = reader.block(at, key_at) {
        return vec![block];
    }
    let values = reader.quoted(at, closed.as_str());
    if let Some(first) = values.first() {
        let value = &text[first.clone()];
        let prose = closed.is_empty() && colon && is_prose(key, key_at, text, value);
        let word = !closed.is_empty() && is_token_of_text(key, value);
        let none = prose || word || is_special(key, value);
        return if none { Vec::new() } else { values };
    }
    if reader.is_quote(at) {
        return Vec::new();
    }
    if sign.as_str().starts_with('%') {
        return reader.encoded(key, sign.as_str(), at).into_iter().collect();
    }
    let strict = sign.as_str() == "=" && closed.end() == sign.start() && sign.end() == at;
    let value = reader.unquoted(Pair {
        key,
        key_at,
        at,
        loose: !strict,
        colon,
        closed: !closed.is_empty(),
        line: line || sign.as_str().contains('\n'),
    });
    match (value, colon) {
        (Some(value), _) => vec![value],
        (None, true) => match ANNOTATION.find(&text[at..]) {
            Some(typed) => reader.quoted(at + typed.end(), ""),
            None => Vec::new(),
        },
        (None, false) => Vec::new(),
    }
}

/// Returns the name, its start, and `true` if an escaped line break precedes it in a `repr`.
fn key<'t>(found: &Captures<'t>) -> (&'t str, usize, bool) {
    let key = found.name("key").expect("it is in every match");
    let (name, at) = (key.as_str(), key.start());
    match found.name("before").map(|before| before.as_str()) {
        Some("%") if name.len() > 5 => (&name[2..], at + 2, false),
        Some("\\") if name.starts_with(['n', 'r', 't']) && name.len() > 4 => {
            (&name[1..], at + 1, true)
        }
        _ => (name, at, false),
    }
}

/// Returns the values of a pair in parentheses or of an option in a list. Returns none of other
/// lists, in which names follow each other.
fn listed(text: &str, values: Vec<Range<usize>>, found: &Captures<'_>) -> Vec<Range<usize>> {
    let before = found.name("before").map_or("", |before| before.as_str());
    let first = values.first().map_or("", |first| &text[first.clone()]);
    let option = before == "-" && !first.starts_with('-');
    let listed = option || before == "(" || is_pair(text, found);
    let listed = listed && (option || !is_token_of_text(&found["key"], first));
    if listed { values } else { Vec::new() }
}

/// Returns `true` for `("password", …)`: a parenthesis precedes the quote of the name.
fn is_pair(text: &str, found: &Captures<'_>) -> bool {
    let start = found.name("key").map_or(0, |key| key.start());
    let before = text[..start].trim_end_matches(['"', '\'', '\\', '`']);
    let before = before.strip_suffix(['b', 'r', 'u']).unwrap_or(before);
    before.ends_with('(')
}

/// Returns `true` if the value is a word of prose, as in `unknown token: 'transformer'`.
fn is_prose(key: &str, at: usize, text: &str, value: &str) -> bool {
    value.chars().take(MIN_AFTER_COLON).count() < MIN_AFTER_COLON
        || is_described(key, at, text) && !is_strong(value)
}
