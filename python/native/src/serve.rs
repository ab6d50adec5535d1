//! The slot: reads a frame, runs the tool, writes the answer.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use prost::Message as _;
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use snakepit_grpc::frame::{Header, Kind};
use snakepit_grpc::pb;

use crate::bind::bind;
use crate::cancels::Cancels;
use crate::clock;
use crate::context::Context;
use crate::fault::{Fault, fault, raised};
use crate::ladder::Reach;
use crate::link::Link;
use crate::many;
use crate::outbox::Outbox;
use crate::reader::{Frame, Incoming, Reader};
use crate::reply::reply;
use crate::stream;
use crate::tool::{self, Tool, Tools};

/// Capacity that a scratch buffer keeps.
const KEEP: usize = 1 << 20;

/// What serving calls needs beside the connection.
#[derive(Debug)]
pub(crate) struct Runtime {
    pub(crate) tools: Tools,
    pub(crate) catalog: Py<PyAny>,
    pub(crate) context_class: OnceLock<Py<PyAny>>,
    /// Makes values sendable that are not; `None` when such values are errors.
    pub(crate) convert: Option<Py<PyAny>>,
    pub(crate) cancels: Arc<Cancels>,
    pub(crate) link: Arc<Link>,
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
pub(crate) fn serve(py: Python<'_>, mut reader: Box<Reader>, runtime: &Runtime) -> PyResult<End> {
    let outbox = &runtime.link.outbox;
    let mut scratch = Vec::new();
    loop {
        let frame = match reader.next(py)? {
            Incoming::End => return Ok(End::HostGone),
            Incoming::TooLarge(header) if header.kind == Kind::HostReply => continue,
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
                reader = run(py, reader, runtime, &frame, &mut scratch)?;
            }
            // The call that asked is over.
            Kind::HostReply => {}
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
    mut reader: Box<Reader>,
    runtime: &Runtime,
    frame: &Frame,
    scratch: &mut Vec<u8>,
) -> PyResult<Box<Reader>> {
    let link = &runtime.link;
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
            return send_fault(py, &link.outbox, id, &fault).map(|()| reader);
        }
    };
    let kind = frame.header.kind;
    let (tool, other_name) = match runtime.tools.find(&request.tool_name) {
        Err(_) if let Some(tool) = runtime.tools.catch_all(kind) => {
            (Ok(tool), Some(request.tool_name.as_str()))
        }
        found => (
            found.and_then(|tool| right_kind(tool, kind).map(|()| tool)),
            None,
        ),
    };
    let reach = tool.as_ref().map_or(Reach::default(), |tool| Reach {
        flag: tool.knows_context() || kind == Kind::Stream,
        task: tool.is_async,
    });
    let call = Call {
        id,
        session: (!request.session_id.is_empty()).then(|| request.session_id.clone()),
        deadline: (request.timeout_us > 0)
            .then(|| clock::now() + Duration::from_micros(request.timeout_us)),
        cancelled: runtime.cancels.begin(id, reach),
    };
    let named = |body: &[u8]| other_name.map(|name| tool::by_name(name, body));
    if tool.as_ref().is_ok_and(|tool| tool.knows_context()) {
        // The connection must be free for the tool's own requests while it runs.
        let body = reader.take_body(frame);
        link.lend(reader, id);
        let wrapped = named(body.bytes());
        let args = wrapped.as_deref().unwrap_or(body.bytes());
        let done = answer(py, runtime, kind, tool, &call, args, scratch);
        runtime.cancels.end();
        reader = match link.end_call() {
            Some(reader) => reader,
            None => py.detach(|| link.reclaim()),
        };
        reader.reuse(body);
        done?;
    } else {
        let body = reader.body(frame);
        let wrapped = named(body);
        let args = wrapped.as_deref().unwrap_or(body);
        let done = answer(py, runtime, kind, tool, &call, args, scratch);
        runtime.cancels.end();
        done?;
    }
    Ok(reader)
}

/// Calls the tool and sends what comes of it. The error is that of the connection.
fn answer(
    py: Python<'_>,
    runtime: &Runtime,
    kind: Kind,
    tool: Result<&Tool, Fault>,
    call: &Call,
    body: &[u8],
    scratch: &mut Vec<u8>,
) -> PyResult<()> {
    let (outbox, id) = (&runtime.link.outbox, call.id);
    match tool {
        Err(fault) if kind == Kind::Many => {
            many::run(py, outbox, runtime, call, Err(&fault), body, scratch)
        }
        Err(fault) => send_fault(py, outbox, id, &fault),
        Ok(tool) => match kind {
            Kind::Many => many::run(py, outbox, runtime, call, Ok(tool), body, scratch),
            Kind::Stream => match stream::run(py, outbox, runtime, tool, call, body, scratch)? {
                Ok(()) => outbox.send(py, Header::new(Kind::End, id), &[], [&[], &[]]),
                Err(fault) => send_fault(py, outbox, id, &fault),
            },
            _ => match execute(py, runtime, tool, call, body).and_then(|result| {
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
    }
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
    let exception = |error: PyErr| raised(py, runtime, &error, tool);
    let context = if tool.knows_context() {
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
    let result = runtime.cancels.inside(|| {
        let result = bindings.call(py, &tool.function);
        if tool.is_async && !tool.streaming {
            return result
                .and_then(|coroutine| runtime.catalog.bind(py).call_method1("run", (coroutine,)));
        }
        result
    });
    if !tool.streaming {
        release_context(py, tool);
    }
    result.map_err(exception)
}

fn context<'py>(py: Python<'py>, runtime: &Runtime, call: &Call) -> PyResult<Bound<'py, PyAny>> {
    let (session, worker) = (call.session.clone(), Arc::clone(&runtime.worker_id));
    let cancelled = Arc::clone(&call.cancelled);
    let link = Arc::clone(&runtime.link);
    let limit = runtime.max_payload;
    let context = Context::new(
        call.id,
        session,
        worker,
        call.deadline,
        cancelled,
        link,
        limit,
    );
    // What tools see is the package's class around it, looked up when the first tool wants it.
    let class = match runtime.context_class.get() {
        Some(class) => class,
        None => {
            let class = runtime.catalog.bind(py).getattr("context_class")?.unbind();
            runtime.context_class.get_or_init(|| class)
        }
    };
    class.bind(py).call1((Bound::new(py, context)?,))
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
