//! String literals: their beginnings, and the quotes that end them.

use std::ops::Range;
use std::sync::LazyLock;

use regex::Regex;

use super::patterns::regex;
use super::values::{Open, Reader, at_most, is_blank, of_line};

/// The beginning of a string literal: the type around it, its prefix and its quote.
static OPEN: LazyLock<Regex> = LazyLock::new(|| {
    regex(
        r#"^(?:(?:(?i-u:secretstr|secretbytes|secret|password|str|bytes|bytearray|some)|String::from)\([ \t]*|string\([0-9]{1,9}\)[ \t]+)?(?:[bBrRuUfFtTnNlL]{1,2}|[$@])?(?P<slashes>\\{0,15})(?P<quote>["'`])"#,
    )
});

/// A quote as HTML, URLs and JSON escape it.
static ENTITY: LazyLock<Regex> =
    LazyLock::new(|| regex(r"^(?:&(?:quot|apos|#3[49]|#x2[27]);|%(?:25){0,2}2[27]|\\u002[27])"));

/// Blanks, also escaped ones inside a string.
static GAP: LazyLock<Regex> = LazyLock::new(|| regex(r"^(?:[ \t\r\n]|\\{1,8}[tnr])*"));

/// The gap after which a string continues, as `pprint` divides long strings.
static MORE: LazyLock<Regex> = LazyLock::new(|| {
    regex(r"^[ \t]*(?:[+.][ \t]*)?(?:\\?\r?\n[ \t]+)?(?:[+.][ \t]*)?[bBrRuUfF]{0,2}")
});

/// The characters that may follow the last quote of a value.
static BEHIND: LazyLock<Regex> = LazyLock::new(|| {
    regex(r#"^[ \t]*(?:[,}\]);:&|+>'"`\\\r\n]|\z|[A-Za-z_][A-Za-z0-9_.-]{0,40}[=:])"#)
});

/// Code after a quote that ends a string: `"password=" + value`.
static CODE: LazyLock<Regex> = LazyLock::new(|| {
    regex(r"^(?:[ \t]+[+%][ \t]|[ \t]*,[ \t]|\.format\(|\)+[;:,]?[ \t]*(?:[\r\n]|\z))")
});

/// Quotes whose strings a shell joins to one, with the text between two such strings.
const TOGETHER: [(&str, &str); 3] = [("'", "\"'\"'"), ("'", "\\''"), ("\"", "'\"'\"")];

static TEMPLATE: LazyLock<Regex> = LazyLock::new(|| {
    regex(
        r"^(?:%[srd]|%\([A-Za-z_][A-Za-z0-9_]*\)[srd]|\{[A-Za-z0-9_.!:\[\]]*\}|\$\{?[A-Z_][A-Z0-9_]{0,60}\}?|\{\{[ A-Za-z0-9_.|-]*\}\})$",
    )
});

/// Returns `true` if the value is a placeholder: `{password}`, `${PASSWORD}`, `%s`.
pub(super) fn is_template(value: &str) -> bool {
    value.len() <= 130 && TEMPLATE.is_match(value)
}

/// Returns `true` if a quote after `slashes` backslashes ends a string of nesting depth `level`.
pub(super) fn closes(mut slashes: usize, mut level: u32) -> bool {
    while level > 0 && slashes % 2 == 1 {
        slashes = (slashes - 1) / 2;
        level -= 1;
    }
    slashes.is_multiple_of(2)
}

/// Returns the number of backslashes that belong to the quote, not to the value before it.
pub(super) fn own(slashes: usize, level: u32) -> usize {
    if slashes % 2 == 1 {
        slashes.min((1 << level) - 1)
    } else {
        0
    }
}

/// Returns the nesting depth of a string whose quotes have this number of backslashes.
pub(super) fn level(slashes: usize) -> u32 {
    usize::BITS - slashes.leading_zeros()
}

/// Returns the number of backslashes at the end of a text.
pub(super) fn trailing_slashes(text: &str) -> usize {
    text.len() - text.trim_end_matches('\\').len()
}

/// Returns the end of an open string in this line, searched from `start`. `None` if it continues in
/// the next line.
pub(super) fn end_of_quoted(line: &str, start: usize, token: &str) -> Option<usize> {
    let mut reader = Reader::of(line);
    let several = token.len() > 1 && !token.contains('\\');
    let (span, _) = match several {
        true => reader.until(token, start),
        false => reader.string(start, token, false),
    };
    reader.open.is_none().then_some(span.end)
}

impl Reader<'_> {
    /// Returns `true` if a quote is at this position.
    pub(super) fn is_quote(&self, at: usize) -> bool {
        OPEN.is_match(&self.text[at..])
    }

    /// Returns the quoted value that begins here or in the next line, as the spans of its parts.
    /// `closed` is the quote after the name.
    pub(super) fn quoted(&mut self, at: usize, closed: &str) -> Vec<Range<usize>> {
        let text = self.text;
        if let Some(entity) = ENTITY.find(&text[at..]) {
            let (span, _) = self.until(entity.as_str(), at + entity.end());
            return Vec::from_iter((!span.is_empty()).then_some(span));
        }
        let open = |at: usize| OPEN.captures(&text[at..]).map(|found| (at, found));
        let below = || GAP.find(&text[at..]).and_then(|gap| open(at + gap.end()));
        let Some((at, opening)) = open(at).or_else(below) else {
            return Vec::new();
        };
        let slashes = opening.name("slashes").expect("it is in every match");
        let end = opening.get(0).expect("it is the match").end();
        let token = &text[at + slashes.start()..at + end];
        let mut start = at + end;
        if closed.is_empty() && CODE.is_match(&text[start..]) {
            return Vec::new();
        }
        let doubled = closed.chars().count() == 2 && closed == token.repeat(2);
        let mut spans = Vec::new();
        loop {
            let (span, end) = self.string(start, token, doubled);
            let more = end + MORE.find(&text[end..]).map_or(0, |more| more.end());
            let span_end = span.end;
            let over = end == span_end || !text[more..].starts_with(token);
            spans.extend((!span.is_empty()).then_some(span));
            let mut together = TOGETHER.iter();
            if let Some((_, glue)) =
                together.find(|(quote, glue)| *quote == token && text[end..].starts_with(glue))
            {
                start = end + glue.len();
                continue;
            }
            if over {
                if end > span_end && is_blank(&text[end..]) {
                    self.open = Some(Open::More(token.to_owned()));
                }
                break;
            }
            start = more + token.len();
        }
        match &spans[..] {
            [one] if is_template(at_most(&text[one.clone()], 131)) => Vec::new(),
            _ => spans,
        }
    }

    /// Returns the span of a string's content, and the position after the string.
    fn string(&mut self, start: usize, token: &str, doubled: bool) -> (Range<usize>, usize) {
        let text = self.text;
        if doubled && text[start..].starts_with(token) {
            return self.until(&token.repeat(2), start + token.len());
        }
        if text[start..].starts_with(&token.repeat(2)) {
            return self.until(&token.repeat(3), start + 2 * token.len());
        }
        let quote = token.chars().next_back().expect("a quote is its end");
        let level = level(token.len() - 1);
        let key = format!("{level}{quote}");
        if self.endless.contains(&key) {
            return self.rest(start, token);
        }
        let (mut from, mut skipped, mut glued) = (start, None, None);
        while let Some(found) = text[from..].find(quote) {
            let last = from + found;
            let count = trailing_slashes(&text[from..last]);
            from = last + 1;
            if skipped == Some(last) || !closes(count, level) {
                continue;
            }
            if let Some(glued) = glued
                && text[glued..last].contains('\n')
            {
                break;
            }
            if self.goes_on(last + 1, count, level) {
                glued = Some(last);
                continue;
            }
            // A doubled quote stands for one, as in SQL and YAML.
            if level == 0 && last > start && text[last + 1..].starts_with(quote) {
                skipped = Some(last + 1);
                continue;
            }
            return (start..last - own(count, level), last + 1);
        }
        if let Some(glued) = glued {
            return (start..glued, glued + 1);
        }
        self.endless.push(key);
        self.rest(start, token)
    }

    /// Returns `true` if a word follows the quote, so that it does not end the string: it lost its
    /// backslash, or its backslashes were escaped.
    fn goes_on(&self, at: usize, slashes: usize, level: u32) -> bool {
        if level == 0 && slashes > 0 {
            return !BEHIND.is_match(&self.text[at..]);
        }
        self.glued(at)
    }

    /// Returns the content of a string that ends with `token`, and the position after it.
    fn until(&mut self, token: &str, start: usize) -> (Range<usize>, usize) {
        let text = self.text;
        if !self.endless.iter().any(|known| known == token) {
            let mut at = start;
            while let Some(found) = text[at..].find(token) {
                let end = at + found;
                if trailing_slashes(&text[start..end]).is_multiple_of(2) {
                    return (start..end, end + token.len());
                }
                at = end + 1;
            }
            self.endless.push(token.to_owned());
        }
        self.rest(start, token)
    }

    /// Returns the content of a string without an end, which is over with its line.
    fn rest(&mut self, start: usize, token: &str) -> (Range<usize>, usize) {
        let end = start + of_line(&self.text[start..]).len();
        if end == self.text.len() {
            self.open = Some(Open::Quoted(token.to_owned()));
        }
        (start..end, end)
    }
}
