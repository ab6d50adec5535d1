//! Expansion of the arrays and sets of a payload into lists, for types that accept only lists.

use std::fmt;

use bytes::Bytes;

use super::array;
use super::kinds::code;
use crate::value::{DType, Payload, Tensor};

/// Largest size in bytes of a payload with its arrays as lists.
const MOST: usize = 288 << 20;

/// Largest size of a time as text.
const TIME: usize = 64;

/// The error that an array would be too long as a list: its type, and the size of the list.
#[derive(Debug)]
pub(crate) struct TooLong(DType, usize);

impl fmt::Display for TooLong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(dtype, bytes) = self;
        write!(
            f,
            "an array of {dtype} would take {} MiB as a list, read it as a `Tensor`",
            bytes >> 20
        )
    }
}

/// Returns the payload with every array as nested lists, and every set as a list. `None` if it has
/// none, or is malformed.
///
/// The values of a payload stand one after the other, containers before their items, so no
/// recursion is needed.
///
/// # Errors
/// An array would be too long.
pub(crate) fn arrays(payload: &Bytes) -> Result<Option<Bytes>, TooLong> {
    let mut long = None;
    let expanded = expanded(payload, &mut long);
    match long {
        Some(long) => Err(long),
        None => Ok(expanded),
    }
}

fn expanded(payload: &Bytes, long: &mut Option<TooLong>) -> Option<Bytes> {
    let mut out = Vec::new();
    let (mut at, mut copied) = (0, 0);
    while at < payload.len() {
        let token = Token::at(payload, at)?;
        if token.array {
            out.extend_from_slice(&payload[copied..at]);
            let block = payload.slice(token.data..token.end);
            list(&array::read(&block).ok()?, &mut out, long)?;
            copied = token.end;
        }
        at = token.end;
        if let Some(items) = token.items.filter(|_| payload[at..].starts_with(&SET)) {
            out.extend_from_slice(&payload[copied..token.start]);
            length(u32::try_from(items).ok()?.checked_sub(1)?, &mut out);
            at += SET.len();
            copied = at;
        }
    }
    if copied == 0 {
        return None;
    }
    out.extend_from_slice(&payload[copied..]);
    Some(out.into())
}

/// Returns the offset of the first text that is not UTF-8. `None` if there is none before the end,
/// or before the first malformed value.
pub(crate) fn broken_text(payload: &[u8]) -> Option<usize> {
    let mut at = 0;
    while at < payload.len() {
        let token = Token::at(payload, at)?;
        if token.text && std::str::from_utf8(&payload[token.data..token.end]).is_err() {
            return Some(token.data);
        }
        at = token.end;
    }
    None
}

/// The mark of a set as encoders write it.
const SET: [u8; 3] = [0xc7, 0, code::SET as u8];

/// The place of one value, or of the header of a container.
struct Token {
    start: usize,
    /// Number of items of a list.
    items: Option<usize>,
    array: bool,
    text: bool,
    data: usize,
    end: usize,
}

impl Token {
    fn at(bytes: &[u8], at: usize) -> Option<Self> {
        let marker = bytes[at];
        let length = |width: usize| -> Option<usize> {
            let digits = bytes.get(at + 1..at + 1 + width)?;
            let fold = |sum: usize, digit: &u8| sum << 8 | usize::from(*digit);
            Some(digits.iter().fold(0, fold))
        };
        // Number of bytes between the marker and the data, and of the data.
        let (header, data) = match marker {
            0xa0..=0xbf => (0, usize::from(marker & 0x1f)),
            0xc4..=0xc6 => {
                let width = 1 << (marker - 0xc4);
                (width, length(width)?)
            }
            0xc7..=0xc9 => {
                let width = 1 << (marker - 0xc7);
                (width + 1, length(width)?)
            }
            0xca | 0xce | 0xd2 => (0, 4),
            0xcb | 0xcf | 0xd3 => (0, 8),
            0xcc | 0xd0 => (0, 1),
            0xcd | 0xd1 => (0, 2),
            0xd4..=0xd8 => (1, 1 << (marker - 0xd4)),
            0xd9..=0xdb => {
                let width = 1 << (marker - 0xd9);
                (width, length(width)?)
            }
            0xdc | 0xde => (2, 0),
            0xdd | 0xdf => (4, 0),
            _ => (0, 0),
        };
        let start = at + 1 + header;
        let end = start.checked_add(data)?;
        let extension = matches!(marker, 0xc7..=0xc9 | 0xd4..=0xd8);
        let items = match marker {
            0x90..=0x9f => Some(usize::from(marker & 0x0f)),
            0xdc => length(2),
            0xdd => length(4),
            _ => None,
        };
        (end <= bytes.len()).then(|| Self {
            start: at,
            items,
            text: matches!(marker, 0xa0..=0xbf | 0xd9..=0xdb),
            array: extension && bytes[start - 1] == code::ARRAY as u8,
            data: start,
            end,
        })
    }
}

/// Appends an array as nested lists in C order: a plain number without dimensions, an empty list
/// without elements. `None` if the lists would be out of proportion to the data: many dimensions of
/// length 1 would let a small payload grow without bound.
fn list(tensor: &Tensor, out: &mut Vec<u8>, long: &mut Option<TooLong>) -> Option<()> {
    if tensor.is_empty() {
        out.push(0x90);
        return Some(());
    }
    if !tensor.nests() {
        return None;
    }
    let (dtype, size) = (tensor.dtype(), tensor.dtype().size());
    // The lists are at most four times as many as the elements, which is for small arrays.
    let bytes = tensor.len().saturating_mul(widest(dtype));
    if bytes.saturating_add(out.len()) > MOST {
        *long = Some(TooLong(dtype, bytes));
        return None;
    }
    out.reserve(bytes);
    let mut elements = tensor.data().chunks_exact(size);
    level(tensor.shape(), tensor.dtype(), &mut elements, out);
    Some(())
}

/// Returns the largest size of an element in a list.
const fn widest(dtype: DType) -> usize {
    match dtype {
        DType::Bool => 1,
        DType::Float16 => 9,
        DType::Complex64 | DType::Complex128 => 19,
        DType::DateTime64(_) | DType::TimeDelta64(_) => TIME,
        _ => 1 + dtype.size(),
    }
}

fn level(
    shape: &[usize],
    dtype: DType,
    elements: &mut std::slice::ChunksExact<'_, u8>,
    out: &mut Vec<u8>,
) {
    let Some((len, rest)) = shape.split_first() else {
        if let Some(bytes) = elements.next() {
            element(dtype, bytes, out);
        }
        return;
    };
    let items = u32::try_from(*len).expect("payloads are below 4 GiB");
    length(items, out);
    for _ in 0..items {
        level(rest, dtype, elements, out);
    }
}

/// Appends the header of a list.
fn length(items: u32, out: &mut Vec<u8>) {
    out.push(0xdd);
    out.extend_from_slice(&items.to_be_bytes());
}

fn element(dtype: DType, bytes: &[u8], out: &mut Vec<u8>) {
    let marker = match dtype {
        DType::Bool => {
            out.push(0xc2 + u8::from(bytes[0] != 0));
            return;
        }
        DType::Float32 => 0xca,
        DType::Float64 => 0xcb,
        DType::UInt8 => 0xcc,
        DType::UInt16 => 0xcd,
        DType::UInt32 => 0xce,
        DType::UInt64 => 0xcf,
        DType::Int8 => 0xd0,
        DType::Int16 => 0xd1,
        DType::Int32 => 0xd2,
        DType::Int64 => 0xd3,
        _ => {
            // Only a value that nests too deep has no encoding.
            if let Ok(value) = Payload::encode(&dtype.read(bytes)) {
                out.extend_from_slice(&value.bytes);
            }
            return;
        }
    };
    out.push(marker);
    // MessagePack is big-endian.
    out.extend(bytes.iter().rev());
}
