//! Masks what looks like a secret in texts of unknown origin.
//!
//! [`redact`] masks one text. [`Stream`] follows the lines of an output, in which a value may
//! continue, and [`KeyLines`] private keys alone.
//!
//! [`Known`] has values that are known to be secret, and masks them wherever they stand.
//!
//! Patterns are best effort: `docs/security.md` states the rules, and a text may hold other
//! secrets. All of it takes time in proportion to the text.
//!
//! ```
//! let shown = snakepit_redact::redact("login failed: password='hunter2'");
//! assert_eq!(shown, "login failed: password='<redacted>'");
//! ```

#![forbid(unsafe_code)]

mod commands;
mod containers;
mod forms;
mod headers;
mod hints;
mod key_lines;
mod known;
mod logins;
mod markup;
mod named;
mod patterns;
mod plain;
mod sql;
mod stream;
mod strings;
mod tokens;
mod unescape;
mod unquoted;
mod validation;
mod values;

#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::ops::Range;

pub use key_lines::KeyLines;
pub use known::{Known, Refused};
pub use stream::Stream;

use plain::Plain;

/// The text that replaces a secret.
pub const MASK: &str = "<redacted>";

/// Returns the text with `<redacted>` in place of what looks like a secret.
pub fn redact(line: &str) -> Cow<'_, str> {
    redact_start(line, line.len())
}

/// Returns the first `most` bytes of a line, masked. A secret that the cut would divide is
/// recognised by the whole line.
pub fn redact_start(line: &str, most: usize) -> Cow<'_, str> {
    masked(line, boundary(line, most), Vec::new(), |text, spans| {
        patterns::find(text, spans);
    })
}

/// Masks the given spans, and those that `find` returns, in the readable text and in the terminal
/// commands inside it. Returns the first `most` bytes.
fn masked(
    line: &str,
    most: usize,
    mut spans: Vec<Range<usize>>,
    find: impl Fn(&str, &mut Vec<Range<usize>>),
) -> Cow<'_, str> {
    let plain = Plain::of(line);
    let mut read = Vec::new();
    find(plain.text(), &mut read);
    spans.extend(read.iter().map(|span| plain.place(span)));
    for command in plain.commands() {
        let mut found = Vec::new();
        find(&line[command.clone()], &mut found);
        let placed = found.into_iter();
        spans.extend(placed.map(|span| command.start + span.start..command.start + span.end));
    }
    if spans.is_empty() {
        return Cow::Borrowed(&line[..most]);
    }
    let mut out = String::with_capacity(most);
    let mut at = 0;
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

/// Returns the last character boundary up to `at`.
fn boundary(text: &str, at: usize) -> usize {
    let mut at = at.min(text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

/// Sorts spans and merges those that overlap.
fn joined(mut spans: Vec<Range<usize>>) -> Vec<Range<usize>> {
    spans.sort_unstable_by_key(|span| span.start);
    let mut joined: Vec<Range<usize>> = Vec::with_capacity(spans.len());
    for span in spans {
        match joined.last_mut() {
            Some(last) if span.start < last.end => last.end = last.end.max(span.end),
            _ => joined.push(span),
        }
    }
    joined
}
