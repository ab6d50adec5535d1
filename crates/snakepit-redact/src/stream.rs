//! Secrets that go on over several lines of a stream, each of which is masked by itself.

use super::key_lines::KeyLines;
use super::plain::Plain;
use super::strings::end_of_quoted;
use super::values::{Open, is_value};
use super::{MASK, patterns};

/// Lines of a value between quotes of three characters, or in a block.
const MOST: u32 = 64;

/// Lines of a value between other quotes: one that is not closed may be an apostrophe.
const FEW: u32 = 8;

/// Follows one stream of lines: masks a key or a value that continues from the line before.
#[derive(Debug, Default)]
pub struct Stream {
    keys: KeyLines,
    /// There while a value is open, with the number of its lines.
    open: Option<(Open, u32)>,
}

impl Stream {
    /// Returns true while the next line may be a part of a secret.
    pub fn is_open(&self) -> bool {
        self.open.is_some() || self.keys.is_open()
    }

    /// Returns the line without what continues from earlier ones. `None` if nothing does.
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
            self.open = patterns::open(plain).map(|open| (open, 0));
            return masked;
        };
        let rest = &plain[masked_until..];
        let most = match &known {
            Some(Open::Quoted(token)) if token.len() < 3 => FEW,
            _ => MOST,
        };
        self.open = match goes_on {
            true => known.filter(|_| lines < most).map(|open| (open, lines)),
            false => patterns::open(rest).map(|open| (open, 0)),
        };
        let blanks = plain.len() - plain.trim_start_matches([' ', '\t']).len();
        let blanks = blanks.min(masked_until);
        let mask = if masked_until > blanks { MASK } else { "" };
        Some(format!("{}{mask}{rest}", &plain[..blanks]))
    }
}

/// Where the part of a line ends that belongs to an open value, and whether the value goes on
/// behind the line. `None` if the line has nothing of it.
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
        Open::Below(key) => {
            let word = line.trim_matches([' ', '\t', '\r']);
            let whole = !word.contains([' ', '\t']) && is_value(key, word);
            whole.then_some((line.len(), false))
        }
    }
}
