//! Python objects into MessagePack.

use std::fmt;

use pyo3::prelude::*;
use pyo3::types::{
    PyBool, PyByteArray, PyBytes, PyDict, PyFloat, PyFrozenSet, PyInt, PyList, PyMemoryView, PySet,
    PyString, PyTuple, PyType,
};

use crate::array;
use crate::kinds;
use crate::msgpack::{MAX_DEPTH, Scanner, Token, ext, write};
use crate::raw;

/// A value that cannot be sent, and where it is.
#[derive(Debug)]
pub(crate) struct EncodeError {
    /// From the innermost container outwards.
    path: Vec<String>,
    what: String,
}

impl EncodeError {
    fn new(what: impl Into<String>) -> Self {
        Self {
            path: Vec::new(),
            what: what.into(),
        }
    }

    fn inside(mut self, step: impl FnOnce() -> String) -> Self {
        // The path of a value that nests too deep says nothing.
        if self.path.len() < 16 {
            self.path.push(step());
        }
        self
    }
}

impl fmt::Display for EncodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("$")?;
        self.path
            .iter()
            .rev()
            .try_for_each(|step| f.write_str(step))?;
        write!(f, " {}", self.what)
    }
}

/// Appends the encoded value. On error, `out` may hold a part of it.
pub(crate) fn encode(value: &Bound<'_, PyAny>, out: &mut Vec<u8>) -> Result<(), EncodeError> {
    any(value, out, 0)
}

fn any(value: &Bound<'_, PyAny>, out: &mut Vec<u8>, depth: usize) -> Result<(), EncodeError> {
    if value.is_none() {
        write(out, Token::Nil);
        return Ok(());
    }
    // Exact types first: a subclass may be an enum, or mean something else.
    if let Ok(text) = value.cast_exact::<PyString>() {
        return string(text, out);
    }
    if let Ok(number) = value.cast_exact::<PyInt>() {
        return int(number, out);
    }
    if let Ok(number) = value.cast_exact::<PyFloat>() {
        write(out, Token::Float(number.value()));
        return Ok(());
    }
    if let Ok(flag) = value.cast_exact::<PyBool>() {
        write(out, Token::Bool(flag.is_true()));
        return Ok(());
    }
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

/// Subclasses and everything else.
#[cold]
fn other(value: &Bound<'_, PyAny>, out: &mut Vec<u8>, depth: usize) -> Result<(), EncodeError> {
    let py = value.py();
    if kinds::ENUM.is_instance(value) {
        let inner = value
            .getattr("value")
            .map_err(|error| failed(value, &error))?;
        let depth = deeper(depth)?;
        return any(&inner, out, depth);
    }
    if let Ok(text) = value.cast::<PyString>() {
        return string(text, out);
    }
    if let Ok(number) = value.cast::<PyInt>() {
        return int(number, out);
    }
    if array::is_array(value) {
        return array::encode(value, out).map_err(|what| EncodeError::new(format!("is an {what}")));
    }
    if is_numpy_scalar(value) {
        return Err(unsendable(value));
    }
    if let Ok(number) = value.cast::<PyFloat>() {
        write(out, Token::Float(number.value()));
        return Ok(());
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
        return map(dict, out, depth);
    }
    if let Ok(set) = value.cast::<PySet>() {
        return unordered(value, set.len(), out, depth);
    }
    if let Ok(set) = value.cast::<PyFrozenSet>() {
        return unordered(value, set.len(), out, depth);
    }
    if extension(value, out).map_err(|error| failed(value, &error))? {
        return Ok(());
    }
    dataclass(value, out, depth)
}

fn string(text: &Bound<'_, PyString>, out: &mut Vec<u8>) -> Result<(), EncodeError> {
    let text = text.to_str().map_err(|_| {
        EncodeError::new("is a text with a lone surrogate, which UTF-8 cannot carry")
    })?;
    write(out, Token::Str(text));
    Ok(())
}

fn int(number: &Bound<'_, PyInt>, out: &mut Vec<u8>) -> Result<(), EncodeError> {
    if let Ok(value) = number.extract::<i64>() {
        write(out, Token::Int(value));
    } else if let Ok(value) = number.extract::<u64>() {
        write(out, Token::UInt(value));
    } else {
        return Err(EncodeError::new(
            "is an int outside of 64 bits (-2^63 to 2^64-1)",
        ));
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

/// The items of a set. A set that changes meanwhile ends the iteration with an error.
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
    let count = dict.len();
    write(out, Token::Map(count));
    let mut written = 0;
    let mut position = 0;
    // Reading an item may run user code (a property of an enum), which may change the dictionary.
    while let Some((key, item)) = raw::dict_next(dict, &mut position) {
        if written == count {
            return Err(changed());
        }
        let start = out.len();
        any(&key, out, depth)
            .and_then(|()| check_key(&out[start..]))
            .map_err(|error| error.inside(|| format!(".keys[{written}]")))?;
        any(&item, out, depth).map_err(|error| error.inside(|| step(&key)))?;
        written += 1;
    }
    if written == count {
        Ok(())
    } else {
        Err(changed())
    }
}

/// A map or an array, which an instance of a dataclass is sent as, could not be the key of a dictionary at the other end.
fn check_key(key: &[u8]) -> Result<(), EncodeError> {
    // Texts and numbers, which nearly all keys are.
    if !matches!(
        key.first(),
        Some(0x80..=0x9f | 0xc7..=0xc9 | 0xd4..=0xd8 | 0xdc..=0xdf)
    ) {
        return Ok(());
    }
    let mut scanner = Scanner::new(key);
    while let Ok(token) = scanner.next() {
        if matches!(token, Token::Map(_) | Token::Ext(ext::ARRAY, _)) {
            return Err(EncodeError::new(
                "is a key that is sent as a map or an array, which no dictionary can have as a key",
            ));
        }
    }
    Ok(())
}

fn dataclass(value: &Bound<'_, PyAny>, out: &mut Vec<u8>, depth: usize) -> Result<(), EncodeError> {
    let fields = match value.get_type().getattr("__dataclass_fields__") {
        Ok(fields) if !value.is_instance_of::<PyType>() => fields,
        _ => return Err(unsendable(value)),
    };
    let Ok(fields) = fields.cast_into::<PyDict>() else {
        return Err(unsendable(value));
    };
    let py = value.py();
    let mut names = Vec::with_capacity(fields.len());
    for (name, field) in fields.iter() {
        // ClassVar and InitVar are listed too, but are no fields.
        let kind = field
            .getattr("_field_type")
            .and_then(|kind| kind.getattr("name"));
        if kind
            .and_then(|name| name.extract::<String>())
            .is_ok_and(|name| name == "_FIELD")
        {
            names.push(
                name.cast_into::<PyString>()
                    .map_err(|_| unsendable(value))?,
            );
        }
    }
    let depth = deeper(depth)?;
    write(out, Token::Map(names.len()));
    for name in names {
        string(&name, out)?;
        let item = value
            .getattr(&name)
            .map_err(|error| failed(value, &error))?;
        any(&item, out, depth).map_err(|error| error.inside(|| format!(".{name}")))?;
    }
    py.check_signals().map_err(|error| failed(value, &error))
}

/// The kinds of values that have an extension type; false when it is none of them.
fn extension(value: &Bound<'_, PyAny>, out: &mut Vec<u8>) -> PyResult<bool> {
    // A datetime is a date too.
    for (kind, code) in [
        (&kinds::DATETIME, ext::DATETIME),
        (&kinds::DATE, ext::DATE),
        (&kinds::TIME, ext::TIME),
    ] {
        if kind.is_instance(value) {
            let text = value.call_method0("isoformat")?.extract::<String>()?;
            write(out, Token::Ext(code, text.as_bytes()));
            return Ok(true);
        }
    }
    if kinds::TIMEDELTA.is_instance(value) {
        let days: i64 = value.getattr("days")?.extract()?;
        let seconds: i64 = value.getattr("seconds")?.extract()?;
        let micros: i64 = value.getattr("microseconds")?.extract()?;
        // The longest timedelta is 1e9 days, which does not fit 64 bits of microseconds.
        let total = i128::from(days) * 86_400_000_000
            + i128::from(seconds) * 1_000_000
            + i128::from(micros);
        let total = i64::try_from(total).map_err(|_| {
            pyo3::exceptions::PyOverflowError::new_err(
                "timedelta outside of 64 bits of microseconds",
            )
        })?;
        write(out, Token::Ext(ext::TIMEDELTA, &total.to_be_bytes()));
        return Ok(true);
    }
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
        return Err(EncodeError::new("nests more than 128 levels deep"));
    }
    Ok(depth + 1)
}

/// `numpy.float64` is a float, but its kin are not: all are refused alike.
fn is_numpy_scalar(value: &Bound<'_, PyAny>) -> bool {
    value
        .get_type()
        .module()
        .is_ok_and(|module| module.to_str().is_ok_and(|module| module == "numpy"))
}

fn unsendable(value: &Bound<'_, PyAny>) -> EncodeError {
    EncodeError::new(format!("is a {}, which cannot be sent", type_name(value)))
}

/// Full name of the type, without `builtins`.
pub(crate) fn type_name(value: &Bound<'_, PyAny>) -> String {
    let class = value.get_type();
    let name = class
        .qualname()
        .map_or_else(|_| "object".to_owned(), |name| name.to_string());
    match class.module() {
        Ok(module) if module != "builtins" => format!("{module}.{name}"),
        _ => name,
    }
}

fn failed(value: &Bound<'_, PyAny>, error: &PyErr) -> EncodeError {
    EncodeError::new(format!(
        "is a {} that cannot be read: {error}",
        type_name(value)
    ))
}

fn changed() -> EncodeError {
    EncodeError::new("changed while it was being sent")
}

fn step(key: &Bound<'_, PyAny>) -> String {
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
