//! Passwords beside the names of their users: in URLs, of `curl -u`, behind the scheme `Basic`.

use std::ops::Range;
use std::sync::LazyLock;

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use regex::{Captures, Regex};

use super::patterns::regex;
use super::strings::is_template;

/// `https://user:`, also with slashes as JSON may escape them.
static URL: LazyLock<Regex> = LazyLock::new(|| {
    regex(
        r#"(?:^|[^A-Za-z0-9])[A-Za-z][A-Za-z0-9+.-]{0,20}:\\?/\\?/[^ \t\r\n/:@"'`?#<>\\]{0,200}:"#,
    )
});

/// The same as a part of another URL.
static ENCODED: LazyLock<Regex> = LazyLock::new(|| {
    regex(
        r#"%3[Aa]%2[Ff]%2[Ff][^ \t\r\n"'/:@%&]{0,200}%3[Aa](?P<value>[^ \t\r\n"'/:@&]{1,200}?)%40"#,
    )
});

/// `curl -u user:password`, also as a list of arguments.
static USER: LazyLock<Regex> = LazyLock::new(|| {
    regex(
        r#"[ \t\r\n"'](?:-u|--user)(?:["'],[ \t]{0,4}|[ \t]{1,8}|=)(?P<quote>["']?)[^ \t\r\n:/"']{1,200}:"#,
    )
});

static BASIC: LazyLock<Regex> = LazyLock::new(|| {
    regex(
        r"(?:^|[^A-Za-z0-9])(?i-u:basic)(?:[ \t]{1,8}|%20|\+)(?P<value>[A-Za-z0-9+/_-]{4,}={0,2})",
    )
});

/// Adds the passwords of a text.
pub(super) fn find(text: &str, spans: &mut Vec<Range<usize>>) {
    all(text, &URL, spans, |_, at| of_url(text, at));
    let values = |pattern: &'static Regex| {
        let found = pattern.captures_iter(text);
        found.filter_map(|found| found.name("value"))
    };
    spans.extend(values(&ENCODED).map(|value| value.range()));
    all(text, &USER, spans, |found, at| of_user(text, found, at));
    let logins = values(&BASIC).filter(|value| is_login(value.as_str()));
    spans.extend(logins.map(|value| value.range()));
}

/// Reads what follows each place of a pattern, and continues after it.
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

/// The password up to the last `@` before the host; it may have any of `@:/` itself.
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

/// Returns true if it is the base64 of `user:password`.
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
