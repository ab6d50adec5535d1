//! Values of elements whose names or attributes are names of secrets.

use std::ops::Range;
use std::sync::LazyLock;

use regex::Regex;

use super::named::{KEY, SUFFIX};
use super::patterns::regex;
use super::strings::is_template;
use super::unquoted::is_strong;

/// `<ns:password type="x">`, `<entry key="password">`, `<key>password</key><string>`.
static ELEMENT: LazyLock<Regex> = LazyLock::new(|| {
    regex(&format!(
        r#"(?:(?:<|&lt;)(?:[A-Za-z0-9_.-]+:)?(?P<name>{KEY}){SUFFIX}(?:[ \t\r\n][^<>&]*)?|<[A-Za-z][^<>]*?\\?["']{KEY}{SUFFIX}\\?["'][^<>]*|<[A-Za-z]{{1,20}}>{KEY}{SUFFIX}</[A-Za-z]{{1,20}}>[ \t\r\n]{{0,40}}<[A-Za-z]{{1,20}})(?P<end>>|&gt;)"#
    ))
});

/// The characters of a tag. A class of all characters would make the pattern large.
const ASCII: &str = "[ -;=?-~\\t\\r\\n]";

/// `<input type="password" …>`: a tag that has the name of a secret as an attribute.
static TAG: LazyLock<Regex> = LazyLock::new(|| {
    regex(&format!(
        r#"<[A-Za-z](?:{ASCII}*[ \t\r\n])?(?i-u:type|name|id|key)=\\?["']?{KEY}{SUFFIX}\\?(?:["' \t\r\n/]{ASCII}*)?>"#
    ))
});

/// The value in such a tag.
static VALUE: LazyLock<Regex> = LazyLock::new(|| {
    regex(
        r#"[ \t\r\n](?i-u:value)=(?:\\?"(?P<double>[^"\\]+)|\\?'(?P<single>[^'\\]+)|(?P<word>[^ \t\r\n"'<>\\]+))"#,
    )
});

/// Largest number of lines of a value whose element has not ended.
const BELOW: usize = 8;

const SPACE: [char; 4] = [' ', '\t', '\r', '\n'];

/// Adds the spans of values in markup.
pub(super) fn find(text: &str, spans: &mut Vec<Range<usize>>) {
    let mut at = 0;
    while let Some(found) = ELEMENT.captures_at(text, at) {
        let whole = found.get(0).expect("it is the match");
        at = whole.end();
        let opening = if &found["end"] == ">" { "<" } else { "&lt;" };
        let same = whole.as_str().starts_with(opening);
        let span = || value(text, at, opening).or_else(|| below(text, whole.start(), at));
        let Some(span) = same.then(span).flatten() else {
            continue;
        };
        let name = found.name("name").map_or("", |name| name.as_str());
        if !is_said(name, &text[span.clone()]) {
            at = span.end;
            spans.push(span);
        }
    }
    for tag in TAG.find_iter(text) {
        let values = VALUE.captures_iter(tag.as_str());
        let values = values.filter_map(|found| found.iter().skip(1).flatten().next());
        let values = values.filter(|value| !is_template(value.as_str()));
        spans.extend(values.map(|value| tag.start() + value.start()..tag.start() + value.end()));
    }
}

/// Returns the span of the text up to the end of the element.
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

/// Returns the span of the lines below an opening tag that is alone on its line. The element ends
/// in a later line of the stream.
fn below(text: &str, start: usize, at: usize) -> Option<Range<usize>> {
    let before = &text[..start];
    let alone = before.trim_end_matches([' ', '\t']);
    let rest = text[at..].trim_start_matches([' ', '\t', '\r']);
    let lines = rest.strip_prefix('\n')?;
    let few: usize = lines.split_inclusive('\n').take(BELOW).map(str::len).sum();
    let alone = alone.is_empty() || alone.ends_with('\n');
    if !alone || few < lines.len() || lines.contains(['<', '>']) {
        return None;
    }
    let begin = text.len() - lines.len();
    let start = begin + (lines.len() - lines.trim_start_matches(SPACE).len());
    let end = begin + lines.trim_end_matches(SPACE).len();
    (start < end).then_some(start..end)
}

/// Returns `true` if the value is a placeholder, or a token in the sense of text processing.
fn is_said(name: &str, value: &str) -> bool {
    is_template(value) || name.eq_ignore_ascii_case("token") && !is_strong(value)
}
