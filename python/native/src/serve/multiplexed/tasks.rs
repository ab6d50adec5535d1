//! Calls of asynchronous tools: the objects that their tasks use, and their results.

use std::sync::Mutex;
use std::sync::atomic::Ordering;

use pyo3::prelude::*;
use snakepit_grpc::frame::{FLAG_LAST, Header, Kind};

use super::server::{Server, lock};
use crate::binding::fault::{Fault, fault, note_stop, raised};
use crate::binding::tool::Tool;
use crate::process::fork;
use crate::serve::SlotRuntime;
use crate::serve::call::Call;
use crate::serve::current::InContext;
use crate::serve::invoke::{begin, cancelled, release_context};
use crate::serve::many::{encode_item, split};
use crate::serve::reply::{check_size, encode_result, reply};
use crate::serve::stream::iterate;

/// A call as its task sees it.
#[pyclass(frozen)]
#[derive(Debug)]
pub(crate) struct Work {
    server: Py<Server>,
    runtime: SlotRuntime,
    kind: Kind,
    /// Name of its tool, by which the tool is looked up.
    tool: String,
    call: Call,
    state: Mutex<TaskState>,
}

#[derive(Debug, Default)]
struct TaskState {
    /// The error of the call, if it has another cause than an exception of the tool.
    fault: Option<Fault>,
    /// Items of a batch that have not run yet.
    items: Vec<u8>,
    at: usize,
}

/// Starts the task of a call.
///
/// # Errors
/// The connection fails.
pub(super) fn start(
    server: &Bound<'_, Server>,
    kind: Kind,
    runtime: SlotRuntime,
    tool: &Tool,
    call: Call,
    args: &[u8],
) -> PyResult<()> {
    let py = server.py();
    let id = call.id;
    // The task copies the context that is set now.
    let _context = InContext::enter(py, call.running())?;
    let mut state = TaskState::default();
    let made = if kind == Kind::Many {
        state.items = args.to_vec();
        None
    } else {
        let made = begin(py, &runtime, tool, &call, args);
        match made {
            Ok(made) => Some(made),
            Err(fault) => {
                release_context(py, tool);
                if !server.get().table.started(id) {
                    return Ok(());
                }
                return fail(py, server.get(), &call, fault);
            }
        }
    };
    let work = Work {
        server: server.clone().unbind(),
        runtime,
        kind,
        tool: tool.name.clone(),
        call,
        state: Mutex::new(state),
    };
    let work = Bound::new(py, work)?;
    let done = work.getattr("done")?;
    let this = server.get();
    let spawned = match (kind, made) {
        (Kind::Call, Some(made)) => this.spawn("call", (made, &work), py, id, done),
        (_, Some(made)) => this.spawn("stream", (made, &work), py, id, done),
        (_, None) => this.spawn("many", (&work,), py, id, done),
    };
    if kind != Kind::Many {
        release_context(py, tool);
    }
    spawned
}

/// Answers a call with an error, which ends it.
fn fail(py: Python<'_>, server: &Server, call: &Call, mut fault: Fault) -> PyResult<()> {
    let stopped = server.over(call.id);
    if let Some(stopped) = stopped {
        note_stop(&mut fault, stopped);
    }
    call.fail(py, &server.runtime.link.outbox, &fault, || stopped)?;
    server.end_if_done(py);
    Ok(())
}

impl Work {
    fn tool(&self) -> Result<&Tool, Fault> {
        self.runtime.tools.find(&self.tool)
    }

    /// Converts an exception raised by the tool into the error sent to the caller.
    fn raised(&self, py: Python<'_>, error: &PyErr, tool: &Tool) -> Fault {
        let given_up = self.call.cancelled.load(Ordering::Acquire);
        let module = self.server.get().module(py);
        let shown =
            module.and_then(|module| module.call_method1("shown", (error.value(py), given_up)));
        match shown {
            Ok(shown) => raised(py, &self.runtime, &PyErr::from_value(shown), tool),
            Err(error) => raised(py, &self.runtime, &error, tool),
        }
    }

    fn answer(&self, py: Python<'_>, task: &Bound<'_, PyAny>) -> PyResult<()> {
        let (server, id) = (self.server.get(), self.call.id);
        if !self.started() {
            server.forget(id);
            server.end_if_done(py);
            return Ok(());
        }
        let tool = match self.tool() {
            Ok(tool) => tool,
            Err(fault) => return fail(py, server, &self.call, fault),
        };
        let result = match task.call_method0("result") {
            Ok(result) => result,
            Err(error) if server.raised_by_signal(py, &error)? => return Ok(()),
            Err(error) => return fail(py, server, &self.call, self.raised(py, &error, tool)),
        };
        if let Some(fault) = lock(&self.state).fault.take() {
            return fail(py, server, &self.call, fault);
        }
        let header = match self.kind {
            Kind::Stream => Header::new(Kind::End, id),
            Kind::Many => {
                let flags = FLAG_LAST;
                let header = Header::new(Kind::ManyReply, id);
                Header { flags, ..header }
            }
            _ => Header::new(Kind::Reply, id),
        };
        let (mut body, mut tail) = (Vec::new(), None);
        if self.kind == Kind::Call {
            match reply(&result, &self.runtime, tool, &mut body) {
                Ok(follows) => tail = follows,
                Err(fault) => return fail(py, server, &self.call, fault),
            }
        }
        let stopped = server.over(id);
        let head = self.call.end(|| stopped);
        if tail.is_some() {
            let outbox = &server.runtime.link.outbox;
            outbox.send_body(py, header, &head, &mut body, tail)?;
        } else {
            server.gather_answer(py, header, &head, body)?;
        }
        server.end_if_done(py);
        Ok(())
    }

    /// Returns whether the call may continue: `false` if the host has taken it back before it
    /// began.
    fn started(&self) -> bool {
        self.server.get().table.started(self.call.id)
    }

    fn next_item<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        loop {
            let item = {
                let mut state = lock(&self.state);
                let rest = &state.items[state.at..];
                if rest.is_empty() {
                    return Ok(None);
                }
                let Some((item, rest)) = split(rest) else {
                    state.fault = Some(fault(
                        "SP5007",
                        "a batch of calls is cut short",
                        None,
                        "update host and worker together",
                    ));
                    return Ok(None);
                };
                let (item, left) = (item.to_vec(), rest.len());
                state.at = state.items.len() - left;
                item
            };
            let made = self.tool().and_then(|tool| {
                let made = begin(py, &self.runtime, tool, &self.call, &item);
                if made.is_err() {
                    release_context(py, tool);
                }
                made
            });
            match made {
                Ok(made) => return Ok(Some(made)),
                Err(fault) => self.send_item(py, &Err(fault))?,
            }
        }
    }

    fn send_item(&self, py: Python<'_>, item: &Result<Vec<u8>, Fault>) -> PyResult<()> {
        let mut out = Vec::new();
        encode_item(item, &mut out);
        self.call.count();
        let header = Header::new(Kind::ManyReply, self.call.id);
        self.server.get().gather(py, header, out)
    }
}

#[pymethods]
impl Work {
    /// Send the result when the task is done.
    fn done(&self, py: Python<'_>, task: &Bound<'_, PyAny>) {
        fork::end_child();
        if self.server.get().failed() {
            return;
        }
        if let Err(error) = self.answer(py, task) {
            self.server.get().end(py, Err(error));
        }
    }

    /// Begin the task; return whether it may continue, which is false if the host has taken the
    /// call back.
    fn begin(&self) -> bool {
        self.started()
    }

    /// Return the iterator over the result of a streaming tool that is no asynchronous generator;
    /// None if the result cannot be iterated.
    fn iterate<'py>(&self, made: &Bound<'py, PyAny>) -> Option<Bound<'py, PyAny>> {
        let iterator = self.tool().and_then(|tool| iterate(made, tool));
        match iterator {
            Ok(iterator) => Some(iterator.into_any()),
            Err(fault) => {
                lock(&self.state).fault = Some(fault);
                None
            }
        }
    }

    /// Send one chunk; return whether the stream continues, or an awaitable for which it must wait
    /// first.
    fn chunk<'py>(&self, py: Python<'py>, item: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        fork::end_child();
        let answer = |on: bool| on.into_pyobject(py).map(|on| on.to_owned().into_any());
        let (server, id) = (self.server.get(), self.call.id);
        let mut out = Vec::new();
        let limit = self.runtime.max_payload;
        let encoded = self.tool().and_then(|tool| {
            if self.call.cancelled.load(Ordering::Acquire) {
                return Err(cancelled(tool));
            }
            encode_result(item, &self.runtime, "chunk", tool, &mut out)?;
            check_size(out.len(), limit, "chunk", tool)
        });
        if let Err(fault) = encoded {
            lock(&self.state).fault = Some(fault);
            return Ok(answer(false)?);
        }
        let bytes = out.len();
        server.gather(py, Header::new(Kind::Chunk, id), out)?;
        self.call.count();
        let window = self.call.window.as_ref();
        if window.is_some_and(|window| window.spend(bytes)) {
            return server.wait_for_window(py, id);
        }
        Ok(answer(true)?)
    }

    /// Return what the tool returned for the next item of a batch; None at the end.
    fn next<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        fork::end_child();
        if lock(&self.state).at == 0 && !self.started() {
            return Ok(None);
        }
        self.next_item(py)
    }

    /// Send the result of the current item.
    fn put(&self, py: Python<'_>, result: &Bound<'_, PyAny>) -> PyResult<()> {
        fork::end_child();
        let mut out = Vec::new();
        let item = self.tool().and_then(|tool| {
            release_context(py, tool);
            encode_result(result, &self.runtime, "result", tool, &mut out)?;
            check_size(out.len(), self.runtime.max_payload, "result", tool)
        });
        self.send_item(py, &item.map(|()| out))
    }

    /// Send the exception of the current item.
    fn fail(&self, py: Python<'_>, error: Bound<'_, PyAny>) -> PyResult<()> {
        fork::end_child();
        let error = PyErr::from_value(error);
        if self.server.get().raised_by_signal(py, &error)? {
            return Err(error);
        }
        let fault = match self.tool() {
            Ok(tool) => {
                release_context(py, tool);
                let mut fault = self.raised(py, &error, tool);
                if let Some(stopped) = self.server.get().table.stopped(self.call.id) {
                    note_stop(&mut fault, stopped);
                }
                fault
            }
            Err(fault) => fault,
        };
        self.send_item(py, &Err(fault))
    }
}
