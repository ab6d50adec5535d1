//! Encoding of Python objects into MessagePack.

mod fields;
mod keys;
mod numpy;
mod refusal;
mod times;

use pyo3::prelude::*;
use pyo3::types::{
    PyBool, PyByteArray, PyBytes, PyDict, PyFloat, PyFrozenSet, PyInt, PyList, PyMemoryView, PySet,
    PyString, PyTuple,
};

use crate::codec::array;
use crate::codec::frames;
use crate::codec::kinds;
use crate::codec::msgpack::{self, MAX_DEPTH, Token, ext, write};
use crate::codec::packed::Packed;
use crate::codec::raw;
pub(crate) use refusal::{EncodeError, named};
use refusal::{changed, failed, unsendable};

/// Appends the encoded value. After an error, `out` may hold a part of it.
pub(crate) fn encode(value: &Bound<'_, PyAny>, out: &mut Vec<u8>) -> Result<(), EncodeError> {
    encode_within(value, out, 0)
}

/// Appends the encoded value, which is part of another one, `depth` levels deep.
pub(crate) fn encode_within(
    value: &Bound<'_, PyAny>,
    out: &mut Vec<u8>,
    depth: usize,
) -> Result<(), EncodeError> {
    frames::reading_once(|| any(value, out, depth))
}

fn any(value: &Bound<'_, PyAny>, out: &mut Vec<u8>, depth: usize) -> Result<(), EncodeError> {
    if value.is_none() {
        write(out, Token::Nil);
        return Ok(());
    }
    // Exact types come first: a subclass may be an enum, or have another meaning.
    if let Ok(text) = value.cast_exact::<PyString>() {
        return string(text, out);
    }
    if let Ok(number) = value.cast_exact::<PyInt>() {
        return int(number, out);
    }
    if let Ok(number) = value.cast_exact::<PyFloat>() {
        msgpack::float(out, number.value());
        return Ok(());
    }
    if let Ok(flag) = value.cast_exact::<PyBool>() {
        write(out, Token::Bool(flag.is_true()));
        return Ok(());
    }
    composite(value, out, depth)
}

/// Encodes containers and bytes, and what is none of the exact types. Never inlined, so that `any`
/// saves no registers for it.
#[inline(never)]
fn composite(value: &Bound<'_, PyAny>, out: &mut Vec<u8>, depth: usize) -> Result<(), EncodeError> {
    if let Ok(dict) = value.cast_exact::<PyDict>() {
        return map(dict, out, depth);
    }
    if let Ok(list) = value.cast_exact::<PyList>() {
        return array(list.iter(), list.len(), out, depth);
    }
    if let Ok(bytes) = value.cast_exact::<PyBytes>() {
        write(out, Token::Bin(bytes.as_bytes()));
        return Ok(());
    }
    if let Ok(tuple) = value.cast_exact::<PyTuple>() {
        return array(tuple.iter(), tuple.len(), out, depth);
    }
    other(value, out, depth)
}

/// Encodes instances of subclasses and of all other types.
#[cold]
fn other(value: &Bound<'_, PyAny>, out: &mut Vec<u8>, depth: usize) -> Result<(), EncodeError> {
    let py = value.py();
    if kinds::ENUM.is_instance(value) {
        let inner = value
            .getattr("value")
            .map_err(|error| failed(value, &error))?;
        let depth = deeper(depth)?;
        return any(&inner, out, depth).map_err(|error| error.inside(|| ".value".to_owned()));
    }
    if let Ok(text) = value.cast::<PyString>() {
        return string(text, out);
    }
    if let Ok(number) = value.cast::<PyInt>() {
        return int(number, out);
    }
    if let Ok(number) = value.cast::<PyFloat>() {
        write(out, Token::Float(number.value()));
        return Ok(());
    }
    if array::is_array(value) {
        return array::encode(value, out);
    }
    if kinds::NUMPY_SCALAR.is_instance(value) {
        return numpy::scalar(value, out, depth);
    }
    if let Ok(bytes) = value.cast::<PyBytes>() {
        write(out, Token::Bin(bytes.as_bytes()));
        return Ok(());
    }
    if value.is_instance_of::<PyByteArray>() || value.is_instance_of::<PyMemoryView>() {
        let bytes = py
            .get_type::<PyBytes>()
            .call1((value,))
            .map_err(|error| failed(value, &error))?;
        let bytes = bytes
            .cast_into::<PyBytes>()
            .map_err(|_| unsendable(value))?;
        write(out, Token::Bin(bytes.as_bytes()));
        return Ok(());
    }
    if let Ok(list) = value.cast::<PyList>() {
        return array(list.iter(), list.len(), out, depth);
    }
    if let Ok(tuple) = value.cast::<PyTuple>() {
        return array(tuple.iter(), tuple.len(), out, depth);
    }
    if let Ok(dict) = value.cast::<PyDict>() {
        return ordered(dict, out, depth);
    }
    if let Ok(set) = value.cast::<PySet>() {
        return unordered(value, set.len(), out, depth);
    }
    if let Ok(set) = value.cast::<PyFrozenSet>() {
        return keys::frozen_set(set, out, depth);
    }
    if let Ok(packed) = value.cast_exact::<Packed>() {
        out.extend_from_slice(&packed.get().0);
        return Ok(());
    }
    if times::encode(value, out)? || extension(value, out).map_err(|error| failed(value, &error))? {
        return Ok(());
    }
    fields::encode(value, out, depth)
}

fn string(text: &Bound<'_, PyString>, out: &mut Vec<u8>) -> Result<(), EncodeError> {
    let text = text.to_str().map_err(|_| refusal::surrogate(text))?;
    write(out, Token::Str(text));
    Ok(())
}

fn int(number: &Bound<'_, PyInt>, out: &mut Vec<u8>) -> Result<(), EncodeError> {
    if let Ok(value) = number.extract::<i64>() {
        msgpack::int(out, value);
    } else if let Ok(value) = number.extract::<u64>() {
        write(out, Token::UInt(value));
    } else {
        let what = "is an int outside of 64 bits (-2^63 to 2^64-1)";
        let help = "send `decimal.Decimal(value)`, which keeps every digit, or `str(value)`";
        return Err(EncodeError::new(what).help(help));
    }
    Ok(())
}

fn array<'py>(
    items: impl Iterator<Item = Bound<'py, PyAny>>,
    count: usize,
    out: &mut Vec<u8>,
    depth: usize,
) -> Result<(), EncodeError> {
    let depth = deeper(depth)?;
    write(out, Token::Array(count));
    let mut written = 0;
    for (index, item) in items.enumerate() {
        any(&item, out, depth).map_err(|error| error.inside(|| format!("[{index}]")))?;
        written += 1;
    }
    if written == count {
        Ok(())
    } else {
        Err(changed())
    }
}

/// Encodes the items of a set. If the set changes meanwhile, the iteration fails.
fn unordered(
    set: &Bound<'_, PyAny>,
    count: usize,
    out: &mut Vec<u8>,
    depth: usize,
) -> Result<(), EncodeError> {
    let items = set
        .try_iter()
        .and_then(Iterator::collect::<PyResult<Vec<_>>>);
    let items = items.map_err(|error| failed(set, &error))?;
    array(items.into_iter(), count, out, depth)
}

fn map(dict: &Bound<'_, PyDict>, out: &mut Vec<u8>, depth: usize) -> Result<(), EncodeError> {
    let depth = deeper(depth)?;
    let entries = raw::entries(dict);
    write(out, Token::Map(entries.len()));
    let mut plain = true;
    for (index, (key, item)) in entries.iter().enumerate() {
        plain &= keys::is_plain(key);
        entry(key, item, index, out, depth)?;
    }
    // Reading an item may have run user code (a property of an enum) that changed the dictionary.
    if dict.len() != entries.len() {
        return Err(changed());
    }
    if plain {
        return Ok(());
    }
    let keys = entries.into_iter().map(|(key, _)| key);
    keys::distinct(dict.as_any(), keys, depth, &keys::KEY)
}

/// Encodes a subclass of `dict` in the order of its `items()`: an `OrderedDict` has another order
/// than the dictionary inside it.
fn ordered(dict: &Bound<'_, PyDict>, out: &mut Vec<u8>, depth: usize) -> Result<(), EncodeError> {
    let depth = deeper(depth)?;
    let items = dict.call_method0("items").and_then(|items| {
        let pairs = items.try_iter()?;
        pairs
            .map(|pair| pair?.extract::<(Bound<'_, PyAny>, Bound<'_, PyAny>)>())
            .collect::<PyResult<Vec<_>>>()
    });
    let items = items.map_err(|error| failed(dict, &error))?;
    write(out, Token::Map(items.len()));
    for (index, (key, item)) in items.iter().enumerate() {
        entry(key, item, index, out, depth)?;
    }
    let keys = items.into_iter().map(|(key, _)| key);
    keys::distinct(dict.as_any(), keys, depth, &keys::KEY)
}

fn entry(
    key: &Bound<'_, PyAny>,
    item: &Bound<'_, PyAny>,
    index: usize,
    out: &mut Vec<u8>,
    depth: usize,
) -> Result<(), EncodeError> {
    keys::key(key, out, depth).map_err(|error| error.inside(|| format!(".keys[{index}]")))?;
    any(item, out, depth).map_err(|error| error.inside(|| step(key)))
}

/// Encodes a UUID or a decimal number as its extension type; returns `false` for other values.
fn extension(value: &Bound<'_, PyAny>, out: &mut Vec<u8>) -> PyResult<bool> {
    if kinds::UUID.is_instance(value) {
        let bytes = value.getattr("bytes")?.extract::<[u8; 16]>()?;
        write(out, Token::Ext(ext::UUID, &bytes));
        return Ok(true);
    }
    if kinds::DECIMAL.is_instance(value) {
        let text = value.str()?;
        write(out, Token::Ext(ext::DECIMAL, text.to_str()?.as_bytes()));
        return Ok(true);
    }
    Ok(false)
}

fn deeper(depth: usize) -> Result<usize, EncodeError> {
    if depth >= MAX_DEPTH {
        let help = "reduce its nesting; a value that contains itself cannot be sent";
        return Err(EncodeError::new("nests more than 128 levels deep").help(help));
    }
    Ok(depth + 1)
}

/// Returns the path step from a dictionary to the item of a key.
pub(crate) fn step(key: &Bound<'_, PyAny>) -> String {
    match key
        .cast::<PyString>()
        .ok()
        .and_then(|key| key.to_str().ok())
    {
        Some(key) if !key.is_empty() && key.chars().all(|c| c.is_alphanumeric() || c == '_') => {
            format!(".{key}")
        }
        _ => format!(
            "[{}]",
            key.repr()
                .map_or_else(|_| "?".to_owned(), |text| text.to_string())
        ),
    }
}
