//! Data frames: Arrow IPC streams, which `snakepit_bridge._frames.streams` writes and reads with
//! the library at hand.

mod ipc;
mod once;
mod region;
mod wanted;

use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyTuple, PyType};

use crate::codec::decode::DecodeError;
use crate::codec::encode::{EncodeError, named};
use crate::codec::msgpack::{ext, ext_header};
use crate::codec::raw;
use crate::link::body::Tail;
pub(crate) use once::reading_once;
pub(crate) use region::{LARGE, lending};
pub(crate) use wanted::{Libraries, wanting};

/// Version of the block's layout.
const VERSION: u8 = 1;

/// Bytes of the fixed header: version, kind, number of padding bytes.
const FIXED: usize = 3;

/// Alignment of the stream in its payload, so that the host can read it without a copy.
const ALIGNMENT: usize = 64;

/// Kinds of frames that may be readable only once: objects of any library with a stream, and
/// readers of pyarrow.
const ARROW: u8 = 0;
const READER: u8 = 9;

/// Smallest stream that is sent from its own memory, if it is the whole result.
const DIRECT: usize = 64 << 10;

/// Appends a data frame; returns `false` for other values. `whole` says that the value is the whole
/// result.
pub(crate) fn encode(
    value: &Bound<'_, PyAny>,
    out: &mut Vec<u8>,
    whole: bool,
) -> Result<bool, EncodeError> {
    let Some((kind, stream)) = stream_of(value).map_err(|error| refused(value, &error))? else {
        return Ok(false);
    };
    let header = |out: &mut Vec<u8>, size: usize| {
        // Space for the longest header, which a long stream has.
        let before = out.len() + 6 + FIXED;
        let padding = before.next_multiple_of(ALIGNMENT) - before;
        ext_header(out, ext::DATA_FRAME, FIXED + padding + size);
        out.extend_from_slice(&[VERSION, kind, padding as u8]);
        out.resize(out.len() + padding, 0);
    };
    let tail = whole && wanted::takes_tail();
    if let Ok(bytes) = stream.cast_exact::<PyBytes>() {
        let data = bytes.as_bytes();
        fits(data.len())?;
        header(out, data.len());
        if tail && data.len() >= DIRECT {
            wanted::give_tail(Tail::of_bytes(bytes));
        } else {
            out.extend_from_slice(data);
        }
        return Ok(true);
    }
    let size = stream.getattr("size").and_then(|size| size.extract());
    let size: usize = size.map_err(|error| refused(value, &error))?;
    fits(size)?;
    header(out, size);
    if tail
        && size >= DIRECT
        && let Some(tail) = Tail::of_buffer(&stream)
    {
        wanted::give_tail(tail);
        return Ok(true);
    }
    let copied = raw::with_buffer(&stream, |view| out.extend_from_slice(view.data));
    copied.map_err(|error| refused(value, &error))?;
    Ok(true)
}

/// Returns kind and stream of a data frame, `None` for other values.
fn stream_of<'py>(value: &Bound<'py, PyAny>) -> PyResult<Option<(u8, Bound<'py, PyAny>)>> {
    if let Some(read) = once::find(value) {
        return Ok(Some(read));
    }
    let module = value.py().import("snakepit_bridge._frames.streams")?;
    let made = module.call_method1("encode", (value,))?;
    if made.is_none() {
        return Ok(None);
    }
    let (kind, stream) = made.extract()?;
    if matches!(kind, ARROW | READER) {
        once::keep(value, kind, &stream);
    }
    Ok(Some((kind, stream)))
}

/// Runs `encode` for a whole result. The bytes of a large frame are not appended to the output but
/// returned; they follow it.
pub(crate) fn with_tail<T>(encode: impl FnOnce() -> T) -> (T, Option<Tail>) {
    wanted::with_tail(encode)
}

fn fits(size: usize) -> Result<(), EncodeError> {
    if u32::try_from(size + FIXED + ALIGNMENT).is_ok() {
        return Ok(());
    }
    let what = format!("is a frame of {size} bytes, which is larger than any payload");
    Err(EncodeError::new(what).help("send it in parts"))
}

/// Converts an exception of `_frames.streams` into an error: the reason of a `Refused`, or the text
/// of any other exception.
fn refused(value: &Bound<'_, PyAny>, error: &PyErr) -> EncodeError {
    let name = named(value);
    let parts = error.value(value.py()).getattr("args");
    let parts = parts.and_then(|args| args.cast_into::<PyTuple>().map_err(PyErr::from));
    let is_ours = error
        .get_type(value.py())
        .name()
        .is_ok_and(|name| name == "Refused");
    if is_ours
        && let Ok(parts) = parts
        && let Ok((path, what, help)) = parts.extract::<(String, String, String)>()
    {
        let refused = match path.is_empty() {
            true => EncodeError::new(format!("is {name} that {what}")),
            // The text describes the value at that place.
            false => EncodeError::new(format!("{what} (in {name})")).at(path),
        };
        return refused.help(help);
    }
    EncodeError::new(format!("is {name} that cannot be sent: {error}"))
        .help("send its columns as arrays or lists")
}

/// Decodes a block into a data frame.
pub(crate) fn decode<'py>(py: Python<'py>, block: &[u8]) -> Result<Bound<'py, PyAny>, DecodeError> {
    let (kind, stream) = read(block).map_err(DecodeError::frame)?;
    ipc::check(stream).map_err(DecodeError::frame)?;
    let data = match region::of(py, stream)? {
        Some(region) => region.into_any(),
        None => PyBytes::new(py, stream).into_any(),
    };
    let module = py.import("snakepit_bridge._frames.streams")?;
    let wanted = wanted::current().bits();
    module
        .call_method1("decode", (kind, data, wanted))
        .map_err(|error| DecodeError::frame(error.value(py).to_string()))
}

fn read(block: &[u8]) -> Result<(u8, &[u8]), &'static str> {
    let Some((&[version, kind, padding], rest)) = block.split_first_chunk::<FIXED>() else {
        return Err("its header is cut short");
    };
    if version != VERSION {
        return Err("its version is unknown");
    }
    if kind > READER {
        return Err("its kind is unknown");
    }
    let stream = rest.get(usize::from(padding)..);
    Ok((kind, stream.ok_or("its header is cut short")?))
}

/// Creates an instance of a data frame class from another frame, from records or from columns.
/// `None` if the value is none of these.
///
/// # Errors
/// The value cannot be converted; the exception has the reason.
pub(crate) fn fit<'py>(
    class: &Bound<'py, PyType>,
    value: &Bound<'py, PyAny>,
    exact: bool,
) -> PyResult<Option<Bound<'py, PyAny>>> {
    let module = value.py().import("snakepit_bridge._hints.frame_fit")?;
    let made = module.call_method1("fit", (class, value, exact))?;
    Ok((!made.is_none()).then_some(made))
}
