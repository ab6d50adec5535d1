//! Bytes of a stream as lines of bounded length, with levels from Python's `logging`.

use std::borrow::Cow;

/// Longest line in bytes; the rest is cut off.
pub(super) const MAX_LINE: usize = 16 * 1024;

/// Bytes of a longer line that are read beyond the cut, so that a secret across the cut is
/// recognised.
const BEYOND: usize = 4 * 1024;

/// A part of a stream.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Part<'a> {
    /// A line, and how many of its bytes were left out at its end.
    Line(&'a [u8], usize),
    /// The present text of a line that the worker writes again and again: a progress bar.
    Progress(&'a [u8]),
}

/// Cuts bytes into lines of bounded length.
#[derive(Default)]
pub(super) struct Splitter {
    line: Vec<u8>,
    /// Bytes of the line for which there was no room.
    left_out: usize,
    /// A carriage return came last.
    returned: bool,
    /// The worker has gone back to the beginning of this line.
    rewritten: bool,
    /// Bytes of the line that were shown as progress.
    shown: usize,
}

impl Splitter {
    pub(super) fn feed(&mut self, bytes: &[u8], emit: &mut impl FnMut(Part<'_>)) {
        let mut rest = bytes;
        while let Some(first) = rest.first() {
            if self.returned && *first != b'\n' {
                self.progress(emit);
                self.clear();
                self.rewritten = true;
            }
            let end = rest.iter().position(|byte| matches!(byte, b'\n' | b'\r'));
            let Some(end) = end else {
                self.extend(rest);
                break;
            };
            self.extend(&rest[..end]);
            if rest[end] == b'\n' {
                emit(Part::Line(&self.line, self.left_out));
                self.clear();
            } else {
                self.returned = true;
            }
            rest = &rest[end + 1..];
        }
        if self.rewritten || self.returned {
            self.progress(emit);
        }
    }

    fn progress(&mut self, emit: &mut impl FnMut(Part<'_>)) {
        if self.line.len() > self.shown {
            emit(Part::Progress(&self.line));
            self.shown = self.line.len();
        }
    }

    fn extend(&mut self, bytes: &[u8]) {
        let room = (MAX_LINE + BEYOND).saturating_sub(self.line.len());
        let taken = bytes.len().min(room);
        self.line.extend_from_slice(&bytes[..taken]);
        self.left_out += bytes.len() - taken;
    }

    fn clear(&mut self) {
        self.line.clear();
        (self.left_out, self.shown) = (0, 0);
        (self.returned, self.rewritten) = (false, false);
    }

    pub(super) fn finish(&mut self, emit: &mut impl FnMut(Part<'_>)) {
        if !self.line.is_empty() {
            emit(Part::Line(&self.line, self.left_out));
            self.clear();
        }
    }
}

/// Encloses the level of a line from Python's `logging`, as
/// `snakepit_bridge/_observe/log_levels.py` writes it.
const MARK: u8 = 0x1e;

/// Level of printed text, in Python's numbers.
const PRINTED: u8 = 20;

/// Returns the level of a line, in Python's numbers, and its text. Text that was printed without a
/// line break may precede the mark.
pub(super) fn levelled(line: &[u8]) -> (u8, Cow<'_, [u8]>) {
    let marked = || {
        let start = line.iter().position(|byte| *byte == MARK)?;
        let rest = &line[start + 1..];
        let end = rest.iter().take(4).position(|byte| *byte == MARK)?;
        let level = std::str::from_utf8(&rest[..end]).ok()?.parse().ok()?;
        let text = &rest[end + 1..];
        Some((
            level,
            match start {
                0 => Cow::Borrowed(text),
                _ => Cow::Owned([&line[..start], text].concat()),
            },
        ))
    };
    marked().unwrap_or((PRINTED, Cow::Borrowed(line)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Parts of several reads, with `~` before progress.
    fn parts(reads: &[&str]) -> Vec<String> {
        let (mut splitter, mut parts) = (Splitter::default(), Vec::new());
        let mut emit = |part: Part<'_>| {
            parts.push(match part {
                Part::Line(line, 0) => String::from_utf8_lossy(line).into_owned(),
                Part::Line(line, left_out) => format!("{} and {left_out}", line.len()),
                Part::Progress(line) => format!("~{}", String::from_utf8_lossy(line)),
            });
        };
        for read in reads {
            splitter.feed(read.as_bytes(), &mut emit);
        }
        splitter.finish(&mut emit);
        parts
    }

    #[test]
    fn a_line_that_is_written_again_is_progress_until_it_ends() {
        assert_eq!(parts(&["one\r\ntwo\n"]), ["one", "two"]);
        assert_eq!(parts(&["one\r", "\ntwo"]), ["~one", "one", "two"]);
        let bar = ["\r 10%", "\r 20%", "\r100%\n", "done\n"];
        assert_eq!(parts(&bar), ["~ 10%", "~ 20%", "100%", "done"]);
        let bar = ["1 of 2\r2 of 2\r", "done\n"];
        assert_eq!(parts(&bar), ["~1 of 2", "~2 of 2", "done"]);
        assert_eq!(parts(&["1%\r2%\r"]), ["~1%", "~2%", "2%"]);
        assert_eq!(
            parts(&["\r1%", " of it", "\n"]),
            ["~1%", "~1% of it", "1% of it"]
        );
    }

    #[test]
    fn what_a_long_line_lacks_is_counted() {
        let line = "x".repeat(MAX_LINE + BEYOND + 7) + "\nshort\n";
        assert_eq!(
            parts(&[&line]),
            [&format!("{} and 7", MAX_LINE + BEYOND), "short"]
        );
    }

    #[test]
    fn a_line_of_pythons_logging_has_its_level() {
        for (line, level, text) in [
            (&b"\x1e30\x1elow disk"[..], 30, &b"low disk"[..]),
            (b"\x1e5\x1e", 5, b""),
            (b"plain", 20, b"plain"),
            (b"\x1e999\x1ex", 20, b"\x1e999\x1ex"),
            (b"\x1e\x1ex", 20, b"\x1e\x1ex"),
            (b"\x1e30", 20, b"\x1e30"),
            (b"42 % \x1e40\x1efull", 40, b"42 % full"),
        ] {
            assert_eq!(levelled(line), (level, Cow::Borrowed(text)));
        }
    }
}
