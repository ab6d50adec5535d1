//! The readable form of a text: without colours and without characters of zero width.

use std::borrow::Cow;
use std::ops::Range;

/// The readable characters of a text, with their positions in it.
pub(super) struct Plain<'a> {
    text: Cow<'a, str>,
    /// The start of each kept piece, in the readable text and in the original.
    pieces: Vec<(usize, usize)>,
    /// Spans of terminal commands in the original, such as the address of a link or the title of a
    /// window.
    commands: Vec<Range<usize>>,
}

impl<'a> Plain<'a> {
    pub(super) fn of(original: &'a str) -> Self {
        let mut plain = Self {
            text: Cow::Borrowed(original),
            pieces: Vec::new(),
            commands: Vec::new(),
        };
        if !original.bytes().any(|byte| byte == 0x1b || byte >= 0x80) {
            return plain;
        }
        let (mut text, mut kept) = (String::new(), 0);
        let mut at = 0;
        while let Some(c) = original[at..].chars().next() {
            let skipped = invisible(&original[at..], c);
            if skipped == 0 {
                at += c.len_utf8();
                continue;
            }
            plain.pieces.push((text.len(), kept));
            text.push_str(&original[kept..at]);
            if skipped > 8 && original[at..].starts_with("\u{1b}]") {
                plain.commands.push(at + 2..at + skipped);
            }
            at += skipped;
            kept = at;
        }
        if kept > 0 {
            plain.pieces.push((text.len(), kept));
            text.push_str(&original[kept..]);
            plain.text = Cow::Owned(text);
        }
        plain
    }

    pub(super) fn text(&self) -> &str {
        &self.text
    }

    pub(super) fn commands(&self) -> &[Range<usize>] {
        &self.commands
    }

    /// Returns the span in the original of a part of the readable text, including everything
    /// between.
    pub(super) fn place(&self, span: &Range<usize>) -> Range<usize> {
        let before = self.pieces.partition_point(|piece| piece.0 <= span.start);
        let until = self.pieces.partition_point(|piece| piece.0 < span.end);
        let moved = |pieces: usize, at: usize| match pieces.checked_sub(1) {
            Some(index) => at - self.pieces[index].0 + self.pieces[index].1,
            None => at,
        };
        moved(before, span.start)..moved(until, span.end)
    }
}

/// Returns the length of the invisible sequence at the beginning. 0 if the first character is
/// readable.
fn invisible(rest: &str, first: char) -> usize {
    match first {
        '\u{1b}' => escape(rest),
        '\u{9b}' => 2 + control(&rest[2..]),
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' => first.len_utf8(),
        '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' => first.len_utf8(),
        '\u{fe00}'..='\u{fe0f}' | '\u{e0000}'..='\u{e0fff}' => first.len_utf8(),
        _ => 0,
    }
}

/// Returns the length of an escape sequence, which begins with ESC.
fn escape(rest: &str) -> usize {
    match rest.as_bytes().get(1) {
        Some(b'[') => 2 + control(&rest[2..]),
        // A command of the operating system, such as a link or a title: up to BEL, or the ESC of
        // its end.
        Some(b']') => {
            let end = rest[2..].find(['\u{7}', '\u{1b}', '\n']);
            match end {
                Some(end) if rest.as_bytes()[2 + end] == 7 => 2 + end + 1,
                Some(end) if rest[2 + end..].starts_with("\u{1b}\\") => 2 + end + 2,
                // It has no end: what follows is text.
                _ => 2,
            }
        }
        Some(0x30..=0x7e) => 2,
        Some(b'(' | b')') => rest.chars().take(3).map(char::len_utf8).sum(),
        _ => 1,
    }
}

/// Returns the length of the parameters and the final byte of a control sequence.
fn control(rest: &str) -> usize {
    let parameters = rest.bytes().take_while(|byte| (0x20..=0x3f).contains(byte));
    let length = parameters.count();
    match rest.as_bytes().get(length) {
        Some(0x40..=0x7e) => length + 1,
        _ => length,
    }
}
