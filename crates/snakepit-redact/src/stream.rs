//! Secrets that continue over several lines of a stream, while each line is masked separately.

use std::ops::Range;

use super::hints::Hints;
use super::key_lines::KeyLines;
use super::plain::Plain;
use super::strings::end_of_quoted;
use super::values::Open;
use super::{MASK, boundary, joined, patterns};

/// Largest number of lines of a value between triple quotes, or in a block.
const MOST: u32 = 64;

/// Largest number of lines of a value between other quotes: an unclosed quote may be an apostrophe.
const FEW: u32 = 8;

/// Number of earlier lines that are read together with the next one: a name and its value may be in
/// two lines.
const BEFORE: usize = 2;

/// Largest size in bytes of the lines that are read together with the next one.
const WINDOW: usize = 8 * 1024;

/// Masks the lines of one stream: also a key or a value that continues from an earlier line.
#[derive(Debug, Default)]
pub struct Stream {
    keys: KeyLines,
    /// The open value and the number of its lines. `None` if no value is open.
    open: Option<(Open, u32)>,
    /// The earlier lines that matter for the next one, each with its line end.
    before: String,
    /// Number of lines since the start of a container that is still open.
    within: u32,
}

impl Stream {
    /// Returns `true` if the next line may be a part of a secret.
    pub fn is_open(&self) -> bool {
        self.open.is_some() || self.keys.is_open()
    }

    /// Returns the line with everything masked that continues from earlier lines. `None` if nothing
    /// does.
    pub fn mask(&mut self, line: &str) -> Option<String> {
        let masked = self.keys.mask(line);
        let text = masked.as_deref().unwrap_or(line);
        let plain = Plain::of(text);
        let plain = plain.text();
        let (known, lines) = match self.open.take() {
            Some((open, lines)) => (Some(open), lines + 1),
            None => (None, 0),
        };
        let Some((masked_until, goes_on)) = known.as_ref().and_then(|open| goes_on(open, plain))
        else {
            let spans = self.read(plain);
            return match spans.is_empty() {
                true => masked,
                false => Some(without(plain, spans)),
            };
        };
        self.before.clear();
        let rest = &plain[masked_until..];
        let most = match &known {
            Some(Open::Quoted(token)) if token.len() < 3 => FEW,
            _ => MOST,
        };
        self.open = match goes_on {
            true => known.filter(|_| lines < most).map(|open| (open, lines)),
            false => patterns::find(rest, &mut Vec::new()).map(|open| (open, 0)),
        };
        let blanks = plain.len() - plain.trim_start_matches([' ', '\t']).len();
        let blanks = blanks.min(masked_until);
        let mask = if masked_until > blanks { MASK } else { "" };
        Some(format!("{}{mask}{rest}", &plain[..blanks]))
    }

    /// Reads a line together with the earlier lines, and returns the spans of secrets in it.
    fn read(&mut self, line: &str) -> Vec<Range<usize>> {
        if self.before.is_empty() && !Hints::of(line).any() {
            return Vec::new();
        }
        let start = self.before.len();
        self.before.push_str(line);
        let mut spans = Vec::new();
        let open = patterns::find(&self.before, &mut spans);
        let mut from = self.last_lines(start);
        self.within = match open {
            Some(Open::Within(at)) if self.within < MOST => {
                from = from.min(at);
                self.within + 1
            }
            _ => 0,
        };
        self.open = open
            .filter(|open| !matches!(open, Open::Within(_)))
            .map(|open| (open, 0));
        let least = self.before.len().saturating_sub(WINDOW);
        from = from.max(boundary(&self.before, least));
        self.before.drain(..from);
        self.before.push('\n');
        if !Hints::of(&self.before).any() {
            self.before.clear();
        }
        let spans = spans.into_iter().filter(|span| span.end > start);
        spans
            .map(|span| span.start.max(start) - start..span.end - start)
            .collect()
    }

    /// Returns the start of the lines to keep; the last of them starts at `start`.
    fn last_lines(&self, start: usize) -> usize {
        let mut from = start;
        for _ in 1..BEFORE {
            let before = &self.before[..from.saturating_sub(1)];
            from = before.rfind('\n').map_or(0, |newline| newline + 1);
        }
        from
    }
}

/// Returns the line with a mask in place of each span.
fn without(line: &str, spans: Vec<Range<usize>>) -> String {
    let (mut out, mut at) = (String::with_capacity(line.len()), 0);
    for span in joined(spans) {
        out.push_str(&line[at..span.start]);
        out.push_str(MASK);
        at = span.end;
    }
    out.push_str(&line[at..]);
    out
}

/// Returns the end of the part of a line that belongs to an open value, and `true` if the value
/// continues after the line. `None` if no part belongs to it.
fn goes_on(open: &Open, line: &str) -> Option<(usize, bool)> {
    match open {
        Open::Quoted(token) => match end_of_quoted(line, 0, token) {
            Some(end) => Some((end, false)),
            None => Some((line.len(), true)),
        },
        Open::More(token) => {
            let from = line.trim_start_matches([' ', '\t']);
            let quoted = from.trim_start_matches(['b', 'r', 'u', 'f']);
            let start = line.len() - quoted.strip_prefix(&**token)?.len();
            let end = end_of_quoted(line, start, token)?;
            let after = &line[(end + token.len()).min(line.len())..];
            let more = after.trim().is_empty();
            (from.len() < line.len()).then_some((end, more))
        }
        Open::Block(depth) => {
            let blanks = line.len() - line.trim_start_matches([' ', '\t', '\r']).len();
            (blanks > *depth || blanks == line.len()).then_some((line.len(), true))
        }
        Open::Within(_) => None,
    }
}
