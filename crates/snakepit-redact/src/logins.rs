//! Passwords that accompany user names: in URLs, in `curl -u`, after the scheme `Basic`.

use std::ops::Range;
use std::sync::LazyLock;

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use regex::{Captures, Regex};

use super::patterns::regex;
use super::strings::is_template;
use super::unquoted::is_strong;
use super::values::Reader;

/// `https://user:`, also with slashes as JSON may escape them.
static URL: LazyLock<Regex> = LazyLock::new(|| {
    regex(r#"(?:^|[^A-Za-z0-9])[A-Za-z][A-Za-z0-9+.-]{0,20}:\\?/\\?/[^ \t\r\n/:@"'`?#<>\\]*:"#)
});

/// The beginning of a URL that is encoded as a part of another URL.
static ENCODED: LazyLock<Regex> = LazyLock::new(|| {
    regex(r#"%3[Aa]%2[Ff]%2[Ff][^ \t\r\n"'/:@%&]*%3[Aa](?P<value>[^ \t\r\n"'/:@&]+?)%40"#)
});

/// `curl -u user:password`, also as a list of arguments.
static USER: LazyLock<Regex> = LazyLock::new(|| {
    regex(
        r#"[ \t\r\n"'](?:-u|--user)(?:["'],[ \t]{0,4}|[ \t]{1,8}|=)(?P<quote>["']?)[^ \t\r\n:/"']+:"#,
    )
});

/// `curl -uuser:password`
static USER_GLUED: LazyLock<Regex> =
    LazyLock::new(|| regex(r#"[ \t\r\n"'](?P<quote>["']?)-u[A-Za-z0-9._@-]+:"#));

/// A token in place of a user name: `https://…@github.com`.
static TOKEN: LazyLock<Regex> = LazyLock::new(|| {
    regex(r"(?:^|[^A-Za-z0-9])https?:\\?/\\?/(?P<value>[A-Za-z0-9_-]{16,})(?::x-oauth-basic|:)?@")
});

/// `netloc='user:password@host'`, the form in which Python shows a parsed URL.
static PARSED: LazyLock<Regex> = LazyLock::new(|| {
    regex(
        r#"(?:netloc|authority|userinfo)\\?["']?[ \t]{0,4}[:=][ \t]{0,4}b?\\?["'][^'":@/\r\n]*:(?P<value>[^'"\r\n]*)"#,
    )
});

/// `HTTPBasicAuth('user', 'password')`, `auth=('user', 'password')`
static PAIR: LazyLock<Regex> = LazyLock::new(|| {
    regex(
        r#"(?:HTTP(?:Basic|Digest|Proxy)Auth|(?:Basic|Digest)Auth(?:entication)?|\.login|(?:^|[^A-Za-z0-9])(?:http_|basic_|proxy_)?auth["']?[ \t]{0,4}[:=][ \t]{0,4})\([ \t]{0,4}(?:[A-Za-z_][A-Za-z0-9_.]{0,60}|[bru]{0,2}'[^'\r\n]*'|[bru]{0,2}"[^"\r\n]*"),[ \t\r\n]{0,8}(?P<value>[bru]{0,2}["'])"#,
    )
});

/// The base64 of `user:password`, after `Basic` or as `"auth": "…"` of Docker.
static BASIC: LazyLock<Regex> = LazyLock::new(|| {
    regex(
        r#"(?:(?:^|[^A-Za-z0-9])(?i-u:basic)(?:[ \t]{1,8}|%20|\+)|["']auth\\{0,3}["'][ \t]{0,4}:[ \t]{0,4}\\{0,3}["'])(?P<value>[A-Za-z0-9+/_-]{4,}={0,2})"#,
    )
});

/// Adds the spans of passwords and tokens that accompany user names.
pub(super) fn find(text: &str, spans: &mut Vec<Range<usize>>) {
    let has = |words: &[&str]| words.iter().any(|word| text.contains(word));
    if text.contains('@') && has(&["://", "/\\/"]) {
        all(text, &URL, spans, |found, at| {
            // `[::1]` is an address, and its colons stand before no password.
            let head = &found[0];
            let host = head.rsplit('/').next().unwrap_or_default();
            let address = host.starts_with('[') && !host.contains(']');
            (!address).then(|| of_url(text, at)).flatten()
        });
    }
    let values = |pattern: &'static Regex| {
        let found = pattern.captures_iter(text);
        found.filter_map(|found| found.name("value"))
    };
    if has(&["%3"]) {
        spans.extend(values(&ENCODED).map(|value| value.range()));
    }
    if has(&["-u"]) {
        all(text, &USER, spans, |found, at| of_user(text, found, at));
    }
    if has(&["curl"]) {
        let glued = |found: &Captures<'_>, at| of_user(text, found, at);
        all(text, &USER_GLUED, spans, glued);
    }
    if text.contains('@') && has(&["http"]) {
        let tokens = values(&TOKEN).filter(|value| is_strong(value.as_str()));
        spans.extend(tokens.map(|value| value.range()));
    }
    if has(&["netloc", "authority", "userinfo"]) {
        for value in values(&PARSED) {
            let end = value.as_str().rfind('@').unwrap_or(value.len());
            spans.extend((end > 0).then_some(value.start()..value.start() + end));
        }
    }
    if text.contains('(') && has(&["uth", "login"]) {
        all(text, &PAIR, spans, |found, _| {
            let quote = found.name("value").expect("it is in every match");
            let values = Reader::of(text).quoted(quote.start(), "\"");
            values.into_iter().next()
        });
    }
    let logins = values(&BASIC).filter(|value| is_login(value.as_str()));
    spans.extend(logins.map(|value| value.range()));
}

/// Calls `read` after each match of a pattern, and continues after the returned span.
fn all(
    text: &str,
    pattern: &Regex,
    spans: &mut Vec<Range<usize>>,
    read: impl Fn(&Captures<'_>, usize) -> Option<Range<usize>>,
) {
    let mut at = 0;
    while let Some(found) = pattern.captures_at(text, at) {
        at = found.get(0).expect("it is the match").end();
        if let Some(span) = read(&found, at) {
            at = span.end;
            spans.push(span);
        }
    }
}

/// Returns the span of a password in a URL: up to the last `@` before the host. The password itself
/// may contain `@`, `:` and `/`.
fn of_url(text: &str, at: usize) -> Option<Range<usize>> {
    let rest = &text[at..];
    let rest = &rest[..rest.find("://").unwrap_or(rest.len())];
    let ends = [' ', '\t', '\r', '\n', '"', '\'', '`', '<', '>'];
    let run = &rest[..rest.find(ends).unwrap_or(rest.len())];
    let path = run.find(['/', '?', '#']).unwrap_or(run.len());
    if run[..path].contains('@') {
        let query = run[path..]
            .find(['?', '#'])
            .map_or(run.len(), |query| path + query);
        let end = run[..query].rfind('@')?;
        return (end > 0 && !is_template(&run[..end])).then_some(at..at + end);
    }
    // No `@` before the path: a port, or a password with a slash.
    let end = run.rfind('@').filter(|end| *end > path)?;
    let port = run[..path].bytes().all(|byte| byte.is_ascii_digit());
    let plain = |c: char| !c.is_ascii() || c.is_ascii_alphabetic() || "/._-".contains(c);
    (!port && !run[..end].chars().all(plain)).then_some(at..at + end)
}

fn of_user(text: &str, found: &Captures<'_>, at: usize) -> Option<Range<usize>> {
    let rest = &text[at..];
    let quote = found["quote"].chars().next();
    let quoted = quote.and_then(|quote| rest.find(quote));
    let word = || {
        rest.find([' ', '\t', '\r', '\n', '"', '\''])
            .unwrap_or(rest.len())
    };
    let end = quoted.unwrap_or_else(word);
    (end > 0).then_some(at..at + end)
}

/// Returns `true` if the value is the base64 of `user:password`.
fn is_login(value: &str) -> bool {
    let config = GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true);
    let plain = value
        .trim_end_matches('=')
        .replace('-', "+")
        .replace('_', "/");
    let login = GeneralPurpose::new(&STANDARD, config).decode(plain);
    login.is_ok_and(|login| {
        login.contains(&b':') && login.iter().all(|byte| *byte >= 0x20 && *byte != 0x7f)
    })
}
