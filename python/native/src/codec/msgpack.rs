//! MessagePack tokens: reading and writing, without Python.

/// Largest number of levels of nesting in a payload.
pub(crate) const MAX_DEPTH: usize = 128;

/// Extension types of `docs/values.md`.
pub(crate) mod ext {
    pub(crate) const DATETIME: i8 = 1;
    pub(crate) const DATE: i8 = 2;
    pub(crate) const TIME: i8 = 3;
    pub(crate) const TIMEDELTA: i8 = 4;
    pub(crate) const UUID: i8 = 5;
    pub(crate) const DECIMAL: i8 = 6;
    pub(crate) const ARRAY: i8 = 7;
    /// Marks a list as a frozenset: its first item is this extension, without data.
    pub(crate) const SET: i8 = 9;
    pub(crate) const DATA_FRAME: i8 = 16;
}

/// A value, or the header of a container whose items follow.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Token<'a> {
    Nil,
    Bool(bool),
    Int(i64),
    UInt(u64),
    Float(f64),
    Str(&'a str),
    Bin(&'a [u8]),
    Array(usize),
    Map(usize),
    Ext(i8, &'a [u8]),
}

/// An error of decoding: the bytes are not valid MessagePack.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Malformed {
    /// Offset of the error in the payload.
    pub(crate) at: usize,
    /// Reason of the error.
    pub(crate) what: &'static str,
}

/// A reader of tokens.
#[derive(Clone, Debug)]
pub(crate) struct Scanner<'a> {
    data: &'a [u8],
    at: usize,
}

impl<'a> Scanner<'a> {
    pub(crate) const fn new(data: &'a [u8]) -> Self {
        Self { data, at: 0 }
    }

    /// Returns an error at the current offset.
    pub(crate) const fn malformed(&self, what: &'static str) -> Malformed {
        Malformed { at: self.at, what }
    }

    /// Checks that no bytes are left.
    pub(crate) fn finish(&self) -> Result<(), Malformed> {
        if self.at == self.data.len() {
            Ok(())
        } else {
            Err(self.malformed("bytes after the value"))
        }
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], Malformed> {
        let rest = &self.data[self.at..];
        if rest.len() < length {
            return Err(self.malformed("the value is cut short"));
        }
        self.at += length;
        Ok(&rest[..length])
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let mut bytes = [0; N];
        bytes.copy_from_slice(self.take(N)?);
        Ok(bytes)
    }

    fn length(&mut self, width: u8) -> Result<usize, Malformed> {
        Ok(match width {
            1 => usize::from(self.array::<1>()?[0]),
            2 => usize::from(u16::from_be_bytes(self.array()?)),
            _ => u32::from_be_bytes(self.array()?) as usize,
        })
    }

    fn text(&mut self, length: usize) -> Result<Token<'a>, Malformed> {
        let at = self.at;
        let text = std::str::from_utf8(self.take(length)?);
        text.map(Token::Str).map_err(|_| Malformed {
            at,
            what: "the text is not UTF-8",
        })
    }

    /// Checks the length of a container before memory is allocated for it: it cannot have more
    /// items than bytes are left.
    fn items(&self, count: usize, bytes_each: usize) -> Result<usize, Malformed> {
        if count > (self.data.len() - self.at) / bytes_each {
            return Err(self.malformed("a container claims more items than there are bytes"));
        }
        Ok(count)
    }

    fn extension(&mut self, length: usize) -> Result<Token<'a>, Malformed> {
        let kind = i8::from_be_bytes(self.array()?);
        Ok(Token::Ext(kind, self.take(length)?))
    }

    /// Consumes the mark of a frozenset after the header of a list of `count` items. Returns the
    /// number of the other items; `None` if there is no mark.
    pub(crate) fn set(&mut self, count: usize) -> Option<usize> {
        const MARK: [u8; 3] = [0xc7, 0, ext::SET as u8];
        // Most lists do not begin with an extension.
        if *self.data.get(self.at)? != MARK[0] || !self.data[self.at..].starts_with(&MARK) {
            return None;
        }
        let others = count.checked_sub(1)?;
        self.at += MARK.len();
        Some(others)
    }

    /// Reads the next token.
    pub(crate) fn next(&mut self) -> Result<Token<'a>, Malformed> {
        let [marker] = self.array()?;
        Ok(match marker {
            0x00..=0x7f => Token::Int(i64::from(marker)),
            0xe0..=0xff => Token::Int(i64::from(marker as i8)),
            0x80..=0x8f => Token::Map(self.items(usize::from(marker & 0x0f), 2)?),
            0x90..=0x9f => Token::Array(self.items(usize::from(marker & 0x0f), 1)?),
            0xa0..=0xbf => self.text(usize::from(marker & 0x1f))?,
            0xc0 => Token::Nil,
            0xc1 => {
                return Err(Malformed {
                    at: self.at - 1,
                    what: "0xc1 is not a valid first byte of a value",
                });
            }
            0xc2 => Token::Bool(false),
            0xc3 => Token::Bool(true),
            0xc4..=0xc6 => {
                let length = self.length(1 << (marker - 0xc4))?;
                Token::Bin(self.take(length)?)
            }
            0xc7..=0xc9 => {
                let length = self.length(1 << (marker - 0xc7))?;
                self.extension(length)?
            }
            0xca => Token::Float(f64::from(f32::from_be_bytes(self.array()?))),
            0xcb => Token::Float(f64::from_be_bytes(self.array()?)),
            0xcc => Token::Int(i64::from(self.array::<1>()?[0])),
            0xcd => Token::Int(i64::from(u16::from_be_bytes(self.array()?))),
            0xce => Token::Int(i64::from(u32::from_be_bytes(self.array()?))),
            0xcf => {
                let number = u64::from_be_bytes(self.array()?);
                i64::try_from(number).map_or(Token::UInt(number), Token::Int)
            }
            0xd0 => Token::Int(i64::from(i8::from_be_bytes(self.array()?))),
            0xd1 => Token::Int(i64::from(i16::from_be_bytes(self.array()?))),
            0xd2 => Token::Int(i64::from(i32::from_be_bytes(self.array()?))),
            0xd3 => Token::Int(i64::from_be_bytes(self.array()?)),
            0xd4..=0xd8 => self.extension(1 << (marker - 0xd4))?,
            0xd9..=0xdb => {
                let length = self.length(1 << (marker - 0xd9))?;
                self.text(length)?
            }
            0xdc | 0xdd => {
                let count = self.length(2 << (marker - 0xdc))?;
                Token::Array(self.items(count, 1)?)
            }
            0xde | 0xdf => {
                let count = self.length(2 << (marker - 0xde))?;
                Token::Map(self.items(count, 2)?)
            }
        })
    }
}

/// Appends a float.
#[inline]
pub(crate) fn float(out: &mut Vec<u8>, value: f64) {
    out.reserve(1 + size_of::<f64>());
    out.push(0xcb);
    out.extend_from_slice(&value.to_be_bytes());
}

/// Appends a token; the items of a container follow its header.
pub(crate) fn write(out: &mut Vec<u8>, token: Token<'_>) {
    match token {
        Token::Nil => out.push(0xc0),
        Token::Bool(value) => out.push(0xc2 + u8::from(value)),
        Token::Int(value) => int(out, value),
        Token::UInt(value) => {
            out.push(0xcf);
            out.extend_from_slice(&value.to_be_bytes());
        }
        Token::Float(value) => float(out, value),
        Token::Str(text) => {
            str_header(out, text.len());
            out.extend_from_slice(text.as_bytes());
        }
        Token::Bin(bytes) => {
            bin_header(out, bytes.len());
            out.extend_from_slice(bytes);
        }
        Token::Array(count) => sized(out, count, Some((0x90, 16)), None, 0xdc),
        Token::Map(count) => sized(out, count, Some((0x80, 16)), None, 0xde),
        Token::Ext(kind, bytes) => {
            ext_header(out, kind, bytes.len());
            out.extend_from_slice(bytes);
        }
    }
}

/// Appends the header of a text that follows.
pub(crate) fn str_header(out: &mut Vec<u8>, length: usize) {
    sized(out, length, Some((0xa0, 32)), Some(0xd9), 0xda);
}

/// Appends the header of a byte string that follows.
pub(crate) fn bin_header(out: &mut Vec<u8>, length: usize) {
    sized(out, length, None, Some(0xc4), 0xc5);
}

/// Appends the header of an extension whose data follows.
pub(crate) fn ext_header(out: &mut Vec<u8>, kind: i8, length: usize) {
    match length {
        1 | 2 | 4 | 8 | 16 => out.push(0xd4 + length.trailing_zeros() as u8),
        length => sized(out, length, None, Some(0xc7), 0xc8),
    }
    out.push(kind as u8);
}

/// Appends an integer in its shortest form.
pub(crate) fn int(out: &mut Vec<u8>, value: i64) {
    match value {
        -32..=127 => out.push(value as u8),
        128..=0xff => out.extend_from_slice(&[0xcc, value as u8]),
        0x100..=0xffff => {
            out.push(0xcd);
            out.extend_from_slice(&(value as u16).to_be_bytes());
        }
        0x1_0000..=0xffff_ffff => {
            out.push(0xce);
            out.extend_from_slice(&(value as u32).to_be_bytes());
        }
        -128..=-33 => out.extend_from_slice(&[0xd0, value as u8]),
        -32_768..=-129 => {
            out.push(0xd1);
            out.extend_from_slice(&(value as i16).to_be_bytes());
        }
        -2_147_483_648..=-32_769 => {
            out.push(0xd2);
            out.extend_from_slice(&(value as i32).to_be_bytes());
        }
        _ => {
            out.push(0xd3);
            out.extend_from_slice(&value.to_be_bytes());
        }
    }
}

/// Appends a marker with a length in 0, 1, 2 or 4 bytes. Lengths of 4 GiB and more do not occur:
/// payloads are limited below that.
fn sized(out: &mut Vec<u8>, length: usize, fixed: Option<(u8, usize)>, byte: Option<u8>, two: u8) {
    match (fixed, byte) {
        (Some((marker, below)), _) if length < below => out.push(marker | length as u8),
        (_, Some(marker)) if length <= 0xff => out.extend_from_slice(&[marker, length as u8]),
        _ if length <= 0xffff => {
            out.push(two);
            out.extend_from_slice(&(length as u16).to_be_bytes());
        }
        _ => {
            out.push(two + 1);
            out.extend_from_slice(&(length as u32).to_be_bytes());
        }
    }
}
