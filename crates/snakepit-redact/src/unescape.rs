//! The layers of a text: as it is, and with one level of its escapes after the other undone.
//!
//! A value that a program has escaped, quoted or encoded, several times or in several ways, stands
//! unchanged in one of the layers.

use std::ops::Range;

/// Largest number of levels of escapes that are undone.
const LEVELS: usize = 4;

/// The value of a byte in `\xe9` or `\351` that is not ASCII.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Bytes {
    /// A byte of UTF-8, as in `repr(b"…")` and shells.
    Utf8,
    /// A character, as in `repr("…")` and `ascii("…")`.
    Latin,
}

/// A text with some levels of its escapes undone.
#[derive(Debug)]
pub(super) struct Layer {
    pub(super) text: Vec<u8>,
    /// The place in the original of each byte, and of the end.
    places: Vec<usize>,
}

impl Layer {
    /// Returns the span in the original of a part of the layer.
    pub(super) fn place(&self, span: &Range<usize>) -> Range<usize> {
        self.places[span.start]..self.places[span.end]
    }
}

/// Passes each layer of a text except the text itself to `see`.
pub(super) fn layers(text: &str, mut see: impl FnMut(&Layer)) {
    let text = text.as_bytes();
    let mut ambiguous = false;
    each_level(text, Bytes::Utf8, &mut ambiguous, &mut see);
    if ambiguous {
        each_level(text, Bytes::Latin, &mut ambiguous, &mut see);
    }
}

fn each_level(text: &[u8], bytes: Bytes, ambiguous: &mut bool, see: &mut impl FnMut(&Layer)) {
    let Some(mut layer) = undone(text, bytes, ambiguous, |at| at) else {
        return;
    };
    see(&layer);
    for _ in 1..LEVELS {
        let next = undone(&layer.text, bytes, ambiguous, |at| layer.places[at]);
        match next {
            Some(next) => layer = next,
            None => return,
        }
        see(&layer);
    }
}

/// Undoes one level of escapes. `None` if the text has none.
fn undone(
    text: &[u8],
    bytes: Bytes,
    ambiguous: &mut bool,
    place: impl Fn(usize) -> usize,
) -> Option<Layer> {
    let special = |byte: &u8| matches!(byte, b'\\' | b'%' | b'&' | b'\'' | b'"');
    let mut layer: Option<Layer> = None;
    let (mut at, mut kept) = (0, 0);
    while let Some(ahead) = text[at..].iter().position(special) {
        at += ahead;
        let Some((length, meant)) = escape(&text[at..]) else {
            at += 1;
            continue;
        };
        let layer = layer.get_or_insert_with(|| Layer {
            text: Vec::with_capacity(text.len()),
            places: Vec::with_capacity(text.len() + 1),
        });
        layer.text.extend_from_slice(&text[kept..at]);
        layer.places.extend((kept..at).map(&place));
        let mut room = [0; 4];
        let meant = match meant {
            Meant::Char(c) => c.encode_utf8(&mut room).as_bytes(),
            Meant::Byte(byte) => {
                *ambiguous |= !byte.is_ascii();
                match bytes {
                    Bytes::Latin => char::from(byte).encode_utf8(&mut room).as_bytes(),
                    Bytes::Utf8 => &[byte],
                }
            }
            Meant::Encoded(byte) => &[byte],
        };
        layer.text.extend_from_slice(meant);
        layer.places.extend(meant.iter().map(|_| place(at)));
        at += length;
        kept = at;
    }
    let mut layer = layer?;
    layer.text.extend_from_slice(&text[kept..]);
    layer.places.extend((kept..=text.len()).map(&place));
    Some(layer)
}

/// The meaning of an escape.
#[derive(Clone, Copy, Debug)]
enum Meant {
    Char(char),
    /// A byte or a character, as [`Bytes`] says.
    Byte(u8),
    /// A byte of UTF-8.
    Encoded(u8),
}

/// Returns the length and the meaning of the escape at the beginning.
fn escape(rest: &[u8]) -> Option<(usize, Meant)> {
    match rest[0] {
        b'\\' => backslash(rest),
        b'%' => {
            let byte = u8::try_from(number(rest.get(1..3)?, 16)?).ok()?;
            Some((3, Meant::Encoded(byte)))
        }
        b'&' => entity(rest),
        // Parts of a text that a shell joins, and doubled quotes.
        _ => {
            let quotes: [(&[u8], char); 5] = [
                (br#"'"'"'"#, '\''),
                (br"'\''", '\''),
                (br#""'"'""#, '"'),
                (b"''", '\''),
                (br#""""#, '"'),
            ];
            let found = quotes.iter().find(|(quote, _)| rest.starts_with(quote));
            found.map(|(quote, c)| (quote.len(), Meant::Char(*c)))
        }
    }
}

/// Reads an escape of a literal in Python, JSON, C or a shell.
fn backslash(rest: &[u8]) -> Option<(usize, Meant)> {
    let c = match *rest.get(1)? {
        b'x' => {
            let byte = u8::try_from(number(rest.get(2..4)?, 16)?).ok()?;
            return Some((4, Meant::Byte(byte)));
        }
        b'u' if rest.get(2) == Some(&b'{') => {
            let digits = rest[3..].iter().take(7).position(|byte| *byte == b'}')?;
            let c = char::from_u32(number(&rest[3..3 + digits], 16)?)?;
            return Some((digits + 4, Meant::Char(c)));
        }
        b'u' => return utf16(rest),
        b'U' => {
            let c = char::from_u32(number(rest.get(2..10)?, 16)?)?;
            return Some((10, Meant::Char(c)));
        }
        b'0'..=b'3' if rest.get(1..4).is_some_and(|it| number(it, 8).is_some()) => {
            let byte = u8::try_from(number(&rest[1..4], 8)?).ok()?;
            return Some((4, Meant::Byte(byte)));
        }
        b'n' => '\n',
        b'r' => '\r',
        b't' => '\t',
        b'b' => '\u{8}',
        b'f' => '\u{c}',
        b'a' => '\u{7}',
        b'v' => '\u{b}',
        b'e' | b'E' => '\u{1b}',
        b'0' => '\0',
        // A backslash before a character that XML has written as a reference. A shell would have
        // escaped the semicolon, too.
        b'&' if entity(&rest[1..]).is_some() => return None,
        byte if byte == b' ' || byte.is_ascii_punctuation() => char::from(byte),
        _ => return None,
    };
    Some((2, Meant::Char(c)))
}

/// Reads `\uXXXX`, or two of them for a character outside of the basic plane.
fn utf16(rest: &[u8]) -> Option<(usize, Meant)> {
    let unit = |at: usize| {
        let unit = rest.get(at..at + 6)?.strip_prefix(b"\\u")?;
        number(unit, 16).and_then(|unit| u16::try_from(unit).ok())
    };
    let units = [unit(0)?, unit(6).unwrap_or(0)];
    let c = char::decode_utf16(units).next()?.ok()?;
    Some((6 * c.len_utf16(), Meant::Char(c)))
}

/// Reads a character reference of HTML or XML.
fn entity(rest: &[u8]) -> Option<(usize, Meant)> {
    let end = rest.iter().take(12).position(|byte| *byte == b';')?;
    let c = match &rest[1..end] {
        b"amp" | b"AMP" => '&',
        b"lt" | b"LT" => '<',
        b"gt" | b"GT" => '>',
        b"quot" | b"QUOT" => '"',
        b"apos" => '\'',
        b"nbsp" => '\u{a0}',
        [b'#', b'x' | b'X', digits @ ..] => char::from_u32(number(digits, 16)?)?,
        [b'#', digits @ ..] => char::from_u32(number(digits, 10)?)?,
        _ => return None,
    };
    Some((end + 1, Meant::Char(c)))
}

/// Reads a number that consists of digits alone.
fn number(digits: &[u8], radix: u32) -> Option<u32> {
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0_u32, |number, digit| {
        let digit = char::from(*digit).to_digit(radix)?;
        number.checked_mul(radix)?.checked_add(digit)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(text: &str) -> Vec<String> {
        let mut all = Vec::new();
        layers(text, |layer| {
            all.push(String::from_utf8_lossy(&layer.text).into_owned());
        });
        all
    }

    #[test]
    fn each_level_of_escapes_is_a_layer() {
        assert!(all("nothing here: 100 % of \u{e9}").is_empty());
        assert_eq!(all(r"a%2540b"), ["a%40b", "a@b"]);
        assert_eq!(all(r#"\"a\\nb\""#), ["\"a\\nb\"", "\"a\nb\""]);
        assert_eq!(all("&amp;quot;x&#34;&#x27;"), ["&quot;x\"'", "\"x\"'"]);
        assert_eq!(all(r"\u003cb\u{3e}\ud83d\ude00"), ["<b>\u{1f600}"]);
        assert_eq!(all(r"it'\''s a ''b''"), ["it's a 'b'"]);
    }

    #[test]
    fn a_backslash_before_a_reference_stays() {
        assert_eq!(all(r"a\&#201;d"), ["a\\\u{c9}d"]);
        assert_eq!(all(r"a\&amp\;d")[0], "a&amp;d");
        let traced = r"&amp;#x27;\&amp;#x27;&amp;#x27;";
        assert_eq!(all(traced), [r"&#x27;\&#x27;&#x27;", r"'\''", "'"]);
    }

    #[test]
    fn a_byte_is_one_of_utf8_or_a_character() {
        assert_eq!(all(r"\xc3\xa9"), ["\u{e9}", "\u{c3}\u{a9}"]);
        assert_eq!(all(r"\303\251"), ["\u{e9}", "\u{c3}\u{a9}"]);
        assert_eq!(all(r"\xe9!"), ["\u{fffd}!", "\u{e9}!"]);
    }

    #[test]
    fn parts_of_a_layer_have_their_place_in_the_text() {
        let text = r"ab\x2541c";
        let mut places = Vec::new();
        layers(text, |layer| places.push(layer.place(&(2..3))));
        assert_eq!(places, [2..6, 2..8]);
    }

    #[test]
    fn parts_of_escapes_are_none() {
        for text in [
            "\\", "%", "%4", "&", "&quot", "\\x4", "\\u12", "\\ud83d", "\\u{}", "&#;", "\\w",
        ] {
            assert!(all(text).is_empty(), "{text}");
        }
    }
}
