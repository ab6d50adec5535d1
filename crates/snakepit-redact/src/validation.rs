//! Values in messages of pydantic's `ValidationError`.

use std::ops::Range;
use std::sync::LazyLock;

use regex::Regex;

use super::boundary;
use super::named::{KEY, SUFFIX};
use super::patterns::regex;

/// The path of a field on its own line, and the indentation of its error. Line breaks may be
/// escaped, as in a `repr`.
static HEAD: LazyLock<Regex> = LazyLock::new(|| {
    regex(&format!(
        r"(?:^|[\r\n]|\\n)[ \t]*(?:[A-Za-z0-9_-]+\.)*{KEY}s?{SUFFIX}(?:[.\[][!-~]*?)?[ \t]*(?:\r?\n|\\n)[ \t]+"
    ))
});

/// Largest size in bytes of the part after the path of a field that is read.
const MOST: usize = 1024;

/// The text before the value.
const VALUE: &str = ", input_value=";

/// The text after the value.
const TYPE: &str = ", input_type=";

/// Adds the spans of values in validation errors.
pub(super) fn find(text: &str, spans: &mut Vec<Range<usize>>) {
    if !text.contains("input_value=") {
        return;
    }
    for head in HEAD.find_iter(text) {
        let rest = &text[head.end()..boundary(text, head.end() + MOST)];
        let line = &rest[..rest.find(['\r', '\n']).unwrap_or(rest.len())];
        let Some(at) = line.find(VALUE).map(|at| at + VALUE.len()) else {
            continue;
        };
        // In a `repr` it may be one of several on the line.
        let behind = &line[at..];
        let end = match head.as_str().contains("\\n") {
            true => behind.find(TYPE),
            false => behind.rfind(TYPE),
        };
        let end = end.map_or(line.len(), |end| at + end);
        let (value, at) = (&line[at..end], head.end() + at);
        let quoted = value.len() > 2 && value.starts_with(['"', '\'']);
        let quoted = quoted && value.ends_with(&value[..1]);
        let (start, end) = (
            at + usize::from(quoted),
            at + value.len() - usize::from(quoted),
        );
        spans.extend((start < end).then_some(start..end));
    }
}
