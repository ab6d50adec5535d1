//! Masks private keys that are printed line by line.

use std::ops::Range;
use std::sync::LazyLock;

use regex::Regex;

use super::MASK;
use super::plain::Plain;

/// Largest number of consecutive lines without a part of the key, such as other output between its
/// lines. Then the key counts as ended without its end mark.
const QUIET: u32 = 16;

/// Largest number of lines of a key.
const MOST: u32 = 1000;

/// Length of a run of key characters that counts as a part of the key anywhere in a line.
const RUN: usize = 16;

static MARK: LazyLock<Regex> = LazyLock::new(|| {
    let pattern = "-{4,5} ?(?:(?P<begin>BEGIN)|END) [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)? ?-{4,5}";
    Regex::new(pattern).expect("the tests compile the pattern")
});

/// Masks private keys in the lines of one stream: between the marks of a key, everything that can
/// be a part of it.
#[derive(Debug, Default)]
pub struct KeyLines {
    /// The key that has begun and not ended. `None` outside of keys.
    open: Option<Open>,
}

#[derive(Debug, Default)]
struct Open {
    lines: u32,
    quiet: u32,
}

impl KeyLines {
    pub(super) const fn is_open(&self) -> bool {
        self.open.is_some()
    }

    /// Returns the line without parts of a key that began in an earlier line. `None` if it contains
    /// none.
    pub fn mask(&mut self, line: &str) -> Option<String> {
        if self.open.is_none() && !line.contains("PRIVATE") {
            return None;
        }
        let plain = Plain::of(line);
        let (text, mut out, mut at) = (plain.text(), String::new(), 0);
        let mut masked = false;
        for mark in MARK.captures_iter(text) {
            let whole = mark.get(0).expect("it is the match");
            let before = &text[at..whole.start()];
            match self.open {
                Some(_) if at == 0 => {
                    let glued = before.trim_end().len() == before.len();
                    masked |= parts(before, glued, &mut out).found;
                }
                _ => out.push_str(before),
            }
            out.push_str(whole.as_str());
            at = whole.end();
            self.open = mark.name("begin").map(|_| Open::default());
        }
        let rest = &text[at..];
        match &mut self.open {
            // The text after a mark is masked together with the line of the mark.
            Some(open) if at == 0 => {
                let parts = parts(rest, true, &mut out);
                masked |= parts.found;
                open.lines += 1;
                open.quiet = if parts.long { 0 } else { open.quiet + 1 };
                if open.lines >= MOST || open.quiet >= QUIET {
                    self.open = None;
                }
            }
            _ => out.push_str(rest),
        }
        masked.then_some(out)
    }

    /// Masks a text that may have several lines.
    pub fn mask_lines(&mut self, text: &str) -> Option<String> {
        let masked: Vec<_> = text
            .split('\n')
            .map(|line| (line, self.mask(line)))
            .collect();
        let any = masked.iter().any(|(_, masked)| masked.is_some());
        any.then(|| {
            let lines = masked.iter();
            let lines = lines.map(|(line, masked)| masked.as_deref().unwrap_or(line));
            lines.collect::<Vec<_>>().join("\n")
        })
    }
}

/// The parts of a key in a line.
#[derive(Clone, Copy, Debug)]
struct Parts {
    found: bool,
    /// A part certainly belongs to the key: it is a long run, or the whole line.
    long: bool,
}

/// Writes the line with a mask for each long run, and with `short_end` also for the last run, which
/// may be the short end of a key.
fn parts(line: &str, short_end: bool, out: &mut String) -> Parts {
    let runs = runs(line);
    let last = runs.last().filter(|_| short_end).cloned();
    let whole = last.as_ref().is_some_and(|last| *last == trimmed(line));
    let mut parts = Parts {
        found: false,
        long: whole,
    };
    let mut at = 0;
    for run in runs {
        let long = run.len() >= RUN;
        if !long && Some(&run) != last.as_ref() {
            continue;
        }
        out.push_str(&line[at..run.start]);
        out.push_str(MASK);
        at = run.end;
        parts.found = true;
        parts.long |= long;
    }
    out.push_str(&line[at..]);
    parts
}

fn trimmed(line: &str) -> Range<usize> {
    let start = line.len() - line.trim_start().len();
    start..start.max(line.trim_end().len())
}

/// Returns the runs of characters that occur in keys.
fn runs(line: &str) -> Vec<Range<usize>> {
    let of_keys = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '/' | '=');
    let (mut runs, mut start) = (Vec::new(), None);
    for (at, c) in line.char_indices() {
        match (of_keys(c), start) {
            (true, None) => start = Some(at),
            (false, Some(from)) => {
                runs.push(from..at);
                start = None;
            }
            _ => {}
        }
    }
    runs.extend(start.map(|from| from..line.len()));
    runs
}
