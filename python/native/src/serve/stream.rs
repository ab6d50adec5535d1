//! Streaming tools: every item of a generator becomes a chunk.

use std::sync::atomic::Ordering;
use std::time::Duration;

use pyo3::exceptions::PyStopAsyncIteration;
use pyo3::prelude::*;
use pyo3::types::{PyByteArray, PyBytes, PyDict, PyIterator, PyString};
use snakepit_grpc::frame::{Header, Kind};

use crate::binding::describe::describe;
use crate::binding::fault::{Fault, fault, raised};
use crate::binding::tool::Tool;
use crate::link::outbox::Outbox;
use crate::process::clock;
use crate::serve::SlotRuntime;
use crate::serve::call::Call;
use crate::serve::invoke::{cancelled, execute, release_context};
use crate::serve::reply::{check_size, encode_result};

/// Longest time of an item that is gathered with others: gathering slower ones saves nothing and
/// only delays them.
const SLOW: Duration = Duration::from_micros(20);

/// Smallest chunk that is sent without gathering.
const LARGE: usize = 16 << 10;

enum Items<'py> {
    Sync(Bound<'py, PyIterator>),
    Async(Bound<'py, PyAny>),
}

/// Runs a streaming call up to its last chunk.
///
/// # Errors
/// The outer error is that of the connection, the inner one that of the call.
pub(crate) fn run(
    py: Python<'_>,
    outbox: &Outbox,
    runtime: &SlotRuntime,
    tool: &Tool,
    call: &Call,
    args: &[u8],
    scratch: &mut Vec<u8>,
) -> PyResult<Result<(), Fault>> {
    let result = match start(py, runtime, tool, call, args) {
        Ok(items) => {
            let result = pump(py, outbox, runtime, tool, call, &items, scratch);
            if !matches!(result, Ok(Ok(()))) {
                runtime.cancels.closing(|| close(py, runtime, &items));
            }
            result
        }
        Err(fault) => Ok(Err(fault)),
    };
    release_context(py, tool);
    result
}

fn start<'py>(
    py: Python<'py>,
    runtime: &SlotRuntime,
    tool: &Tool,
    call: &Call,
    args: &[u8],
) -> Result<Items<'py>, Fault> {
    let mut made = execute(py, runtime, tool, call, args)?;
    let exception = |error: PyErr| raised(py, runtime, &error, tool);
    if made.hasattr("__await__").map_err(exception)? {
        made = runtime
            .cancels
            .inside(|| runtime.catalog.bind(py).call_method1("run", (made,)))
            .map_err(exception)?;
    }
    if made.hasattr("__anext__").map_err(exception)? {
        return Ok(Items::Async(made));
    }
    iterate(&made, tool).map(Items::Sync)
}

/// Returns the iterator over the result of a streaming tool.
///
/// # Errors
/// The result cannot be iterated, or is a text, bytes or a dict.
pub(crate) fn iterate<'py>(
    made: &Bound<'py, PyAny>,
    tool: &Tool,
) -> Result<Bound<'py, PyIterator>, Fault> {
    // Texts and dicts can be iterated too, but streaming their letters or keys is a mistake.
    let whole = made.is_instance_of::<PyString>()
        || made.is_instance_of::<PyBytes>()
        || made.is_instance_of::<PyByteArray>()
        || made.is_instance_of::<PyDict>();
    match made.try_iter() {
        Ok(iterator) if !whole => Ok(iterator),
        _ => Err(fault(
            "SP2009",
            format!(
                "tool `{}` must yield a stream, but returned {}",
                tool.name,
                describe(made)
            ),
            Some(tool),
            "write it as a generator (`yield`), or return an iterator",
        )),
    }
}

fn pump(
    py: Python<'_>,
    outbox: &Outbox,
    runtime: &SlotRuntime,
    tool: &Tool,
    call: &Call,
    items: &Items<'_>,
    scratch: &mut Vec<u8>,
) -> PyResult<Result<(), Fault>> {
    let header = Header::new(Kind::Chunk, call.id);
    let mut first = true;
    let mut before = clock::now();
    loop {
        if call.cancelled.load(Ordering::Acquire) {
            return Ok(Err(cancelled(tool)));
        }
        let item = match runtime.cancels.inside(|| next(py, runtime, items)) {
            None => return Ok(Ok(())),
            Some(Ok(item)) => item,
            Some(Err(error)) => return Ok(Err(raised(py, runtime, &error, tool))),
        };
        scratch.clear();
        call.count();
        let encoded = encode_result(&item, runtime, "chunk", tool, scratch);
        if let Err(fault) =
            encoded.and_then(|()| check_size(scratch.len(), runtime.max_payload, "chunk", tool))
        {
            return Ok(Err(fault));
        }
        if let Some(window) = &call.window
            && window.spend(scratch.len())
        {
            outbox.send_body(py, header, &[], scratch, None)?;
            py.detach(|| window.wait(&call.cancelled));
            before = clock::now();
            continue;
        }
        let now = clock::now();
        if first || scratch.len() >= LARGE || now.duration_since(before) > SLOW {
            outbox.send_body(py, header, &[], scratch, None)?;
            // The write may have waited for a slow reader, which is not the generator's time.
            before = clock::now();
        } else {
            outbox.gather(py, header, scratch)?;
            before = now;
        }
        first = false;
    }
}

fn next<'py>(
    py: Python<'py>,
    runtime: &SlotRuntime,
    items: &Items<'py>,
) -> Option<PyResult<Bound<'py, PyAny>>> {
    match items {
        Items::Sync(iterator) => iterator.clone().next(),
        Items::Async(generator) => {
            match runtime.catalog.bind(py).call_method1("anext", (generator,)) {
                Err(error) if error.is_instance_of::<PyStopAsyncIteration>(py) => None,
                item => Some(item),
            }
        }
    }
}

/// Closes a generator that has not ended, so that its `finally` runs now and not when it is
/// collected.
fn close(py: Python<'_>, runtime: &SlotRuntime, items: &Items<'_>) {
    let closed = match items {
        Items::Async(generator) => runtime
            .catalog
            .bind(py)
            .call_method1("aclose", (generator,))
            .map(drop),
        Items::Sync(iterator) => match iterator.getattr_opt("close") {
            Ok(Some(close)) => close.call0().map(drop),
            Ok(None) => Ok(()),
            Err(error) => Err(error),
        },
    };
    if let Err(error) = closed {
        error.write_unraisable(py, None);
    }
}
