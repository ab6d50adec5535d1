//! Arrays of numbers: anything with a typed buffer, as one block of bytes.

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyByteArray, PyMemoryView};

use crate::kinds;
use crate::msgpack::{Token, ext, write};
use crate::raw::{self, View};

/// Data of this size in bytes travels as a block; smaller data stays readable.
const BLOCK: usize = 10 << 10;

/// Version of the block's layout.
const VERSION: u8 = 1;

/// Version, type, number of dimensions, padding.
const FIXED: usize = 8;

const MAX_DIMENSIONS: usize = 32;

/// Type of the elements; the numbers are those of the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct DType {
    code: u8,
    size: usize,
    /// As numpy names it.
    name: &'static str,
    /// As `struct` and `memoryview` name it.
    format: &'static str,
}

const DTYPES: [DType; 11] = [
    dtype(1, 4, "float32", "f"),
    dtype(2, 8, "float64", "d"),
    dtype(3, 1, "int8", "b"),
    dtype(4, 2, "int16", "h"),
    dtype(5, 4, "int32", "i"),
    dtype(6, 8, "int64", "q"),
    dtype(7, 1, "uint8", "B"),
    dtype(8, 2, "uint16", "H"),
    dtype(9, 4, "uint32", "I"),
    dtype(10, 8, "uint64", "Q"),
    dtype(11, 1, "bool", "?"),
];

const fn dtype(code: u8, size: usize, name: &'static str, format: &'static str) -> DType {
    DType {
        code,
        size,
        name,
        format,
    }
}

/// Whether a value is an array, and not bytes.
pub(crate) fn is_array(value: &Bound<'_, PyAny>) -> bool {
    if kinds::NDARRAY.is_instance(value)
        || kinds::PY_ARRAY.is_instance(value)
        || kinds::ARRAY.is_instance(value)
    {
        return true;
    }
    // A view of plain bytes counts as bytes.
    value.is_instance_of::<PyMemoryView>()
        && !value
            .getattr("format")
            .and_then(|format| Ok(format.extract::<String>()? == "B"))
            .unwrap_or(true)
}

/// The array as nested lists of Python numbers.
pub(crate) fn to_list<'py>(value: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    value.call_method0("tolist")
}

/// Appends an array.
///
/// # Errors
/// A text that reads on after "is a".
pub(crate) fn encode(value: &Bound<'_, PyAny>, out: &mut Vec<u8>) -> Result<(), String> {
    let failed = |error: PyErr| format!("array that cannot be read: {error}");
    // Ours does not offer a buffer itself before Python 3.12.
    let holder = if kinds::ARRAY.is_instance(value) {
        value.getattr("data").map_err(failed)?
    } else {
        value.clone()
    };
    let shape = kinds::ARRAY
        .is_instance(value)
        .then(|| value.getattr("shape")?.extract::<Vec<usize>>())
        .transpose()
        .map_err(failed)?;
    let written = raw::with_buffer(&holder, |view| {
        block(view, shape.as_deref().unwrap_or(&view.shape), out)
    });
    if let Ok(written) = written {
        return written;
    }
    // Not in C order, or without gaps: only a copy is.
    let copy = copied(&holder).map_err(failed)?;
    raw::with_buffer(&copy, |view| {
        block(view, shape.as_deref().unwrap_or(&view.shape), out)
    })
    .map_err(failed)?
}

fn copied<'py>(value: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    if kinds::NDARRAY.is_instance(value) {
        return value.call_method1("copy", ("C",));
    }
    let view = PyMemoryView::from(value)?;
    let (format, shape) = (view.getattr("format")?, view.getattr("shape")?);
    let bytes = PyMemoryView::from(&view.call_method0("tobytes")?)?;
    bytes.call_method1("cast", (format, shape))
}

fn block(view: &View<'_>, shape: &[usize], out: &mut Vec<u8>) -> Result<(), String> {
    let dtype = known(view.format, view.item_size)?;
    if shape.len() > MAX_DIMENSIONS {
        return Err(format!(
            "array of {} dimensions, and {MAX_DIMENSIONS} are the most that can be sent",
            shape.len()
        ));
    }
    if view.data.len() < BLOCK {
        let mut elements = view.data.chunks_exact(dtype.size);
        if view.data.is_empty() {
            write(out, Token::Array(0));
        } else {
            nested(dtype, shape, &mut elements, out);
        }
        return Ok(());
    }
    let length = FIXED + 8 * shape.len() + view.data.len();
    if u32::try_from(length).is_err() {
        return Err(format!("array of {length} bytes, which no payload holds"));
    }
    crate::msgpack::ext_header(out, ext::ARRAY, length);
    out.reserve(length);
    out.extend_from_slice(&[VERSION, dtype.code, shape.len() as u8, 0, 0, 0, 0, 0]);
    for length in shape {
        out.extend_from_slice(&(*length as u64).to_le_bytes());
    }
    out.extend_from_slice(view.data);
    Ok(())
}

/// The element type of a buffer's format.
fn known(format: &str, size: usize) -> Result<DType, String> {
    let (order, kind) = match format.as_bytes() {
        [kind] => (b'@', *kind),
        [order, kind] => (*order, *kind),
        _ => (b'@', b' '),
    };
    let same_order = matches!(order, b'@' | b'=' | b'<') || size == 1;
    let family = match kind {
        b'f' | b'd' => "fd",
        b'b' | b'h' | b'i' | b'l' | b'q' | b'n' => "bhiq",
        b'B' | b'H' | b'I' | b'L' | b'Q' | b'N' => "BHIQ",
        b'?' => "?",
        _ => "",
    };
    let found = DTYPES
        .iter()
        .find(|dtype| dtype.size == size && family.contains(dtype.format));
    match found {
        Some(dtype) if same_order && cfg!(target_endian = "little") => Ok(*dtype),
        Some(_) => Err("array in big-endian byte order, which cannot be sent".to_owned()),
        None => Err(format!(
            "array of elements {format:?}, and only float32, float64, integers of 8 to 64 bits and bool can be sent"
        )),
    }
}

fn nested(
    dtype: DType,
    shape: &[usize],
    elements: &mut std::slice::ChunksExact<'_, u8>,
    out: &mut Vec<u8>,
) {
    match shape.split_first() {
        Some((length, rest)) => {
            write(out, Token::Array(*length));
            for _ in 0..*length {
                nested(dtype, rest, elements, out);
            }
        }
        None => {
            if let Some(bytes) = elements.next() {
                write(out, element(dtype, bytes));
            }
        }
    }
}

fn element(dtype: DType, bytes: &[u8]) -> Token<'static> {
    let mut eight = [0; 8];
    eight[..bytes.len()].copy_from_slice(bytes);
    let bits = u64::from_le_bytes(eight);
    let unused = 64 - 8 * dtype.size as u32;
    match dtype.format {
        "f" => Token::Float(f64::from(f32::from_bits(bits as u32))),
        "d" => Token::Float(f64::from_bits(bits)),
        "?" => Token::Bool(bits != 0),
        // Sign extension.
        "b" | "h" | "i" | "q" => Token::Int((bits << unused).cast_signed() >> unused),
        _ => i64::try_from(bits).map_or(Token::UInt(bits), Token::Int),
    }
}

/// A block as `numpy.ndarray` where there is numpy, else as `snakepit_bridge.Array`.
pub(crate) fn decode<'py>(py: Python<'py>, block: &[u8]) -> PyResult<Bound<'py, PyAny>> {
    let (dtype, shape, data) = read(block).map_err(PyValueError::new_err)?;
    let data = PyByteArray::new(py, data);
    match kinds::NDARRAY.get(py) {
        Ok(_) => {
            let numpy = py.import("numpy")?;
            let flat = numpy.call_method1("frombuffer", (data, dtype.name))?;
            flat.call_method1("reshape", (shape,))
        }
        Err(_) => kinds::ARRAY
            .get(py)?
            .call1((dtype.name, dtype.format, shape, data)),
    }
}

/// Type, shape and data of a block.
fn read(block: &[u8]) -> Result<(DType, Vec<usize>, &[u8]), String> {
    let Some((&[version, code, dimensions, ..], rest)) = block.split_first_chunk::<FIXED>() else {
        return Err("the header of an array is cut short".to_owned());
    };
    if version != VERSION {
        return Err(format!("version {version} of arrays is unknown"));
    }
    let dtype = DTYPES
        .iter()
        .find(|dtype| dtype.code == code)
        .ok_or_else(|| format!("type {code} of array elements is unknown"))?;
    let dimensions = usize::from(dimensions);
    if dimensions > MAX_DIMENSIONS {
        return Err(format!(
            "the array has {dimensions} dimensions, more than {MAX_DIMENSIONS}"
        ));
    }
    let (lengths, data) = rest
        .split_at_checked(8 * dimensions)
        .ok_or_else(|| "the shape of an array is cut short".to_owned())?;
    let too_large = || "the array's shape asks for more bytes than there can be".to_owned();
    let mut shape = Vec::with_capacity(dimensions);
    // Zero in one dimension must not hide an absurd length in another.
    let mut size = dtype.size;
    for length in lengths.as_chunks::<8>().0 {
        let length = usize::try_from(u64::from_le_bytes(*length)).map_err(|_| too_large())?;
        size = size
            .checked_mul(length.max(1))
            .filter(|size| isize::try_from(*size).is_ok())
            .ok_or_else(too_large)?;
        shape.push(length);
    }
    let expected = if shape.contains(&0) { 0 } else { size };
    if expected == data.len() {
        return Ok((*dtype, shape, data));
    }
    Err(format!(
        "the array has {} bytes of data where its type and shape ask for {expected}",
        data.len()
    ))
}
