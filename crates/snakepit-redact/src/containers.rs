//! Lists and maps behind the name of secrets: `{'password': ['…']}`, `secrets: {db: …}`, items of
//! YAML.

use std::ops::Range;
use std::sync::LazyLock;

use regex::Regex;

use super::boundary;
use super::named::{CLOSED, KEY, SUFFIX, before};
use super::patterns::regex;
use super::unquoted::{Around, is_path, is_said, is_secret, is_strong, names_a_secret};
use super::values::{Open, Reader, is_blank};

/// The name of one secret or of several, up to the bracket that opens its values.
static HEAD: LazyLock<Regex> = LazyLock::new(|| {
    regex(&format!(
        r#"(?:^|[^A-Za-z0-9])(?P<key>{KEY})(?:s|_list|_map|_dict)?{SUFFIX}(?:{CLOSED})?\]?[ \t]*(?P<sign>=>|:=|=|:)[ \t]*(?P<open>[\[({{]|\r?(?:\n|$))"#
    ))
});

/// The beginning of an item of a YAML list.
static ITEM: LazyLock<Regex> = LazyLock::new(|| regex(r"^(?P<blanks>[ \t]*)-[ \t]+"));

/// The name of a value inside the container.
static NAME: LazyLock<Regex> =
    LazyLock::new(|| regex(r#"^(?P<name>[A-Za-z_$][A-Za-z0-9_.$-]{0,60})[ \t]*(?:=>|[:=])"#));

/// Names of values that accompany secrets without being secret, and words of schemas.
const HARMLESS: &[&str] = &[
    "$ref",
    "description",
    "email",
    "enabled",
    "engine",
    "example",
    "examples",
    "format",
    "host",
    "hostname",
    "id",
    "in",
    "kind",
    "label",
    "name",
    "path",
    "pattern",
    "port",
    "provider",
    "region",
    "title",
    "type",
    "url",
    "user",
    "username",
    "version",
];

const QUOTES: [char; 3] = ['"', '\'', '`'];

/// Largest part of a container that is read, in bytes.
const MOST: usize = 8192;

/// Adds the spans of the values in containers. Returns the start of a container that is still open
/// at the end of the text.
pub(super) fn find(text: &str, spans: &mut Vec<Range<usize>>) -> Option<Open> {
    let (mut at, mut open) = (0, None);
    if !text.contains(['[', '(', '{', '\n']) && !text.trim_end().ends_with(':') {
        return None;
    }
    while let Some(found) = HEAD.captures_at(text, before(text, at)) {
        let key = found.name("key").expect("it is in every match");
        let begin = found.name("open").expect("it is in every match");
        let mut values = Values {
            text,
            key: key.as_str(),
            spans: Vec::new(),
        };
        let end = match begin.as_str() {
            "[" | "(" | "{" => values.within(begin.start()),
            _ if &found["sign"] == ":" => values.items(begin.end(), key.start()),
            _ => Some(begin.end()),
        };
        open = end.is_none().then(|| Open::Within(key.start()));
        spans.extend(values.spans);
        at = end.unwrap_or(text.len()).max(begin.start() + 1);
        if at >= text.len() {
            break;
        }
    }
    open
}

struct Values<'t> {
    text: &'t str,
    key: &'t str,
    spans: Vec<Range<usize>>,
}

impl Values<'_> {
    /// Reads up to the closing bracket and returns the position after it. `None` if the text ends
    /// before the bracket. If the text is code, discards the values found so far.
    fn within(&mut self, start: usize) -> Option<usize> {
        let text = self.text;
        let limit = boundary(text, start + MOST);
        let mut reader = Reader::of(&text[..limit]);
        let (mut depth, mut at, mut name) = (0_u32, start, "");
        while at < limit {
            let rest = &text[at..limit];
            let first = rest.chars().next().expect("it is before the end");
            match first {
                '[' | '{' | '(' => depth += 1,
                ']' | '}' | ')' => {
                    depth = depth.saturating_sub(1);
                    if depth == 0 {
                        return Some(at + 1);
                    }
                }
                ',' | ';' => name = "",
                _ if first.is_whitespace() || matches!(first, ':' | '=' | '>') => {}
                _ => {
                    let (end, named) = self.element(at, limit, name, &mut reader)?;
                    if let Some(named) = named {
                        name = named;
                    }
                    let code = text[end..limit].starts_with('(');
                    if code {
                        self.spans.clear();
                        return Some(end);
                    }
                    at = end.max(at + first.len_utf8());
                    continue;
                }
            }
            at += first.len_utf8();
        }
        (limit < text.len()).then_some(limit)
    }

    /// Reads a string or a word. Returns its end, and its text if it is a name. `None` if a string
    /// does not end.
    fn element<'t>(
        &mut self,
        at: usize,
        limit: usize,
        name: &str,
        reader: &mut Reader<'t>,
    ) -> Option<(usize, Option<&'t str>)> {
        let text = reader.text;
        if reader.is_quote(at) {
            let values = reader.quoted(at, "\"");
            let (Some(first), Some(last)) = (values.first(), values.last()) else {
                // It is empty, or a place for a value.
                let quote = at + text[at..].find(QUOTES)?;
                let close = text[quote + 1..].find(&text[quote..=quote])?;
                return Some((quote + 1 + close + 1, None));
            };
            let behind = &text[last.end..];
            let quotes = behind.len() - behind.trim_start_matches(['\\', '"', '\'', '`']).len();
            let typed = text[at..first.start].contains('(');
            let typed = typed && text[last.end + quotes..].starts_with(')');
            let end = last.end + quotes + usize::from(typed);
            let after = text[end..].trim_start_matches([' ', '\t']);
            if after.starts_with(':') || after.starts_with("=>") {
                return Some((end, Some(&text[first.clone()])));
            }
            if self.is_value(&text[first.clone()], name) {
                self.spans.extend(values);
            }
            return (end < limit || quotes > 0).then_some((end, None));
        }
        if let Some(named) = NAME.captures(&text[at..limit]) {
            let found = named.name("name").expect("it is in every match");
            return Some((at + found.end(), Some(found.as_str())));
        }
        let rest = &text[at..limit];
        let ends = [
            ',', ';', ']', '}', ')', '(', '[', '{', '\n', '\r', '"', '\'',
        ];
        let word = &rest[..rest.find(ends).unwrap_or(rest.len())];
        let value = word.trim_end();
        let around = Around {
            key: self.key,
            loose: false,
            rest: "",
        };
        let single = !value.contains([' ', '\t']);
        if single && is_strong(value) && is_secret(around, value) && self.is_value(value, name) {
            self.spans.push(at..at + value.len());
        }
        Some((at + word.len(), None))
    }

    /// Returns `true` if a value is a secret: its name is not harmless, and it is not a word about
    /// secrets.
    fn is_value(&self, value: &str, name: &str) -> bool {
        let name = name.to_ascii_lowercase();
        let last = name.rsplit(['_', '-', '.']).next().unwrap_or_default();
        if HARMLESS.contains(&&*name) || HARMLESS.contains(&last) || is_said(value) {
            return false;
        }
        let of_texts = self.key.to_ascii_lowercase().ends_with("token");
        let path = is_path(value) && value.contains('_');
        let named = path && names_a_secret(&value.to_ascii_lowercase());
        !named && (!of_texts || is_strong(value))
    }

    /// Reads the items of a YAML list and returns its end. `None` if the list extends to the end of
    /// the text.
    fn items(&mut self, start: usize, key_at: usize) -> Option<usize> {
        let text = self.text;
        let line_at = text[..key_at].rfind('\n').map_or(0, |newline| newline + 1);
        let line = &text[line_at..key_at];
        let depth = line.len() - line.trim_start_matches([' ', '\t']).len();
        let (mut at, mut first) = (start, None);
        while at < text.len() {
            let stop = text[at..].find('\n').map_or(text.len(), |end| at + end);
            let line = &text[at..stop];
            if let Some(item) = ITEM.captures(line) {
                let blanks = item["blanks"].len();
                if *first.get_or_insert(blanks) == blanks && blanks >= depth {
                    let begin = item.get(0).map_or(0, |whole| whole.end());
                    self.item(at + begin, stop);
                }
            } else if first.is_some() || !is_blank(line) {
                return Some(at);
            }
            at = stop + 1;
        }
        None
    }

    fn item(&mut self, start: usize, stop: usize) {
        let text = &self.text[..stop];
        let mut reader = Reader::of(text);
        let values = reader.quoted(start, "\"");
        if let Some(first) = values.first() {
            if self.is_value(&text[first.clone()], "") && !text[first.end..].contains(':') {
                self.spans.extend(values);
            }
            return;
        }
        let value = text[start..].trim_end();
        let around = Around {
            key: self.key,
            loose: true,
            rest: "",
        };
        let single = !value.contains([' ', '\t']) && !value.ends_with(':');
        if single && is_secret(around, value) && self.is_value(value, "") {
            self.spans.push(start..start + value.len());
        }
    }
}
