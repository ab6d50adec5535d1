//! The slot: reads a frame, runs the tool, writes the answer.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use prost::Message as _;
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use snakepit_grpc::frame::{Header, Kind};
use snakepit_grpc::pb;

use crate::bind::bind;
use crate::clock;
use crate::context::Context;
use crate::control::Cancels;
use crate::encode::encode;
use crate::fault::{Fault, fault, raised};
use crate::many;
use crate::msgpack;
use crate::outbox::Outbox;
use crate::reader::{Frame, Incoming, Reader};
use crate::stream;
use crate::tool::{Tool, Tools};

/// A byte string of this size goes to the socket from where it is, without a copy.
const DIRECT: usize = 64 << 10;

/// Capacity that a scratch buffer keeps.
const KEEP: usize = 1 << 20;

/// What serving calls needs beside the connection.
#[derive(Debug)]
pub(crate) struct Runtime {
    pub(crate) tools: Tools,
    pub(crate) catalog: Py<PyAny>,
    pub(crate) cancels: Arc<Cancels>,
    pub(crate) worker_id: Arc<str>,
    pub(crate) max_payload: usize,
}

/// One call, its head decoded.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) id: u64,
    session: Option<String>,
    deadline: Option<Instant>,
    pub(crate) cancelled: Arc<AtomicBool>,
}

/// Why serving ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// The host said so.
    Shutdown,
    /// The connection ended.
    HostGone,
}

/// Serves until the host says stop or is gone.
pub(crate) fn serve(
    py: Python<'_>,
    reader: &mut Reader,
    outbox: &mut Outbox,
    runtime: &Runtime,
) -> PyResult<End> {
    let mut scratch = Vec::new();
    loop {
        let frame = match reader.next(py)? {
            Incoming::End => return Ok(End::HostGone),
            Incoming::TooLarge(header) => {
                too_large_request(py, outbox, header, runtime.max_payload)?;
                continue;
            }
            Incoming::Frame(frame) => frame,
        };
        match frame.header.kind {
            Kind::Shutdown => return Ok(End::Shutdown),
            Kind::Describe => describe(py, outbox, &runtime.tools)?,
            Kind::Call | Kind::Stream | Kind::Many => {
                run(py, reader, outbox, runtime, &frame, &mut scratch)?
            }
            kind => {
                return Err(pyo3::exceptions::PyRuntimeError::new_err(format!(
                    "the host sent an unexpected frame {kind:?}"
                )));
            }
        }
        scratch.clear();
        scratch.shrink_to(KEEP);
    }
}

fn describe(py: Python<'_>, outbox: &Outbox, tools: &Tools) -> PyResult<()> {
    let version = py.version_info();
    let description = pb::DescribeResponse {
        protocol_version: snakepit_grpc::preamble::PROTOCOL_VERSION,
        runtime: py
            .import("sys")?
            .getattr("implementation")?
            .getattr("name")?
            .extract()?,
        runtime_version: format!("{}.{}.{}", version.major, version.minor, version.patch),
        gil_enabled: gil_enabled(py)?,
        slots: 1,
        pid: std::process::id(),
        tools: tools.specs(),
        capabilities: ["cancel", "many", "stream"].map(str::to_owned).to_vec(),
    };
    let mut head = description.encode_to_vec();
    if head.len() > snakepit_grpc::frame::MAX_HEAD {
        // The schemas are the large part, and calls work without them.
        let mut short = description;
        for tool in &mut short.tools {
            tool.parameters_schema.clear();
            tool.returns_schema.clear();
        }
        head = short.encode_to_vec();
    }
    outbox.send(py, Header::new(Kind::Described, 0), &head, [&[], &[]])
}

/// Only a free-threaded build can say that it runs without the GIL.
fn gil_enabled(py: Python<'_>) -> PyResult<bool> {
    match py.import("sys")?.getattr_opt("_is_gil_enabled")? {
        Some(ask) => ask.call0()?.extract(),
        None => Ok(true),
    }
}

fn too_large_request(
    py: Python<'_>,
    outbox: &Outbox,
    header: Header,
    limit: usize,
) -> PyResult<()> {
    let message = format!(
        "request of {} bytes is larger than the limit of {limit} bytes",
        header.body_len
    );
    let fault = fault(
        "SP2005",
        message,
        None,
        "send less, or raise `max_payload` of the pool",
    );
    send_fault(py, outbox, header.call, &fault)
}

pub(crate) fn send_fault(
    py: Python<'_>,
    outbox: &Outbox,
    call: u64,
    fault: &Fault,
) -> PyResult<()> {
    outbox.send(
        py,
        Header::new(Kind::Error, call),
        &fault.encode_to_vec(),
        [&[], &[]],
    )
}

/// Runs one frame that calls a tool, and answers it whatever happens.
fn run(
    py: Python<'_>,
    reader: &Reader,
    outbox: &mut Outbox,
    runtime: &Runtime,
    frame: &Frame,
    scratch: &mut Vec<u8>,
) -> PyResult<()> {
    let id = frame.header.call;
    let request = match pb::ExecuteToolRequest::decode(reader.head(frame)) {
        Ok(request) => request,
        Err(error) => {
            let fault = fault(
                "SP5007",
                format!("the head of a call cannot be decoded: {error}"),
                None,
                "update host and worker together",
            );
            return send_fault(py, outbox, id, &fault);
        }
    };
    let call = Call {
        id,
        session: (!request.session_id.is_empty()).then_some(request.session_id),
        deadline: (request.timeout_us > 0)
            .then(|| clock::now() + Duration::from_micros(request.timeout_us)),
        cancelled: runtime.cancels.begin(id),
    };
    let body = reader.body(frame);
    let kind = frame.header.kind;
    let done = match runtime
        .tools
        .find(&request.tool_name)
        .and_then(|tool| right_kind(tool, kind).map(|()| tool))
    {
        Err(fault) if kind == Kind::Many => {
            many::run(py, outbox, runtime, &call, Err(&fault), body, scratch)
        }
        Err(fault) => send_fault(py, outbox, id, &fault),
        Ok(tool) => match kind {
            Kind::Many => many::run(py, outbox, runtime, &call, Ok(tool), body, scratch),
            Kind::Stream => match stream::run(py, outbox, runtime, tool, &call, body, scratch)? {
                Ok(()) => outbox.send(py, Header::new(Kind::End, id), &[], [&[], &[]]),
                Err(fault) => send_fault(py, outbox, id, &fault),
            },
            _ => match execute(py, runtime, tool, &call, body).and_then(|result| {
                reply(&result, runtime, tool, scratch).map(|direct| (result, direct))
            }) {
                Err(fault) => send_fault(py, outbox, id, &fault),
                Ok((result, direct)) => {
                    let tail = if direct {
                        result.cast_exact::<PyBytes>()?.as_bytes()
                    } else {
                        &[]
                    };
                    outbox.send(py, Header::new(Kind::Reply, id), &[], [scratch, tail])
                }
            },
        },
    };
    runtime.cancels.end();
    done
}

fn right_kind(tool: &Tool, kind: Kind) -> Result<(), Fault> {
    match (tool.streaming, kind == Kind::Stream) {
        (true, false) => Err(fault(
            "SP2009",
            format!(
                "tool `{}` yields a stream and was called for one result",
                tool.name
            ),
            Some(tool),
            "call it with `execute_stream`, or `snakepit stream`",
        )),
        (false, true) => Err(fault(
            "SP2009",
            format!(
                "tool `{}` returns one result and was called for a stream",
                tool.name
            ),
            Some(tool),
            "call it with `execute`, or `snakepit call`",
        )),
        _ => Ok(()),
    }
}

/// Decodes the arguments, runs the tool and returns its result.
pub(crate) fn execute<'py>(
    py: Python<'py>,
    runtime: &Runtime,
    tool: &Tool,
    call: &Call,
    args: &[u8],
) -> Result<Bound<'py, PyAny>, Fault> {
    if call.cancelled.load(Ordering::Acquire) {
        return Err(cancelled(tool));
    }
    let exception = |error: PyErr| raised(py, &runtime.catalog, &error, Some(tool));
    let context = if tool.context.is_some() || tool.owner.is_some() {
        Some(context(py, runtime, call).map_err(exception)?)
    } else {
        None
    };
    if let Some((owner, context)) = tool.owner.as_ref().zip(context.as_ref()) {
        owner
            .bind(py)
            .setattr("session_context", context)
            .map_err(exception)?;
    }
    let bindings = bind(py, tool, context, args)?;
    let mut result = bindings.call(py, &tool.function);
    if tool.is_async && !tool.streaming {
        result =
            result.and_then(|coroutine| runtime.catalog.bind(py).call_method1("run", (coroutine,)));
    }
    if !tool.streaming {
        release_context(py, tool);
    }
    result.map_err(exception)
}

fn context<'py>(py: Python<'py>, runtime: &Runtime, call: &Call) -> PyResult<Bound<'py, PyAny>> {
    let (session, worker) = (call.session.clone(), Arc::clone(&runtime.worker_id));
    let cancelled = Arc::clone(&call.cancelled);
    let context = Context::new(call.id, session, worker, call.deadline, cancelled);
    Ok(Bound::new(py, context)?.into_any())
}

/// The call is over: its context must not be mistaken for the next one's.
pub(crate) fn release_context(py: Python<'_>, tool: &Tool) {
    if let Some(owner) = &tool.owner
        && let Err(error) = owner.bind(py).setattr("session_context", py.None())
    {
        error.write_unraisable(py, Some(owner.bind(py)));
    }
}

pub(crate) fn cancelled(tool: &Tool) -> Fault {
    fault(
        "SP3002",
        format!("the call of tool `{}` was cancelled", tool.name),
        Some(tool),
        "",
    )
}

/// Encodes a result into `out`; true when the bytes of `result` itself have to follow.
fn reply(
    result: &Bound<'_, PyAny>,
    runtime: &Runtime,
    tool: &Tool,
    out: &mut Vec<u8>,
) -> Result<bool, Fault> {
    if let Ok(bytes) = result.cast_exact::<PyBytes>()
        && bytes.as_bytes().len() >= DIRECT
    {
        let length = bytes.as_bytes().len();
        check_size(length + 5, runtime.max_payload, "result", tool)?;
        msgpack::bin_header(out, length);
        return Ok(true);
    }
    encode(result, out).map_err(|error| unsendable("result", tool, &error.to_string()))?;
    check_size(out.len(), runtime.max_payload, "result", tool)?;
    Ok(false)
}

pub(crate) fn unsendable(what: &str, tool: &Tool, error: &str) -> Fault {
    fault(
        "SP2007",
        format!("the {what} of tool `{}` cannot be sent: {error}", tool.name),
        Some(tool),
        "return None, bool, int, float, str, bytes, list, tuple, dict, set, a dataclass, an Enum, datetime, UUID or Decimal",
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
