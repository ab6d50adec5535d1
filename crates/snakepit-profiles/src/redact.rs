//! Masks secrets in the lines that workers print and in what they say of themselves.
//!
//! Best effort, with the rules of `snakepit_bridge/_redact.py`; `docs/security.md` states them. A
//! line may hold other secrets. Every pattern takes time linear in the line: it comes from
//! anywhere.

mod headers;
mod key_lines;
mod logins;
mod markup;
mod named;
mod patterns;
mod plain;
mod stream;
mod strings;
mod tokens;
mod unquoted;
mod values;

#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::ops::Range;

pub(crate) use key_lines::KeyLines;
pub(crate) use stream::Stream;

use plain::Plain;

/// Stands in place of a secret.
const MASK: &str = "<redacted>";

/// Returns the line with `<redacted>` in place of what looks like a secret.
pub(crate) fn redact(line: &str) -> Cow<'_, str> {
    redact_start(line, line.len())
}

/// Returns the first `most` bytes of the line, masked. A secret that crosses the cut is recognised
/// by all of the line.
pub(crate) fn redact_start(line: &str, most: usize) -> Cow<'_, str> {
    let most = boundary(line, most);
    let plain = Plain::of(line);
    let mut spans = Vec::new();
    patterns::find(plain.text(), &mut spans);
    for span in &mut spans {
        *span = plain.place(span);
    }
    for command in plain.commands() {
        let mut found = Vec::new();
        patterns::find(&line[command.clone()], &mut found);
        let placed = found.into_iter();
        spans.extend(placed.map(|span| command.start + span.start..command.start + span.end));
    }
    if spans.is_empty() {
        return Cow::Borrowed(&line[..most]);
    }
    spans.sort_unstable_by_key(|span| span.start);
    let (mut out, mut at) = (String::with_capacity(most), 0);
    for span in joined(spans) {
        if span.start >= most {
            break;
        }
        out.push_str(&line[at..span.start]);
        out.push_str(MASK);
        at = span.end;
    }
    if at < most {
        out.push_str(&line[at..most]);
    }
    Cow::Owned(out)
}

/// The last place up to `at` where a character begins.
fn boundary(text: &str, at: usize) -> usize {
    let mut at = at.min(text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

/// Joins spans that overlap.
fn joined(sorted: Vec<Range<usize>>) -> Vec<Range<usize>> {
    let mut joined: Vec<Range<usize>> = Vec::with_capacity(sorted.len());
    for span in sorted {
        match joined.last_mut() {
            Some(last) if span.start < last.end => last.end = last.end.max(span.end),
            _ => joined.push(span),
        }
    }
    joined
}
