//! Handling of received frames: starts calls, and delivers answers to their requests.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use prost::Message as _;
use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use snakepit_grpc::frame::{FLAG_ERROR, Kind};
use snakepit_grpc::pb;

use super::server::{Server, lock};
use super::table::Entry;
use super::threads::Job;
use super::window::Window;
use crate::binding::fault::Fault;
use crate::binding::tool::{Tool, by_name};
use crate::cancel::offspring::Offspring;
use crate::link::reader::{Frame, Incoming, Reader};
use crate::link::{Link, Outcome};
use crate::serve::call::{Call, request};
use crate::serve::many;
use crate::serve::{End, SlotRuntime, describe, send_fault, too_large_request};

/// A call whose tool was found.
struct Known<'a> {
    tool: &'a Tool,
    /// Arguments, if they are not those of the frame.
    wrapped: Option<Vec<u8>>,
}

impl Server {
    /// Reads and handles the frames that are there.
    pub(super) fn read(slf: &Bound<'_, Self>) -> PyResult<()> {
        let (py, this) = (slf.py(), slf.get());
        let mut reader = lock(&this.reader);
        match reader.fill() {
            Ok(true) => {}
            Ok(false) => {
                reader.end()?;
                this.end(py, Ok(End::HostGone));
                return Ok(());
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Ok(()),
            Err(error) => return Err(error.into()),
        }
        while let Some(incoming) = reader.parse()? {
            let outbox = &this.runtime.link.outbox;
            let frame = match incoming {
                Incoming::Frame(frame) => frame,
                Incoming::TooLarge(header) if header.kind == Kind::HostReply => {
                    let outcome = Outcome::TooLarge(header.body_len);
                    this.table.answered(header, outcome)?;
                    continue;
                }
                Incoming::TooLarge(header) if !this.table.admit(header.call) => continue,
                Incoming::TooLarge(header) => {
                    this.table.end(header.call);
                    too_large_request(py, outbox, header, this.runtime.max_payload)?;
                    continue;
                }
                Incoming::End => continue,
            };
            match frame.header.kind {
                Kind::Describe => describe(py, outbox, &this.runtime)?,
                Kind::Call | Kind::Stream | Kind::Many => Self::start(slf, &mut reader, &frame)?,
                Kind::HostReply => {
                    let outcome = if frame.header.flags & FLAG_ERROR == 0 {
                        Outcome::Reply(reader.take_body(&frame))
                    } else {
                        Outcome::Error(reader.head(&frame).to_vec())
                    };
                    this.table.answered(frame.header, outcome)?;
                }
                Kind::More => {
                    let more = pb::More::decode(reader.head(&frame)).map_err(io::Error::other)?;
                    this.more(py, frame.header.call, more.bytes)?;
                }
                Kind::Shutdown => {
                    this.stopping.store(true, Ordering::Relaxed);
                    this.end_if_done(py);
                }
                kind => {
                    return Err(PyRuntimeError::new_err(format!(
                        "the host sent an unexpected frame {kind:?}"
                    )));
                }
            }
        }
        Ok(())
    }

    /// Starts one call.
    ///
    /// # Errors
    /// The connection fails.
    fn start(slf: &Bound<'_, Self>, reader: &mut Reader, frame: &Frame) -> PyResult<()> {
        let (py, this) = (slf.py(), slf.get());
        let (id, kind) = (frame.header.call, frame.header.kind);
        let outbox = &this.runtime.link.outbox;
        if !this.table.admit(id) {
            return Ok(());
        }
        let request = match request(reader.head(frame)) {
            Ok(request) => request,
            Err(fault) => {
                this.table.end(id);
                return send_fault(py, outbox, id, &fault);
            }
        };
        let mut call = Call::new(id, &request, Arc::default(), true);
        call.window = (kind == Kind::Stream).then(|| Arc::new(Window::new()));
        let known = match this.known(request.tool_name, kind, reader.body(frame)) {
            Ok(known) => known,
            Err(fault) => {
                this.table.end(id);
                let (body, mut out) = (reader.body(frame), Vec::new());
                if kind == Kind::Many {
                    return many::run(
                        py,
                        outbox,
                        &this.runtime,
                        &call,
                        Err(&fault),
                        body,
                        &mut out,
                    );
                }
                return call.fail(py, outbox, &fault, || None);
            }
        };
        let task = known.tool.is_async;
        let link = (task && known.tool.knows_context()).then(|| {
            let thread = std::thread::current().id();
            let link = Link::of_loop(Arc::clone(outbox), thread);
            link.begin_call(id);
            Arc::new(link)
        });
        let entry = Entry {
            flag: Arc::clone(&call.cancelled),
            task,
            // Code around a coroutine function runs when the coroutine is created.
            begun: task && !known.tool.is_lazy && kind != Kind::Many,
            link: link.clone(),
            window: call.window.clone(),
            programs: Offspring::default(),
        };
        this.table.begin(id, entry);
        if !task {
            let body = match known.wrapped {
                Some(body) => body,
                None => reader.body(frame).to_vec(),
            };
            this.threads.push(Job {
                kind,
                tool: known.tool.name.clone(),
                call,
                body,
            });
            return Ok(());
        }
        let runtime = SlotRuntime {
            shared: Arc::clone(&this.runtime.shared),
            cancels: Arc::clone(&this.runtime.cancels),
            link: link.unwrap_or_else(|| Arc::clone(&this.runtime.link)),
        };
        let args = known.wrapped.as_deref().unwrap_or(reader.body(frame));
        super::tasks::start(slf, kind, runtime, known.tool, call, args)
    }

    /// Returns the tool of a call, or the tool that accepts every name.
    fn known(&self, name: &str, kind: Kind, body: &[u8]) -> Result<Known<'_>, Fault> {
        let tools = &self.runtime.tools;
        match (tools.find(name), tools.catch_all(kind)) {
            (Err(_), Some(tool)) => Ok(Known {
                tool,
                wrapped: Some(by_name(name, body)),
            }),
            (found, _) => {
                let tool = found?;
                tool.right_kind(kind)?;
                Ok(Known {
                    tool,
                    wrapped: None,
                })
            }
        }
    }

    fn more(&self, py: Python<'_>, call: u64, bytes: u64) -> PyResult<()> {
        // The stream may have ended meanwhile.
        let window = self.table.window(call);
        if window.is_some_and(|window| window.open(bytes)) {
            let waiting = lock(&self.waiting).remove(&call);
            if let Some(future) = waiting.map(|future| future.into_bound(py))
                && !future.call_method0("done")?.is_truthy()?
            {
                future.call_method1("set_result", (py.None(),))?;
            }
        }
        Ok(())
    }
}
