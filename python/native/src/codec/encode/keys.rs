//! Keys of maps and items of frozensets: hashable at the other end, and different there.

use pyo3::prelude::*;
use pyo3::types::{PyBool, PyBytes, PyFloat, PyFrozenSet, PyInt, PySet, PyString, PyTuple};

use super::refusal::{EncodeError, failed, named};
use super::{any, deeper, int, string};
use crate::codec::array;
use crate::codec::decode::decode;
use crate::codec::kinds;
use crate::codec::msgpack::{Token, ext, write};

/// A place that requires a hashable value, with the texts of its error.
pub(super) struct Place {
    refused: &'static str,
    help: &'static str,
    twice: &'static str,
    help_twice: &'static str,
}

pub(super) const KEY: Place = Place {
    refused: "as a key, which the other end cannot have as a key",
    help: "use a text, a number, a tuple or a frozenset as the key",
    twice: "two keys",
    help_twice: "send `list(value.items())`, or make the keys of one type",
};

const SET_ITEM: Place = Place {
    refused: "in a frozenset, which the other end cannot have in one",
    help: "send `list(value)` in place of the frozenset",
    twice: "two items",
    help_twice: "send `list(value)`, or make the items of one type",
};

/// Encodes a key of a map.
pub(super) fn key(
    value: &Bound<'_, PyAny>,
    out: &mut Vec<u8>,
    depth: usize,
) -> Result<(), EncodeError> {
    match value.cast_exact::<PyString>() {
        Ok(text) => string(text, out),
        Err(_) => hashable(value, out, depth, &KEY),
    }
}

/// Encodes a key that is not a text, or an item of a set. A function of its own, so that maps with
/// text keys do not pay for it. An array becomes a tuple at the other end; any other container
/// would be another key there, or none.
#[inline(never)]
fn hashable(
    value: &Bound<'_, PyAny>,
    out: &mut Vec<u8>,
    depth: usize,
    place: &Place,
) -> Result<(), EncodeError> {
    if let Ok(number) = value.cast_exact::<PyInt>() {
        return int(number, out);
    }
    if let Ok(items) = value.cast::<PyTuple>() {
        let depth = deeper(depth)?;
        write(out, Token::Array(items.len()));
        return items.iter().enumerate().try_for_each(|(index, item)| {
            hashable(&item, out, depth, place)
                .map_err(|error| error.inside(|| format!("[{index}]")))
        });
    }
    if let Ok(set) = value.cast::<PyFrozenSet>() {
        return frozen_set(set, out, depth);
    }
    if kinds::ENUM.is_instance(value) {
        let plain = value.getattr("value");
        let plain = plain.map_err(|error| failed(value, &error))?;
        return hashable(&plain, out, deeper(depth)?, place);
    }
    let start = out.len();
    any(value, out, depth)?;
    let container = matches!(out[start], 0x80..=0x9f | 0xdc..=0xdf);
    if !container && !array::is_array(value) {
        return Ok(());
    }
    let what = format!("is {} {}", named(value), place.refused);
    Err(EncodeError::new(what).help(place.help))
}

/// Encodes a frozenset, which can be a key; so its items are encoded as keys.
pub(super) fn frozen_set(
    set: &Bound<'_, PyFrozenSet>,
    out: &mut Vec<u8>,
    depth: usize,
) -> Result<(), EncodeError> {
    let items = set
        .try_iter()
        .and_then(Iterator::collect::<PyResult<Vec<_>>>);
    let items = items.map_err(|error| failed(set, &error))?;
    let depth = deeper(depth)?;
    write(out, Token::Array(items.len() + 1));
    write(out, Token::Ext(ext::SET, &[]));
    for (index, item) in items.iter().enumerate() {
        hashable(item, out, depth, &SET_ITEM)
            .map_err(|error| error.inside(|| format!("[{index}]")))?;
    }
    distinct(set.as_any(), items.into_iter(), depth, &SET_ITEM)
}

/// Returns whether a key is the same at the other end, and so differs from all other such keys.
pub(super) fn is_plain(key: &Bound<'_, PyAny>) -> bool {
    if key.is_exact_instance_of::<PyString>() || key.is_exact_instance_of::<PyInt>() {
        return true;
    }
    if let Ok(items) = key.cast_exact::<PyTuple>() {
        return items.iter().all(|item| is_plain(&item));
    }
    key.is_none()
        || key.is_exact_instance_of::<PyFloat>()
        || key.is_exact_instance_of::<PyBool>()
        || key.is_exact_instance_of::<PyBytes>()
}

/// Refuses keys that are the same at the other end, such as the member of an enum and its value:
/// one of them would be lost.
pub(super) fn distinct<'py>(
    value: &Bound<'py, PyAny>,
    keys: impl ExactSizeIterator<Item = Bound<'py, PyAny>>,
    depth: usize,
    place: &Place,
) -> Result<(), EncodeError> {
    if keys.len() < 2 {
        return Ok(());
    }
    let seen = PySet::empty(value.py()).map_err(|error| failed(value, &error))?;
    for (index, key) in keys.enumerate() {
        let back = match is_plain(&key) {
            true => key.clone(),
            false => returned(&key, depth, place)?,
        };
        let added = seen.add(&back);
        added.map_err(|error| failed(&key, &error))?;
        if seen.len() <= index {
            let shown = back
                .repr()
                .map_or_else(|_| "?".to_owned(), |text| text.to_string());
            let what = format!(
                "is {} with {} that are sent as {shown}",
                named(value),
                place.twice
            );
            return Err(EncodeError::new(what).help(place.help_twice));
        }
    }
    Ok(())
}

/// Returns a key as it is at the other end.
fn returned<'py>(
    key: &Bound<'py, PyAny>,
    depth: usize,
    place: &Place,
) -> Result<Bound<'py, PyAny>, EncodeError> {
    let mut bytes = Vec::new();
    write(&mut bytes, Token::Map(1));
    hashable(key, &mut bytes, depth, place)?;
    write(&mut bytes, Token::Nil);
    let map = decode(key.py(), &bytes).map_err(|error| EncodeError::new(error.to_string()))?;
    let first = map.try_iter().and_then(|mut keys| keys.next().transpose());
    let first = first.map_err(|error| failed(key, &error))?;
    first.ok_or_else(|| EncodeError::new("has no key"))
}
