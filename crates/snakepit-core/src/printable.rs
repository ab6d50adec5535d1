//! Text from a peer, made safe for terminals and logs.

use std::borrow::Cow;
use std::fmt::{self, Write};

/// A text that did not come from this program, as one line that a terminal or a log can show.
///
/// Everything that a terminal acts on, or that ends a line, is written as a visible escape: control
/// characters including line breaks (`\n`, `\u{1b}`, `\u{9b}`, `\u{7f}`), line and paragraph
/// separators, characters that change the direction of text, and characters without width. Tabs
/// stay, and so does everything else, including variation selectors of emoji.
///
/// ```
/// use snakepit_core::printable::Printable;
///
/// let message = "bad \u{1b}[2J\nERROR all is lost";
/// assert_eq!(Printable(message).to_string(), "bad \\u{1b}[2J\\nERROR all is lost");
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Printable<'a>(pub &'a str);

impl<'a> Printable<'a> {
    /// Returns the lines of the text, for output that indents each line.
    pub fn lines(self) -> impl Iterator<Item = Printable<'a>> {
        self.0.lines().map(Printable)
    }

    /// Returns true if nothing in the text has to be escaped.
    pub fn is_safe(self) -> bool {
        !self.0.chars().any(is_unsafe)
    }

    /// Returns the escaped text, copied only if something in it has to be escaped.
    pub fn to_text(self) -> Cow<'a, str> {
        if self.is_safe() {
            Cow::Borrowed(self.0)
        } else {
            Cow::Owned(self.to_string())
        }
    }
}

impl fmt::Display for Printable<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Escaping(f).write_str(self.0)
    }
}

/// Returns the first bytes of a text, at most `limit`, followed by `…` if the text is longer. The
/// mark shows the masking of a worker's texts where a known secret may be cut.
pub fn shortened(text: &str, limit: usize) -> Cow<'_, str> {
    if text.len() <= limit {
        return Cow::Borrowed(text);
    }
    let mut ends = (0..=limit).rev();
    let end = ends.find(|at| text.is_char_boundary(*at));
    Cow::Owned(format!("{}…", &text[..end.unwrap_or(0)]))
}

/// A writer that escapes as [`Printable`] does, for texts that are assembled from parts.
#[derive(Debug)]
pub struct Escaping<W>(pub W);

impl<W: Write> Write for Escaping<W> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let mut rest = text;
        while let Some((at, c)) = rest.char_indices().find(|(_, c)| is_unsafe(*c)) {
            self.0.write_str(&rest[..at])?;
            write!(self.0, "{}", c.escape_default())?;
            rest = &rest[at + c.len_utf8()..];
        }
        self.0.write_str(rest)
    }
}

/// Returns true for characters that must be escaped for a terminal or a log.
const fn is_unsafe(c: char) -> bool {
    match c {
        '\t' => false,
        '\u{0}'..='\u{1f}' | '\u{7f}'..='\u{9f}' => true,
        // Line separators, and marks and overrides of the direction.
        '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => {
            true
        }
        // Invisible characters, which can hide in a word.
        '\u{ad}' | '\u{34f}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' => true,
        '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200d}' | '\u{2060}'..='\u{2065}' => true,
        '\u{206a}'..='\u{206f}'
        | '\u{3164}'
        | '\u{feff}'
        | '\u{ffa0}'
        | '\u{fff9}'..='\u{fffb}' => true,
        '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}' => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn escapes_are_visible_and_lines_stay_one() {
        for (text, shown) in [
            ("plain\ttext ü 🐍", "plain\ttext ü 🐍"),
            ("\u{1b}[31mred", "\\u{1b}[31mred"),
            ("a\r\nb", "a\\r\\nb"),
            ("\u{9b}2J\u{7f}", "\\u{9b}2J\\u{7f}"),
            ("\u{202e}gpj.exe\u{2028}", "\\u{202e}gpj.exe\\u{2028}"),
            ("\0", "\\u{0}"),
            (
                "pass\u{200b}word\u{feff}\u{ad}",
                "pass\\u{200b}word\\u{feff}\\u{ad}",
            ),
            (
                "\u{200c}\u{200d}\u{2060}\u{3164}",
                "\\u{200c}\\u{200d}\\u{2060}\\u{3164}",
            ),
            ("tag\u{e0041}", "tag\\u{e0041}"),
            ("done \u{2714}\u{fe0f}", "done \u{2714}\u{fe0f}"),
        ] {
            assert_eq!(Printable(text).to_string(), shown);
            assert_eq!(Printable(text).to_text(), shown);
        }
        let lines: Vec<_> = Printable("a\nb\u{7}")
            .lines()
            .map(|it| it.to_string())
            .collect();
        assert_eq!(lines, ["a", "b\\u{7}"]);
        assert!(matches!(Printable("plain").to_text(), Cow::Borrowed(_)));
    }

    #[test]
    fn a_text_that_is_cut_has_a_mark() {
        for (text, limit, cut) in [
            ("äöü", 6, "äöü"),
            ("äöü", 5, "äö…"),
            ("ä", 1, "…"),
            ("", 0, ""),
        ] {
            assert_eq!(shortened(text, limit), cut);
        }
    }

    proptest! {
        #[test]
        fn it_is_what_escaping_each_character_gives(text in any::<String>(), cut in 0.0..1.0) {
            let naive: String = text
                .chars()
                .map(|c| if is_unsafe(c) { c.escape_default().to_string() } else { c.to_string() })
                .collect();
            prop_assert_eq!(Printable(&text).to_string(), &naive[..]);
            // The result does not depend on the cut.
            let at = text.floor_char_boundary((text.len() as f64 * cut) as usize);
            let mut out = Escaping(String::new());
            out.write_str(&text[..at]).unwrap();
            out.write_str(&text[at..]).unwrap();
            prop_assert_eq!(&out.0, &naive);
            prop_assert!(!naive.chars().any(|c| c.is_control() && c != '\t'));
        }
    }
}
