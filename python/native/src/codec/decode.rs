//! Decoding of MessagePack into Python objects.

use std::fmt;

use pyo3::prelude::*;
use pyo3::types::{
    PyBool, PyBytes, PyDict, PyFloat, PyFrozenSet, PyInt, PyList, PyString, PyTuple,
};

use crate::codec::array;
use crate::codec::encode::step;
use crate::codec::frames;
use crate::codec::kinds;
use crate::codec::msgpack::{MAX_DEPTH, Malformed, Scanner, Token, ext};

/// Largest number of items that memory is reserved for before they have come. A list may claim as
/// many as bytes follow it, and each list within it as many again.
const TRUSTED: usize = 1024;

/// An error of decoding a payload. It lies behind a pointer, so that the many values that can be
/// decoded are returned in registers.
#[derive(Debug)]
pub(crate) struct DecodeError(Box<Reason>);

#[derive(Debug)]
enum Reason {
    /// The bytes are not valid MessagePack.
    Malformed(Malformed),
    /// Python rejected a value: an unhashable key, a date that does not exist.
    Python(PyErr),
    /// A data frame cannot be read.
    Frame(BadFrame),
}

/// The place of a data frame that cannot be read, and the reason.
#[derive(Debug)]
struct BadFrame {
    /// Steps from the innermost container outwards.
    path: Vec<String>,
    reason: String,
}

impl DecodeError {
    pub(crate) fn frame(reason: impl Into<String>) -> Self {
        Self::of(Reason::Frame(BadFrame {
            path: Vec::new(),
            reason: reason.into(),
        }))
    }

    #[cold]
    fn of(reason: Reason) -> Self {
        Self(Box::new(reason))
    }

    /// Adds the step from a container to the value that failed.
    #[cold]
    pub(crate) fn inside(mut self, step: impl FnOnce() -> String) -> Self {
        if let Reason::Frame(bad) = &mut *self.0 {
            bad.path.push(step());
        }
        self
    }

    /// Returns the reason if a data frame cannot be read.
    pub(crate) fn frame_reason(&self) -> Option<&str> {
        match &*self.0 {
            Reason::Frame(bad) => Some(&bad.reason),
            _ => None,
        }
    }

    /// Returns the path of the value that failed; empty if it is not known.
    pub(crate) fn path(&self) -> String {
        match &*self.0 {
            Reason::Frame(bad) => bad.path.iter().rev().map(String::as_str).collect(),
            _ => String::new(),
        }
    }
}

impl From<Malformed> for DecodeError {
    fn from(malformed: Malformed) -> Self {
        Self::of(Reason::Malformed(malformed))
    }
}

impl From<PyErr> for DecodeError {
    fn from(error: PyErr) -> Self {
        Self::of(Reason::Python(error))
    }
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &*self.0 {
            Reason::Malformed(Malformed { at, what }) => write!(f, "{what} (at byte {at})"),
            Reason::Python(error) => Python::attach(|py| write!(f, "{}", error.value(py))),
            Reason::Frame(bad) => {
                write!(
                    f,
                    "the data frame at ${} cannot be read: {}",
                    self.path(),
                    bad.reason
                )
            }
        }
    }
}

/// Decodes `data`, which must hold exactly one value.
pub(crate) fn decode<'py>(py: Python<'py>, data: &[u8]) -> Result<Bound<'py, PyAny>, DecodeError> {
    let mut scanner = Scanner::new(data);
    let value = value(py, &mut scanner, 0)?;
    scanner.finish()?;
    Ok(value)
}

/// Decodes the next value, which lies `depth` containers deep.
pub(crate) fn value<'py>(
    py: Python<'py>,
    scanner: &mut Scanner<'_>,
    depth: usize,
) -> Result<Bound<'py, PyAny>, DecodeError> {
    let token = scanner.next()?;
    of_token(py, scanner, token, depth)
}

/// Decodes the value that begins with `token`. Always inlined: a token that is passed on is copied
/// through memory, which costs more than to decode a number.
#[inline(always)]
fn of_token<'py>(
    py: Python<'py>,
    scanner: &mut Scanner<'_>,
    token: Token<'_>,
    depth: usize,
) -> Result<Bound<'py, PyAny>, DecodeError> {
    Ok(match token {
        Token::Nil => py.None().into_bound(py),
        Token::Bool(value) => PyBool::new(py, value).to_owned().into_any(),
        Token::Int(value) => PyInt::new(py, value).into_any(),
        Token::UInt(value) => PyInt::new(py, value).into_any(),
        Token::Float(value) => PyFloat::new(py, value).into_any(),
        Token::Str(text) => PyString::new(py, text).into_any(),
        Token::Bin(bytes) => PyBytes::new(py, bytes).into_any(),
        Token::Array(count) => {
            let depth = deeper(scanner, depth)?;
            if let Some(count) = scanner.set(count) {
                return set(py, scanner, count, depth);
            }
            let mut items = Vec::with_capacity(count.min(TRUSTED));
            for index in 0..count {
                let item = value(py, scanner, depth);
                items.push(item.map_err(|error| error.inside(|| format!("[{index}]")))?);
            }
            PyList::new(py, items)?.into_any()
        }
        Token::Map(count) => {
            let depth = deeper(scanner, depth)?;
            let dict = PyDict::new(py);
            for _ in 0..count {
                let key = key(py, scanner, depth)?;
                let item = value(py, scanner, depth);
                let item = item.map_err(|error| error.inside(|| step(&key)))?;
                dict.set_item(key, item)?;
            }
            if dict.len() != count {
                return Err(scanner
                    .malformed("two keys of a map are equal in Python")
                    .into());
            }
            dict.into_any()
        }
        Token::Ext(kind, bytes) => extension(py, scanner, kind, bytes)?,
    })
}

/// Decodes a key of a map or an item of a set. An array becomes a tuple there, which is hashable.
fn key<'py>(
    py: Python<'py>,
    scanner: &mut Scanner<'_>,
    depth: usize,
) -> Result<Bound<'py, PyAny>, DecodeError> {
    let count = match scanner.next()? {
        Token::Array(count) => count,
        token => return of_token(py, scanner, token, depth),
    };
    let depth = deeper(scanner, depth)?;
    match scanner.set(count) {
        Some(count) => set(py, scanner, count, depth),
        None => Ok(PyTuple::new(py, keys(py, scanner, count, depth)?)?.into_any()),
    }
}

/// Decodes the items of a tuple or a set as values that can be keys.
fn keys<'py>(
    py: Python<'py>,
    scanner: &mut Scanner<'_>,
    count: usize,
    depth: usize,
) -> Result<Vec<Bound<'py, PyAny>>, DecodeError> {
    let mut items = Vec::with_capacity(count.min(TRUSTED));
    for _ in 0..count {
        items.push(key(py, scanner, depth)?);
    }
    Ok(items)
}

#[cold]
fn set<'py>(
    py: Python<'py>,
    scanner: &mut Scanner<'_>,
    count: usize,
    depth: usize,
) -> Result<Bound<'py, PyAny>, DecodeError> {
    let set = PyFrozenSet::new(py, keys(py, scanner, count, depth)?)?;
    if set.len() != count {
        return Err(scanner
            .malformed("two items of a frozenset are equal in Python")
            .into());
    }
    Ok(set.into_any())
}

fn deeper(scanner: &Scanner<'_>, depth: usize) -> Result<usize, Malformed> {
    if depth >= MAX_DEPTH {
        return Err(scanner.malformed("the value nests more than 128 levels deep"));
    }
    Ok(depth + 1)
}

fn extension<'py>(
    py: Python<'py>,
    scanner: &Scanner<'_>,
    kind: i8,
    bytes: &[u8],
) -> Result<Bound<'py, PyAny>, DecodeError> {
    let text = || {
        std::str::from_utf8(bytes)
            .map_err(|_| scanner.malformed("the text of an extension is not UTF-8"))
    };
    Ok(match kind {
        ext::DATETIME => from_iso(&kinds::DATETIME, py, text()?)?,
        ext::DATE => from_iso(&kinds::DATE, py, text()?)?,
        ext::TIME => from_iso(&kinds::TIME, py, text()?)?,
        ext::TIMEDELTA => {
            let bytes = bytes
                .try_into()
                .map_err(|_| scanner.malformed("a timedelta has 8 bytes"))?;
            kinds::TIMEDELTA
                .get(py)?
                .call1((0, 0, i64::from_be_bytes(bytes)))?
        }
        ext::UUID => {
            if bytes.len() != 16 {
                return Err(scanner.malformed("a UUID has 16 bytes").into());
            }
            let keywords = PyDict::new(py);
            keywords.set_item("bytes", PyBytes::new(py, bytes))?;
            kinds::UUID.get(py)?.call((), Some(&keywords))?
        }
        ext::DECIMAL => decimal(py, text()?)?,
        ext::ARRAY => array::decode(py, bytes)?,
        ext::DATA_FRAME => frames::decode(py, bytes)?,
        _ => return Err(scanner.malformed("unknown extension type").into()),
    })
}

/// Calls `fromisoformat` of a class of `datetime`. Python 3.10 accepts neither the suffix `Z` nor
/// fractions of other lengths than 3 and 6 digits; later versions drop digits after the sixth,
/// which is an error here.
pub(crate) fn from_iso<'py>(
    kind: &kinds::Kind,
    py: Python<'py>,
    text: &str,
) -> PyResult<Bound<'py, PyAny>> {
    let class = kind.get(py)?;
    if std::ptr::eq(kind, &kinds::DATE) {
        return class.call_method1("fromisoformat", (text,));
    }
    let text = match text.strip_suffix(['Z', 'z']) {
        Some(local) => format!("{local}+00:00"),
        None => text.to_owned(),
    };
    if loses_offset(&text) {
        return Err(pyo3::exceptions::PyValueError::new_err(format!(
            "{text:?} has an offset of less than a second, which `fromisoformat` drops"
        )));
    }
    let text = micros(&text).ok_or_else(|| {
        pyo3::exceptions::PyValueError::new_err(format!(
            "{text:?} is finer than a microsecond, which `datetime` cannot hold"
        ))
    })?;
    class.call_method1("fromisoformat", (text,))
}

/// Returns whether CPython reads the zone of a text as UTC although its offset is not zero.
pub(crate) fn loses_offset(text: &str) -> bool {
    text.contains("+00:00:00.") || text.contains("-00:00:00.")
}

/// Pads the fraction of a text to six digits, if it has one. `None` if digits other than zeros
/// would be lost.
fn micros(text: &str) -> Option<String> {
    let Some((whole, rest)) = text.split_once(['.', ',']) else {
        return Some(text.to_owned());
    };
    let end = rest.find(|c: char| !c.is_ascii_digit());
    let (digits, zone) = rest.split_at(end.unwrap_or(rest.len()));
    let (kept, lost) = digits.split_at(digits.len().min(6));
    lost.bytes()
        .all(|digit| digit == b'0')
        .then(|| format!("{whole}.{kept:0<6}{zone}"))
}

/// Calls `Decimal(text)`, and replaces its error, whose message is empty.
pub(crate) fn decimal<'py>(py: Python<'py>, text: &str) -> PyResult<Bound<'py, PyAny>> {
    kinds::DECIMAL.get(py)?.call1((text,)).map_err(|_| {
        pyo3::exceptions::PyValueError::new_err(format!("{text:?} is not a decimal number"))
    })
}
