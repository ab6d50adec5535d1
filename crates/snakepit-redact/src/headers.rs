//! The values of `Authorization` and `Cookie`, in headers, dictionaries and log lines.

use std::ops::Range;
use std::sync::LazyLock;

use regex::Regex;

use super::named::before;
use super::{MASK, boundary};

/// The name of a header, up to its value.
static HEAD: LazyLock<Regex> = LazyLock::new(|| {
    let pattern = r#"(?:(?P<authorization>(?i-u:authorization))|(?:^|[^A-Za-z0-9]|\\[nrt])(?P<cookie>(?i-u:(?:set-)?cookie)))(?P<quote>\\?["']?)\]?[ \t\r\n]{0,8}(?P<sign>=>|[:=,])[ \t\r\n]{0,8}(?:b?(?P<open>\\?["']))?"#;
    Regex::new(pattern).expect("the tests compile every pattern")
});

/// Cookies in the representation of libraries: a dictionary `cookies`, and the `repr` of their
/// classes.
static JARS: LazyLock<Regex> = LazyLock::new(|| {
    let pattern = concat!(
        r#"(?i-u:cookies)(?:\\{0,3}["'])?\]?[ \t]*[:=][ \t]*\{(?P<all>[^{}]+)(?:\}|$)"#,
        "|<(?:Simple|Base)Cookie: (?P<simple>[^<>]+)>",
        "|<Morsel: (?P<morsel>[^<>]+)>",
        "|<Cookie [^ =<>]+=(?P<one>[^ <>]+) for ",
        r"|Cookie\((?:[a-z_]{1,20}=[^,()]*, ?){0,4}value=",
        r#"(?:'(?P<value>[^'\r\n]*)'|"(?P<other>[^"\r\n]*)")"#,
    );
    Regex::new(pattern).expect("the tests compile every pattern")
});

/// Schemes with one value.
const SCHEMES: [&str; 13] = [
    "basic",
    "bearer",
    "negotiate",
    "ntlm",
    "apikey",
    "api-key",
    "key",
    "token",
    "jwt",
    "bot",
    "privatetoken",
    "dpop",
    "sharedkey",
];

/// Schemes with several values.
const WITH_VALUES: [&str; 8] = [
    "digest",
    "oauth",
    "hawk",
    "signature",
    "vapid",
    "mutual",
    "sharedaccesssignature",
    "gnap",
];

/// Settings of that name, which are no credentials.
const MODES: [&str; 9] = [
    "abac", "disabled", "enabled", "node", "none", "optional", "rbac", "required", "webhook",
];

/// Longest scheme in bytes, including blanks around it.
const MOST_SCHEME: usize = 40;

/// Adds the spans of credentials and cookies in headers.
pub(super) fn find(text: &str, spans: &mut Vec<Range<usize>>) {
    for found in JARS.captures_iter(text) {
        let parts = found.iter().skip(1).flatten();
        spans.extend(
            parts
                .map(|part| part.range())
                .filter(|part| !part.is_empty()),
        );
    }
    let (mut at, mut line) = (0, 0);
    while let Some(found) = HEAD.captures_at(text, before(text, at)) {
        let whole = found.get(0).expect("it is the match");
        at = whole.end();
        let group = |name: &str| found.name(name).map_or("", |part| part.as_str());
        let key = found.name("authorization").or_else(|| found.name("cookie"));
        let before = key.and_then(|key| text[..key.start()].chars().next_back());
        let (quote, open) = (group("quote"), group("open"));
        // `("Cookie", "…")` is a pair, `cookie, …` is prose.
        if group("sign") == "," && (quote.is_empty() || open.is_empty()) {
            continue;
        }
        let outer = before.filter(|c| quote.is_empty() && matches!(c, '"' | '\''));
        let quoted = !open.is_empty() || outer.is_some();
        if line < at {
            line = line_end(text, at);
        }
        let end = match (open, outer) {
            ("", None) => line,
            ("", Some(quote)) => text[at..]
                .find([quote, '\n'])
                .map_or(text.len(), |end| at + end),
            (open, _) => text[at..].find(open).map_or(text.len(), |end| at + end),
        };
        let end = match (open, outer) {
            ("", None) => end + folded(&text[at..end], &text[end..]),
            _ => end,
        };
        let value = &text[at..end];
        let secret = match found.name("authorization") {
            Some(_) => authorization(value, quoted),
            None => cookie(value),
        };
        if let Some(secret) = secret {
            spans.push(at + secret.start..at + secret.end);
            at += secret.end;
        }
    }
}

/// Returns the end of a header without quotes: the end of its line, also of an escaped one in a
/// `repr`.
fn line_end(text: &str, at: usize) -> usize {
    let rest = &text[at..];
    let line = &rest[..rest.find(['\n', '\r']).unwrap_or(rest.len())];
    let escaped = line.find(r"\n").unwrap_or(line.len());
    let line = &line[..escaped];
    at + line.strip_suffix(r"\r").unwrap_or(line).len()
}

/// Returns the length of a folded value: the next line continues a value that is only a scheme. 0
/// if it does not.
fn folded(value: &str, rest: &str) -> usize {
    if value.len() > MOST_SCHEME {
        return 0;
    }
    let scheme = value.trim().to_ascii_lowercase();
    if !SCHEMES.contains(&&*scheme) && !WITH_VALUES.contains(&&*scheme) {
        return 0;
    }
    let line = rest.trim_start_matches(['\r', '\n']);
    let blanks = line.trim_start_matches([' ', '\t']);
    let folded = line.len() < rest.len() && blanks.len() < line.len() && !blanks.is_empty();
    let end = blanks.find(['\r', '\n']).unwrap_or(blanks.len());
    if folded {
        rest.len() - blanks.len() + end
    } else {
        0
    }
}

/// Returns the span of a cookie. `None` if the text has no name and value.
fn cookie(value: &str) -> Option<Range<usize>> {
    let start = &value[..boundary(value, 200)];
    let name = start.find(|c: char| c == '=' || c == ';' || c == ',' || c.is_whitespace())?;
    (name > 0 && start[name..].starts_with('=')).then(|| 0..value.trim_end().len())
}

/// Returns the span of the credentials after the scheme. `None` if there are none.
fn authorization(value: &str, quoted: bool) -> Option<Range<usize>> {
    let stops =
        |c: char| c.is_whitespace() || matches!(c, '"' | '\'' | ',' | ';' | ')' | '}' | ']' | '<');
    let word = |from: usize| {
        let rest = &value[from..];
        let start = from + rest.len() - rest.trim_start_matches([' ', '\t', '\r', '\n']).len();
        let end = value[start..]
            .find(stops)
            .map_or(value.len(), |end| start + end);
        start..end
    };
    let shown = |word: &Range<usize>| value[word.clone()].chars().count();
    let masked = |at: usize| value[at..].trim_start().starts_with(MASK);
    let all = value.trim_end().len();
    let first = word(0);
    let scheme = value[first.clone()].to_ascii_lowercase();
    let second = word(first.end);
    if masked(0) || masked(first.end) {
        return None;
    }
    let many = WITH_VALUES.contains(&&*scheme) || scheme.starts_with("aws");
    if second.is_empty() || second.start == first.end {
        // The value comes with the next line.
        if !quoted && (many || SCHEMES.contains(&&*scheme)) {
            return None;
        }
        if MODES.contains(&&*scheme) {
            return None;
        }
        let end = if quoted { all } else { first.end };
        return (shown(&first) >= 4).then_some(first.start..end);
    }
    if quoted || many {
        return Some(second.start..all);
    }
    let long = shown(&second) >= 8 || value[second.clone()].bytes().any(|b| b.is_ascii_digit());
    if SCHEMES.contains(&&*scheme) {
        return (shown(&second) >= 4).then_some(second);
    }
    match (scheme.bytes().any(|byte| byte.is_ascii_digit()), long) {
        (true, true) => Some(first.start..second.end),
        (false, true) => Some(second),
        _ => (shown(&first) >= 4).then_some(first),
    }
}
