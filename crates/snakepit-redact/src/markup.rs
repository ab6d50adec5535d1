//! Values of elements whose name, or an attribute of theirs, is that of a secret.

use std::ops::Range;
use std::sync::LazyLock;

use regex::Regex;

use super::named::KEY;
use super::patterns::regex;
use super::strings::is_template;
use super::unquoted::is_strong;

/// `<ns:password type="x">`, `<entry key="password">`, `<key>password</key><string>`.
static ELEMENT: LazyLock<Regex> = LazyLock::new(|| {
    regex(&format!(
        r#"(?:(?:<|&lt;)(?:[A-Za-z0-9_.-]{{1,40}}:)?(?P<name>{KEY})(?:[ \t\r\n][^<>&]{{0,200}})?|<[A-Za-z][^<>]{{0,200}}?\\?["']{KEY}\\?["'][^<>]{{0,200}}|<[A-Za-z]{{1,20}}>{KEY}</[A-Za-z]{{1,20}}>[ \t\r\n]{{0,40}}<[A-Za-z]{{1,20}})(?P<end>>|&gt;)"#
    ))
});

const SPACE: [char; 4] = [' ', '\t', '\r', '\n'];

/// Adds the values of a text.
pub(super) fn find(text: &str, spans: &mut Vec<Range<usize>>) {
    let mut at = 0;
    while let Some(found) = ELEMENT.captures_at(text, at) {
        let whole = found.get(0).expect("it is the match");
        at = whole.end();
        let opening = if &found["end"] == ">" { "<" } else { "&lt;" };
        let same = whole.as_str().starts_with(opening);
        let Some(span) = same.then(|| value(text, at, opening)).flatten() else {
            continue;
        };
        let name = found.name("name").map_or("", |name| name.as_str());
        if !is_said(name, &text[span.clone()]) {
            at = span.end;
            spans.push(span);
        }
    }
}

/// The text up to the end of the element.
fn value(text: &str, at: usize, opening: &str) -> Option<Range<usize>> {
    let rest = &text[at..];
    if let Some(data) = rest.strip_prefix("<![CDATA[") {
        let start = at + (rest.len() - data.len());
        let data = &data[..data.find("</").unwrap_or(data.len())];
        let end = data.find("]]>").filter(|end| *end > 0)?;
        return Some(start..start + end);
    }
    let value = &rest[..rest.find(opening)?];
    let after = &rest[value.len() + opening.len()..];
    if !after.starts_with('/') && !after.starts_with("\\/") {
        return None;
    }
    let start = at + (value.len() - value.trim_start_matches(SPACE).len());
    let end = at + value.trim_end_matches(SPACE).len();
    (start < end).then_some(start..end)
}

/// A token of a text is no secret.
fn is_said(name: &str, value: &str) -> bool {
    is_template(value) || name.eq_ignore_ascii_case("token") && !is_strong(value)
}
