//! Bytes of a stream as lines of bounded length, with levels from Python's `logging`.

use std::borrow::Cow;

/// Longest line in bytes; the rest is cut off.
pub(super) const MAX_LINE: usize = 16 * 1024;

/// Bytes of a longer line that are read beyond the cut, so that a secret across the cut is
/// recognised.
const BEYOND: usize = 4 * 1024;

/// Cuts bytes into lines of bounded length.
#[derive(Default)]
pub(super) struct Splitter {
    line: Vec<u8>,
}

impl Splitter {
    pub(super) fn feed(&mut self, bytes: &[u8], emit: &mut impl FnMut(&[u8])) {
        let mut rest = bytes;
        while let Some(at) = rest.iter().position(|byte| *byte == b'\n') {
            self.extend(&rest[..at]);
            emit(&self.line);
            self.line.clear();
            rest = &rest[at + 1..];
        }
        self.extend(rest);
    }

    fn extend(&mut self, bytes: &[u8]) {
        let room = (MAX_LINE + BEYOND).saturating_sub(self.line.len());
        self.line.extend_from_slice(&bytes[..bytes.len().min(room)]);
    }

    pub(super) fn finish(&mut self, emit: &mut impl FnMut(&[u8])) {
        if !self.line.is_empty() {
            emit(&self.line);
            self.line.clear();
        }
    }
}

/// Encloses the level of a line from Python's `logging`, as `snakepit_bridge/_log_levels.py` writes
/// it.
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
