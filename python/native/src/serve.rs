//! The loop of a slot: reads a frame, runs the tool, writes the answer.

pub(crate) mod call;
pub(crate) mod context;
pub(crate) mod control;
pub(crate) mod current;
pub(crate) mod exclusive;
pub(crate) mod invoke;
pub(crate) mod many;
pub(crate) mod multiplexed;
pub(crate) mod port;
pub(crate) mod reply;
pub(crate) mod request;
pub(crate) mod slot_threads;
pub(crate) mod slots;
pub(crate) mod stream;
pub(crate) mod worker;

use std::ops::Deref;
use std::sync::{Arc, OnceLock};

use prost::Message as _;
use pyo3::prelude::*;
use snakepit_grpc::frame::{Header, Kind};
use snakepit_grpc::pb;

use crate::binding::fault::{Fault, fault};
use crate::binding::tool::{self, Tool, Tools};
use crate::cancel::cancelled::Cancels;
use crate::cancel::escalation::Means;
use crate::codec::frames::{LARGE, lending};
use crate::link::Link;
use crate::link::outbox::Outbox;
use crate::link::reader::{Frame, Incoming, Reader};
use crate::observe::gil::{self, Gil};
use crate::serve::call::{Call, request};
use crate::serve::current::{Here, InContext};
use crate::serve::invoke::{cancelled, execute};
use crate::serve::reply::reply;

/// Largest capacity that the scratch buffer keeps.
const KEEP: usize = 1 << 20;

/// State that all slots of a worker share.
#[derive(Debug)]
pub(crate) struct Runtime {
    pub(crate) tools: Tools,
    pub(crate) catalog: Py<PyAny>,
    pub(crate) context_class: OnceLock<Py<PyAny>>,
    /// Converts values that cannot be sent into ones that can; `None` if such values are errors.
    pub(crate) convert: Option<Py<PyAny>>,
    pub(crate) gil: Arc<Gil>,
    pub(crate) worker_id: Arc<str>,
    pub(crate) max_payload: usize,
    pub(crate) slots: u16,
}

/// State of one slot; it dereferences to the shared state.
#[derive(Debug)]
pub(crate) struct SlotRuntime {
    pub(crate) shared: Arc<Runtime>,
    pub(crate) cancels: Arc<Cancels>,
    pub(crate) link: Arc<Link>,
}

impl Deref for SlotRuntime {
    type Target = Runtime;

    fn deref(&self) -> &Runtime {
        &self.shared
    }
}

/// The reason why serving ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// The host requested a shutdown.
    Shutdown,
    /// The connection ended.
    HostGone,
}

/// Serves calls until the host requests a shutdown or is gone.
pub(crate) fn serve(
    py: Python<'_>,
    mut reader: Box<Reader>,
    runtime: &SlotRuntime,
) -> PyResult<End> {
    let outbox = &runtime.link.outbox;
    let mut scratch = Vec::new();
    loop {
        let frame = match reader.next(py)? {
            Incoming::End => return Ok(End::HostGone),
            Incoming::TooLarge(header) if header.kind == Kind::HostReply => continue,
            Incoming::TooLarge(header) if !runtime.cancels.admit(header.call) => continue,
            Incoming::TooLarge(header) => {
                too_large_request(py, outbox, header, runtime.max_payload)?;
                continue;
            }
            Incoming::Frame(frame) => frame,
        };
        match frame.header.kind {
            Kind::Shutdown => return Ok(End::Shutdown),
            Kind::Describe => describe(py, outbox, runtime)?,
            Kind::Call | Kind::Stream | Kind::Many if !runtime.cancels.admit(frame.header.call) => {
            }
            Kind::Call | Kind::Stream | Kind::Many => {
                reader = run(py, reader, runtime, &frame, &mut scratch)?;
            }
            // The call that made the request is over.
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

pub(crate) fn describe(py: Python<'_>, outbox: &Outbox, runtime: &Runtime) -> PyResult<()> {
    let version = py.version_info();
    let description = pb::DescribeResponse {
        protocol_version: snakepit_grpc::preamble::PROTOCOL_VERSION,
        runtime: py
            .import("sys")?
            .getattr("implementation")?
            .getattr("name")?
            .extract()?,
        runtime_version: format!("{}.{}.{}", version.major, version.minor, version.patch),
        gil_enabled: gil::is_enabled(py)?,
        gil_reenabled_by: runtime.gil.reenabled_by().to_owned(),
        slots: u32::from(runtime.slots),
        pid: std::process::id(),
        tools: runtime.tools.specs(),
        capabilities: [
            "cancel",
            "concurrency",
            "many",
            "profile",
            "recall",
            "stream",
            "telemetry",
        ]
        .map(str::to_owned)
        .to_vec(),
    };
    let mut head = description.encode_to_vec();
    if head.len() > snakepit_grpc::frame::MAX_HEAD {
        // The schemas are the largest part, and calls work without them.
        let mut short = description;
        for tool in &mut short.tools {
            tool.parameters_schema.clear();
            tool.returns_schema.clear();
        }
        head = short.encode_to_vec();
    }
    outbox.send(py, Header::new(Kind::Described, 0), &head, [&[], &[]])
}

pub(crate) fn too_large_request(
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

/// Runs one frame that calls a tool, and always answers it. Returns the reader.
fn run(
    py: Python<'_>,
    mut reader: Box<Reader>,
    runtime: &SlotRuntime,
    frame: &Frame,
    scratch: &mut Vec<u8>,
) -> PyResult<Box<Reader>> {
    let link = &runtime.link;
    let id = frame.header.call;
    let request = match request(reader.head(frame)) {
        Ok(request) => request,
        Err(fault) => return send_fault(py, &link.outbox, id, &fault).map(|()| reader),
    };
    let kind = frame.header.kind;
    let (tool, other_name) = match runtime.tools.find(request.tool_name) {
        Err(_) if let Some(tool) = runtime.tools.catch_all(kind) => {
            (Ok(tool), Some(request.tool_name.to_owned()))
        }
        found => (
            found.and_then(|tool| tool.right_kind(kind).map(|()| tool)),
            None,
        ),
    };
    let means = tool.as_ref().map_or(Means::default(), |tool| Means {
        flag: tool.knows_context() || kind == Kind::Stream,
        task: tool.is_async,
    });
    let asks = tool.as_ref().is_ok_and(|tool| tool.knows_context());
    let call = Call::new(id, &request, runtime.cancels.begin(id, means), asks);
    let named = |body: &[u8]| other_name.map(|name| tool::by_name(&name, body));
    if asks {
        // The reader is lent out for the tool's own requests while the tool runs.
        let body = reader.take_body(frame);
        link.lend(reader, id);
        let (done, body) = lending(body, |body| {
            let wrapped = named(body);
            let args = wrapped.as_deref().unwrap_or(body);
            answer(py, runtime, kind, tool, &call, args, scratch)
        });
        runtime.cancels.end();
        reader = match link.end_call() {
            Some(reader) => reader,
            None => py.detach(|| link.reclaim()),
        };
        if let Some(body) = body {
            reader.reuse(body);
        }
        done?;
    } else if reader.body(frame).len() >= LARGE {
        let body = reader.take_body(frame);
        let (done, body) = lending(body, |body| {
            let wrapped = named(body);
            let args = wrapped.as_deref().unwrap_or(body);
            answer(py, runtime, kind, tool, &call, args, scratch)
        });
        runtime.cancels.end();
        if let Some(body) = body {
            reader.reuse(body);
        }
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

/// Calls the tool and sends its result or its error.
///
/// # Errors
/// The connection fails.
pub(crate) fn answer(
    py: Python<'_>,
    runtime: &SlotRuntime,
    kind: Kind,
    tool: Result<&Tool, Fault>,
    call: &Call,
    body: &[u8],
    scratch: &mut Vec<u8>,
) -> PyResult<()> {
    let (outbox, id) = (&runtime.link.outbox, call.id);
    let _here = Here::enter(call.running());
    // Setting the context variable costs more than the rest of a small call, and only code that
    // copies a context needs it.
    let copied = call.traced.is_some() || tool.as_ref().is_ok_and(|tool| tool.is_async);
    let _context = match copied {
        true => Some(InContext::enter(py, call.running())?),
        false => None,
    };
    let stopped = || runtime.cancels.stopped();
    let mut turn = None;
    let tool = tool.and_then(|tool| {
        if let Some(one) = &tool.turn {
            turn = one.take(py, &call.cancelled, &runtime.cancels);
            turn.as_ref().ok_or_else(|| cancelled(tool))?;
        }
        Ok(tool)
    });
    match tool {
        // The host runs the call elsewhere.
        Err(_) if runtime.cancels.is_taken_back() => Ok(()),
        Err(fault) if kind == Kind::Many => {
            many::run(py, outbox, runtime, call, Err(&fault), body, scratch)
        }
        Err(fault) => call.fail(py, outbox, &fault, stopped),
        Ok(tool) => match kind {
            Kind::Many => many::run(py, outbox, runtime, call, Ok(tool), body, scratch),
            Kind::Stream => match stream::run(py, outbox, runtime, tool, call, body, scratch)? {
                Ok(()) => {
                    let head = call.end(stopped);
                    outbox.send(py, Header::new(Kind::End, id), &head, [&[], &[]])
                }
                Err(fault) => call.fail(py, outbox, &fault, stopped),
            },
            _ => match execute(py, runtime, tool, call, body)
                .and_then(|result| reply(&result, runtime, tool, scratch))
            {
                Err(fault) => call.fail(py, outbox, &fault, stopped),
                Ok(tail) => {
                    let head = call.end(stopped);
                    outbox.send_body(py, Header::new(Kind::Reply, id), &head, scratch, tail)
                }
            },
        },
    }
}
