//! Arrays of numbers: anything with a typed buffer, as one block of bytes.

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyByteArray, PyMemoryView};

use crate::encode::{EncodeError, type_name};
use crate::kinds;
use crate::msgpack::ext;
use crate::raw::{self, View};

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
pub(crate) fn encode(value: &Bound<'_, PyAny>, out: &mut Vec<u8>) -> Result<(), EncodeError> {
    let failed =
        |error: PyErr| EncodeError::new(format!("is an array that cannot be read: {error}"));
    if kinds::NDARRAY.is_instance(value) {
        has_no_more(value)?;
    }
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
        block(value, view, shape.as_deref().unwrap_or(&view.shape), out)
    });
    if let Ok(written) = written {
        return written;
    }
    // numpy gives no buffer for these.
    if let Some(name) = dtype_name(value)
        && ["datetime64", "timedelta64"]
            .iter()
            .any(|kind| name.starts_with(kind))
    {
        return Err(other_elements(&name));
    }
    // Not in C order, or without gaps: only a copy is.
    let copy = copied(&holder).map_err(failed)?;
    raw::with_buffer(&copy, |view| {
        block(value, view, shape.as_deref().unwrap_or(&view.shape), out)
    })
    .map_err(failed)?
}

/// Refuses an instance of a subclass that says more than its elements do: a mask, a unit, attributes of its own.
fn has_no_more(value: &Bound<'_, PyAny>) -> Result<(), EncodeError> {
    let class = value.get_type();
    if kinds::NDARRAY
        .get(value.py())
        .is_ok_and(|plain| class.is(&plain))
    {
        return Ok(());
    }
    if kinds::MASKED_ARRAY.is_instance(value) {
        let what = format!("is a {}, whose mask cannot be sent", type_name(value));
        let help =
            "fill the masked elements, for example with `.filled(0)`, or send mask and data apart";
        return Err(EncodeError::new(what).help(help));
    }
    let own = |name: &str| {
        let found = value.getattr_opt(name).ok().flatten();
        found.is_some_and(|found| found.is_truthy().unwrap_or(true))
    };
    // numpy's own subclasses (`memmap`, `matrix`, `recarray`) are other views of the same elements.
    let of_numpy = class.module().is_ok_and(|module| {
        module
            .to_str()
            .is_ok_and(|name| name.split('.').next() == Some("numpy"))
    });
    if of_numpy || !(own("__dict__") || own("__slots__")) {
        return Ok(());
    }
    let what = format!(
        "is a {}, which says more than its elements do",
        type_name(value)
    );
    let help = if own("unit") {
        "send `.value`, and the unit apart"
    } else {
        "send `numpy.asarray(value)`, and its attributes apart"
    };
    Err(EncodeError::new(what).help(help))
}

/// Name of the type of the elements, as numpy has it.
fn dtype_name(value: &Bound<'_, PyAny>) -> Option<String> {
    let dtype = value.getattr_opt("dtype").ok().flatten()?;
    dtype.str().ok().map(|name| name.to_string())
}

fn other_elements(name: &str) -> EncodeError {
    let help = match name.trim_start_matches(['<', '>', '=', '|']) {
        "float16" | "f2" => "convert it with `.astype(\"float32\")`",
        name if name.starts_with("complex") || name.starts_with('c') => {
            "send `.real` and `.imag` apart, or `.view(\"float64\")`"
        }
        name if name.starts_with("datetime64") || name.starts_with("timedelta64") => {
            "convert it with `.astype(\"int64\")`, and send the unit apart"
        }
        name if name.starts_with("float") || name.starts_with("longdouble") => {
            "convert it with `.astype(\"float64\")`"
        }
        _ => "convert it, for example with `.tolist()` or `.astype(...)`",
    };
    EncodeError::new(format!(
        "is an array of {name}, and only float32, float64, integers of 8 to 64 bits and bool can be sent"
    ))
    .help(help)
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

fn block(
    array: &Bound<'_, PyAny>,
    view: &View<'_>,
    shape: &[usize],
    out: &mut Vec<u8>,
) -> Result<(), EncodeError> {
    let dtype = known(array, view.format, view.item_size)?;
    if shape.len() > MAX_DIMENSIONS {
        return Err(EncodeError::new(format!(
            "is an array of {} dimensions, and {MAX_DIMENSIONS} are the most that can be sent",
            shape.len()
        )));
    }
    let length = FIXED + 8 * shape.len() + view.data.len();
    if u32::try_from(length).is_err() {
        return Err(EncodeError::new(format!(
            "is an array of {length} bytes, which no payload holds"
        )));
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
fn known(array: &Bound<'_, PyAny>, format: &str, size: usize) -> Result<DType, EncodeError> {
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
        Some(dtype) => {
            let what = format!(
                "is an array of {} in big-endian byte order, which cannot be sent",
                dtype.name
            );
            let help = format!("convert it with `.astype(\"{}\")`", dtype.name);
            Err(EncodeError::new(what).help(help))
        }
        None => {
            let name = dtype_name(array).unwrap_or_else(|| match kind {
                b'u' | b'w' => "text".to_owned(),
                _ => format!("elements {format:?}"),
            });
            Err(other_elements(&name))
        }
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
