//! Reading of `str` and `bytes` objects.

use crate::layout::Python;
use crate::memory::{Memory, at, half_of, word, word_of};

/// Largest number of characters of a text that are read; a longer text ends with an ellipsis.
const MAX_TEXT: usize = 512;

/// Largest `bytes` object that is read, in bytes.
const MAX_BYTES: u64 = 256 << 10;

const COMPACT: u32 = 1 << 3;
const ASCII: u32 = 1 << 4;

/// Reads a `str`. `None` if there is none at this address, or it is not in the compact form.
pub(crate) fn text(memory: &impl Memory, python: &Python, address: u64) -> Option<String> {
    let places = &python.layout.object;
    let mut head = [0; 128];
    let head = head.get_mut(..places.not_ascii.min(128))?;
    if !memory.read(address, head) || word_of(head, places.class) != python.str_type {
        return None;
    }
    let state = half_of(head, places.text_state)
        .checked_shr(places.text_kind)
        .unwrap_or(0);
    if state & COMPACT == 0 {
        return None;
    }
    let width = state & 7;
    let width = match width {
        1 | 2 | 4 => width as usize,
        _ => return None,
    };
    let ascii = state & ASCII != 0;
    let data = at(
        address,
        if ascii {
            places.ascii
        } else {
            places.not_ascii
        },
    )?;
    let length = usize::try_from(word_of(head, places.text_length)).unwrap_or(usize::MAX);
    let mut bytes = vec![0; length.min(MAX_TEXT) * width];
    if !memory.read(data, &mut bytes) {
        return None;
    }
    let code = |unit: &[u8]| {
        let unit = unit
            .iter()
            .rev()
            .fold(0, |code, byte| code << 8 | u32::from(*byte));
        char::from_u32(unit).unwrap_or(char::REPLACEMENT_CHARACTER)
    };
    let mut text: String = bytes.chunks_exact(width).map(code).collect();
    if length > MAX_TEXT {
        text.push('…');
    }
    Some(text)
}

/// Reads a `bytes`. `None` if there is none at this address, or it is too large.
pub(crate) fn bytes(memory: &impl Memory, python: &Python, address: u64) -> Option<Vec<u8>> {
    let places = &python.layout.object;
    if word(memory, address, places.class)? != python.bytes_type {
        return None;
    }
    let length = word(memory, address, places.size)?;
    let length = usize::try_from(length).ok();
    let length = length.filter(|length| *length as u64 <= MAX_BYTES)?;
    let mut bytes = vec![0; length];
    memory
        .read(at(address, places.bytes)?, &mut bytes)
        .then_some(bytes)
}
