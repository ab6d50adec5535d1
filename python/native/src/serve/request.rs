//! Requests of a tool to the host: their encoding, and their outcome as Python sees it.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use prost::Message as _;
use pyo3::exceptions::{PyConnectionError, PyRuntimeError, PyTypeError, PyValueError};
use pyo3::prelude::*;
use snakepit_grpc::frame::{Header, Kind};
use snakepit_grpc::pb;

use crate::codec::decode::decode;
use crate::codec::encode::encode_within;
use crate::link::outbox::Frame;
use crate::link::{self, Failure, Link, Outcome};
use crate::process::clock;
use crate::process::fork;
use crate::serve::current;

/// An encoded request, ready to be sent.
#[derive(Debug)]
pub(crate) struct PendingRequest {
    message: pb::HostRequest,
    body: Vec<u8>,
    /// Time at which the tool stops waiting for the answer.
    pub(crate) deadline: Option<Instant>,
}

impl PendingRequest {
    pub(crate) fn new(
        op: i32,
        name: String,
        body: &Bound<'_, PyAny>,
        timeout: Option<f64>,
        call: Option<Instant>,
        limit: usize,
    ) -> PyResult<Self> {
        if fork::in_child() {
            return Err(PyRuntimeError::new_err(
                "a forked child cannot send requests to the host: the connection belongs to its parent",
            ));
        }
        let timeout = timeout
            .map(|seconds| {
                Duration::try_from_secs_f64(seconds).map_err(|_| {
                    PyValueError::new_err(format!("{seconds} seconds is not a valid timeout"))
                })
            })
            .transpose()?;
        let own = timeout.and_then(|timeout| clock::now().checked_add(timeout));
        let deadline = match (own, call) {
            (Some(own), Some(call)) => Some(own.min(call)),
            (own, call) => own.or(call),
        };
        let micros = timeout.map_or(0, |timeout| {
            u64::try_from(timeout.as_micros())
                .unwrap_or(u64::MAX)
                .max(1)
        });
        let bytes = encoded(body, 0)?;
        if bytes.len() > limit {
            let message = format!(
                "request of {} bytes is larger than the limit of {limit} bytes",
                bytes.len()
            );
            let help = "send less, or raise `max_payload` of the pool";
            return Err(host_error(body.py(), &message, "SP2005", help, ""));
        }
        let message = pb::HostRequest {
            call_id: 0,
            op,
            name,
            timeout_us: micros,
            trace: current::span(body.py())?.into(),
        };
        Ok(Self {
            message,
            body: bytes,
            deadline,
        })
    }

    /// Sends the request on behalf of `call`; returns its number.
    pub(crate) fn send(
        self,
        py: Python<'_>,
        link: &Link,
        call: u64,
        cancelled: &AtomicBool,
        port: Option<Arc<link::Port>>,
    ) -> PyResult<u64> {
        let (number, room) = link
            .open(call, cancelled, port)
            .map_err(|why| failure(py, why, Some(call)))?;
        let head = pb::HostRequest {
            call_id: call,
            ..self.message
        };
        let frame = Frame {
            header: Header::new(Kind::HostCall, number),
            head: head.encode_to_vec(),
            body: self.body,
        };
        let sent = if room {
            let Frame {
                header,
                head,
                mut body,
            } = frame;
            link.outbox.send_body(py, header, &head, &mut body, None)
        } else {
            match link.queue(frame) {
                None => Ok(()),
                Some(frame) => py
                    .detach(|| link.outbox.send_detached(frame))
                    .map_err(PyErr::from),
            }
        };
        if sent.is_err() {
            link.give_up(number);
        }
        sent.map(|()| number)
    }
}

/// Returns a part of a request, `depth` levels deep, in its encoded form.
pub(crate) fn encoded(value: &Bound<'_, PyAny>, depth: usize) -> PyResult<Vec<u8>> {
    let mut bytes = Vec::new();
    encode_within(value, &mut bytes, depth).map_err(|error| {
        let error = error.with_way_out();
        PyTypeError::new_err(format!("a request to the host cannot be sent: {error}"))
    })?;
    Ok(bytes)
}

/// Abandons a request, and notifies the host if the call still runs.
pub(crate) fn give_up(py: Python<'_>, link: &Link, number: u64) -> PyResult<()> {
    if !link.give_up(number) {
        return Ok(());
    }
    let header = Header::new(Kind::HostCancel, number);
    link.outbox.send(py, header, &[], [&[], &[]])
}

/// Converts the outcome of a request into a value or an exception.
pub(crate) fn value<'py>(
    py: Python<'py>,
    outcome: Outcome,
    call: Option<u64>,
) -> PyResult<Bound<'py, PyAny>> {
    match outcome {
        Outcome::Reply(body) => decode(py, body.bytes()).map_err(|error| {
            let message = format!("the host's answer cannot be decoded: {error}");
            host_error(
                py,
                &message,
                "SP2006",
                "update host and worker together",
                "",
            )
        }),
        Outcome::Error(head) => Err(match pb::ToolError::decode(&head[..]) {
            Ok(error) => {
                let pb::ToolError {
                    message,
                    code,
                    help,
                    r#type,
                    ..
                } = &error;
                // Host and worker watch the same deadline: the code must not depend on which of
                // them sees it pass first.
                let code = if code == "SP8007" { "SP4003" } else { code };
                host_error(py, message, code, help, r#type)
            }
            Err(error) => {
                let message = format!("the host's error cannot be decoded: {error}");
                host_error(
                    py,
                    &message,
                    "SP5007",
                    "update host and worker together",
                    "",
                )
            }
        }),
        Outcome::TooLarge(size) => {
            let message = format!("the host's answer of {size} bytes is larger than the limit");
            let help = "request less, or raise `max_payload` of the pool";
            Err(host_error(py, &message, "SP2005", help, ""))
        }
        Outcome::Failed(why) => Err(failure(py, why, call)),
    }
}

/// Returns the exception for a request without an answer.
pub(crate) fn failure(py: Python<'_>, why: Failure, call: Option<u64>) -> PyErr {
    let call = call.map_or_else(|| "the call".to_owned(), |call| format!("call {call}"));
    match why {
        Failure::Over => host_error(
            py,
            &format!("{call} is over: its context cannot be used any more"),
            "SP8009",
            "use the context only while its call runs",
            "",
        ),
        Failure::Late => host_error(
            py,
            "the host did not answer in time",
            "SP4003",
            "allow more time for the request or for the call",
            "",
        ),
        Failure::Cancelled => raise(
            py,
            "snakepit_bridge",
            "Cancelled",
            (format!("{call} was cancelled"),),
        ),
        Failure::HostGone => PyConnectionError::new_err("the host is gone"),
    }
}

fn host_error(py: Python<'_>, message: &str, code: &str, help: &str, kind: &str) -> PyErr {
    let module = "snakepit_bridge._host.errors";
    raise(py, module, "HostError", (message, code, help, kind))
}

fn raise<'py>(
    py: Python<'py>,
    module: &str,
    class: &str,
    args: impl pyo3::call::PyCallArgs<'py>,
) -> PyErr {
    let made = py
        .import(module)
        .and_then(|module| module.getattr(class)?.call1(args));
    made.map_or_else(|error| error, PyErr::from_value)
}
