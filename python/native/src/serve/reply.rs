//! Encoding of a tool's result as the bytes of an answer.

use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyString};

use crate::binding::bind::without_secrets;
use crate::binding::fault::{Fault, fault};
use crate::binding::tool::Tool;
use crate::codec::encode::{EncodeError, encode};
use crate::codec::frames::{reading_once, with_tail};
use crate::codec::msgpack;
use crate::link::body::Tail;
use crate::serve::Runtime;

/// Smallest byte string or text that goes to the socket from its own memory, without a copy.
const DIRECT: usize = 64 << 10;

/// Encodes a result into `out`. The returned bytes follow those of `out`.
pub(crate) fn reply(
    result: &Bound<'_, PyAny>,
    runtime: &Runtime,
    tool: &Tool,
    out: &mut Vec<u8>,
) -> Result<Option<Tail>, Fault> {
    if let Ok(bytes) = result.cast_exact::<PyBytes>()
        && bytes.as_bytes().len() >= DIRECT
    {
        let tail = Tail::of_bytes(bytes);
        msgpack::bin_header(out, tail.bytes().len());
        check_size(
            out.len() + tail.bytes().len(),
            runtime.max_payload,
            "result",
            tool,
        )?;
        return Ok(Some(tail));
    }
    if let Ok(text) = result.cast_exact::<PyString>()
        && text.len().is_ok_and(|length| length >= DIRECT)
        && let Some(tail) = Tail::of_text(text)
    {
        msgpack::str_header(out, tail.bytes().len());
        check_size(
            out.len() + tail.bytes().len(),
            runtime.max_payload,
            "result",
            tool,
        )?;
        return Ok(Some(tail));
    }
    let (encoded, tail) = with_tail(|| encode_result(result, runtime, "result", tool, out));
    encoded?;
    let size = out.len() + tail.as_ref().map_or(0, |tail| tail.bytes().len());
    check_size(size, runtime.max_payload, "result", tool)?;
    Ok(tail)
}

/// Appends the encoded value. If the value cannot be sent, appends what the catalog converts it to.
pub(crate) fn encode_result(
    value: &Bound<'_, PyAny>,
    runtime: &Runtime,
    what: &str,
    tool: &Tool,
    out: &mut Vec<u8>,
) -> Result<(), Fault> {
    let before = out.len();
    let encoded = reading_once(|| {
        encode(value, out).or_else(|error| {
            let Some(convert) = &runtime.convert else {
                return Err(error);
            };
            out.truncate(before);
            let converted = convert.bind(value.py()).call1((value,));
            match converted.is_ok_and(|value| encode(&value, out).is_ok()) {
                true => Ok(()),
                false => Err(error),
            }
        })
    });
    encoded.map_err(|error| unsendable(what, tool, &error))
}

fn unsendable(what: &str, tool: &Tool, error: &EncodeError) -> Fault {
    let message = format!("the {what} of tool `{}` cannot be sent: {error}", tool.name);
    fault(
        "SP2007",
        without_secrets(message),
        Some(tool),
        error.way_out().unwrap_or(
            "return None, bool, int, float, str, bytes, list, tuple, dict, set, a dataclass, an Enum, datetime, UUID or Decimal",
        ),
    )
}

pub(crate) fn check_size(size: usize, limit: usize, what: &str, tool: &Tool) -> Result<(), Fault> {
    if size <= limit {
        return Ok(());
    }
    let message = format!(
        "the {what} of tool `{}` has {size} bytes, the limit is {limit}",
        tool.name
    );
    Err(fault(
        "SP2005",
        message,
        Some(tool),
        "return less, yield it in chunks, or raise `max_payload` of the pool",
    ))
}
