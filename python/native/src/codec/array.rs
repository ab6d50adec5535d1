//! Arrays of numbers: anything with a typed buffer, as one block of bytes.

mod dtype;
mod lists;
mod refusal;

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyByteArray, PyMemoryView, PyTuple};

use self::dtype::{DType, Step};
use crate::codec::encode::EncodeError;
use crate::codec::kinds;
use crate::codec::msgpack::ext;
use crate::codec::raw::{self, View};
pub(crate) use lists::to_list;

/// Version of the block's layout.
const VERSION: u8 = 1;

/// Version, type, number of dimensions; unit and number of units of a time.
const FIXED: usize = 8;

const MAX_DIMENSIONS: usize = 32;

/// Returns whether a value is sent as an array; a view of plain bytes is not.
pub(crate) fn is_array(value: &Bound<'_, PyAny>) -> bool {
    if kinds::NDARRAY.is_instance(value)
        || kinds::PY_ARRAY.is_instance(value)
        || kinds::ARRAY.is_instance(value)
    {
        return true;
    }
    // A view of plain bytes counts as bytes.
    let is_plain = || -> PyResult<bool> {
        let format: String = value.getattr("format")?.extract()?;
        Ok(format == "B" && value.getattr("ndim")?.extract::<usize>()? == 1)
    };
    value.is_instance_of::<PyMemoryView>() && !is_plain().unwrap_or(true)
}

/// Returns the element of an array of numpy without dimensions, if `make` returns one of its type.
pub(crate) fn scalar<'py>(
    value: &Bound<'py, PyAny>,
    make: &Bound<'py, PyAny>,
) -> Option<Bound<'py, PyAny>> {
    if !kinds::NDARRAY.is_instance(value) || value.getattr("ndim").ok()?.is_truthy().ok()? {
        return None;
    }
    let scalar = value.get_item(PyTuple::empty(value.py())).ok()?;
    let made = make.call1((&scalar,)).ok()?;
    made.get_type().is(scalar.get_type()).then_some(scalar)
}

/// Appends an array.
pub(crate) fn encode(value: &Bound<'_, PyAny>, out: &mut Vec<u8>) -> Result<(), EncodeError> {
    let of_numpy = kinds::NDARRAY.is_instance(value);
    if of_numpy {
        refusal::has_no_more(value)?;
    } else if kinds::ARRAY.is_instance(value) {
        return ours(value, out);
    }
    let mut write = |view: &View<'_>| {
        let dtype = known(value, view)?;
        block(dtype, &view.shape, view.data, out)
    };
    if let Ok(written) = raw::with_buffer(value, &mut write) {
        return written;
    }
    if of_numpy && let Some(written) = times(value, out)? {
        return Ok(written);
    }
    // The buffer is not in C order, or has gaps: a copy is contiguous.
    let copy = copied(value).map_err(|error| failed(&error))?;
    let written = raw::with_buffer(&copy, |view| {
        let dtype = known(value, view)?;
        block(dtype, &view.shape, view.data, out)
    });
    written.map_err(|error| match refusal::dtype(value) {
        // numpy has no buffer of such elements.
        Some(_) => refusal::elements(value, ""),
        None => failed(&error),
    })?
}

fn failed(error: &PyErr) -> EncodeError {
    EncodeError::new(format!("is an array that cannot be read: {error}"))
}

/// Appends a `snakepit_bridge.Array`, which need not offer the buffer of its elements itself.
fn ours(value: &Bound<'_, PyAny>, out: &mut Vec<u8>) -> Result<(), EncodeError> {
    let read = || -> PyResult<(String, Vec<usize>, Bound<'_, PyAny>)> {
        let name = value.getattr("dtype")?.extract()?;
        let shape = value.getattr("shape")?.extract()?;
        Ok((name, shape, value.getattr("data")?))
    };
    let (name, shape, data) = read().map_err(|error| failed(&error))?;
    let dtype = DType::of_name(&name).ok_or_else(|| {
        EncodeError::new(format!(
            "is an array of {name}, which is not a known element type"
        ))
    })?;
    let written = raw::with_buffer(&data, |view| {
        let expected = shape.iter().product::<usize>().checked_mul(dtype.size);
        if expected != Some(view.data.len()) {
            let bytes = view.data.len();
            return Err(EncodeError::new(format!(
                "is an array of {name} of shape {shape:?} with {bytes} bytes of data"
            )));
        }
        block(dtype, &shape, view.data, out)
    });
    written.map_err(|error| failed(&error))?
}

/// Appends an array of `datetime64` or `timedelta64`, for which numpy offers no buffer. `None` if
/// the elements are no times.
fn times(value: &Bound<'_, PyAny>, out: &mut Vec<u8>) -> Result<Option<()>, EncodeError> {
    let read = || -> PyResult<Option<(String, bool)>> {
        let dtype = value.getattr("dtype")?;
        if !matches!(dtype.getattr("kind")?.extract()?, 'M' | 'm') {
            return Ok(None);
        }
        let native = dtype.getattr("isnative")?.is_truthy()?;
        Ok(Some((dtype.str()?.to_string(), native)))
    };
    let Some((name, native)) = read().map_err(|error| failed(&error))? else {
        return Ok(None);
    };
    if !native || cfg!(target_endian = "big") {
        return Err(refusal::byte_order(value, None));
    }
    let dtype = DType::of_name(&name).ok_or_else(|| refusal::elements(value, ""))?;
    let numbers = || {
        value
            .call_method1("copy", ("C",))?
            .call_method1("view", ("int64",))
    };
    let numbers = numbers().map_err(|error| failed(&error))?;
    let written = raw::with_buffer(&numbers, |view| block(dtype, &view.shape, view.data, out));
    written.map_err(|error| failed(&error))?.map(Some)
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

fn block(dtype: DType, shape: &[usize], data: &[u8], out: &mut Vec<u8>) -> Result<(), EncodeError> {
    if shape.len() > MAX_DIMENSIONS {
        return Err(EncodeError::new(format!(
            "is an array of {} dimensions, and {MAX_DIMENSIONS} are the most that can be sent",
            shape.len()
        ))
        .help("give it another shape with `.reshape(...)`"));
    }
    let length = FIXED + 8 * shape.len() + data.len();
    if u32::try_from(length).is_err() {
        return Err(EncodeError::new(format!(
            "is an array of {length} bytes, which is larger than any payload"
        )));
    }
    crate::codec::msgpack::ext_header(out, ext::ARRAY, length);
    out.reserve(length);
    let Step { unit, count } = dtype.step.unwrap_or(Step { unit: 0, count: 0 });
    out.extend_from_slice(&[VERSION, dtype.code, shape.len() as u8, unit]);
    out.extend_from_slice(&count.to_le_bytes());
    for length in shape {
        out.extend_from_slice(&(*length as u64).to_le_bytes());
    }
    out.extend_from_slice(data);
    Ok(())
}

/// Returns the element type of a buffer.
///
/// # Errors
/// The type cannot be sent, or the elements are in big-endian byte order.
fn known(array: &Bound<'_, PyAny>, view: &View<'_>) -> Result<DType, EncodeError> {
    match DType::of_buffer(view.format, view.item_size) {
        Some((dtype, true)) => Ok(dtype),
        Some((dtype, false)) => Err(refusal::byte_order(array, Some(&dtype))),
        None => Err(refusal::elements(array, view.format)),
    }
}

/// Decodes a block into a `numpy.ndarray`, or into a `snakepit_bridge.Array` if numpy cannot be
/// imported.
pub(crate) fn decode<'py>(py: Python<'py>, block: &[u8]) -> PyResult<Bound<'py, PyAny>> {
    let (dtype, shape, data) = read(block).map_err(PyValueError::new_err)?;
    let data = PyByteArray::new(py, data);
    match kinds::NDARRAY.get(py) {
        Ok(_) => {
            let numpy = py.import("numpy")?;
            let flat = numpy.call_method1("frombuffer", (data, &*dtype.name()))?;
            flat.call_method1("reshape", (shape,))
        }
        Err(_) => kinds::ARRAY
            .get(py)?
            .call1((&*dtype.name(), dtype.format, shape, data)),
    }
}

/// Returns the element type, the shape and the data of a block.
fn read(block: &[u8]) -> Result<(DType, Vec<usize>, &[u8]), String> {
    let Some((&[version, code, dimensions, unit, ref count @ ..], rest)) =
        block.split_first_chunk::<FIXED>()
    else {
        return Err("the header of an array is cut short".to_owned());
    };
    if version != VERSION {
        return Err(format!("version {version} of arrays is unknown"));
    }
    let count = u32::from_le_bytes(*count);
    let dtype = DType::of_wire(code, Step { unit, count })
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
    let too_large = || "the array's shape needs more bytes than can be addressed".to_owned();
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
        return Ok((dtype, shape, data));
    }
    Err(format!(
        "the array has {} bytes of data where its type and shape need {expected}",
        data.len()
    ))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Blocks whose parts are valid, nearly valid, or arbitrary.
    fn blocks() -> impl Strategy<Value = Vec<u8>> {
        let dtype = prop_oneof![1_u8..=16, any::<u8>()];
        let unit = prop_oneof![0_u8..14, any::<u8>()];
        let count = prop_oneof![Just(1_u32), any::<u32>()];
        let length = prop_oneof![0_u64..4, any::<u64>()];
        let shape = prop::collection::vec(length, 0..4);
        let header = (prop_oneof![Just(VERSION), any::<u8>()], dtype, unit, count);
        (header, shape, -1_i8..=1, 0..80_usize, 0..80_usize).prop_map(
            |((version, dtype, unit, count), shape, more, bytes, cut)| {
                let dimensions = (shape.len() as u8).wrapping_add_signed(more);
                let mut block = vec![version, dtype, dimensions, unit];
                block.extend_from_slice(&count.to_le_bytes());
                for length in shape {
                    block.extend_from_slice(&length.to_le_bytes());
                }
                block.resize(block.len() + bytes, 1);
                block.truncate(block.len().saturating_sub(cut / 4));
                block
            },
        )
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(20_000))]

        #[test]
        fn any_block_is_read_or_refused(block in blocks()) {
            if let Ok((dtype, shape, data)) = read(&block) {
                let elements: usize = shape.iter().product();
                prop_assert_eq!(elements * dtype.size, data.len());
                prop_assert!(DType::of_name(&dtype.name()) == Some(dtype));
                prop_assert!(shape.len() <= MAX_DIMENSIONS);
            }
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
            let _ = read(&bytes);
        }
    }
}
