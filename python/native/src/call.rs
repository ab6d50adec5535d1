//! One call: what the head of its frame said, and the head of its answer.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use pyo3::prelude::*;
use snakepit_grpc::call_head::CallHead;

use crate::current::Running;
use crate::fault::{Fault, fault};
use crate::ladder::Step;
use crate::outbox::Outbox;
use crate::serve::send_fault;
use crate::shared::window::Window;
use crate::span::Traced;
use crate::{clock, telemetry};

/// One call, its head decoded.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) id: u64,
    pub(crate) session: Option<String>,
    pub(crate) deadline: Option<Instant>,
    pub(crate) cancelled: Arc<AtomicBool>,
    /// Where it is a stream on a connection that many calls share.
    pub(crate) window: Option<Arc<Window>>,
    /// Its place in a trace and its correlation id, if the host has given one of them.
    pub(crate) traced: Option<Arc<Traced>>,
}

impl Call {
    /// A call that begins now; without a window. It knows its deadline if its code `asks` for it.
    pub(crate) fn new(
        id: u64,
        head: &CallHead<'_>,
        cancelled: Arc<AtomicBool>,
        asks: bool,
    ) -> Self {
        Self {
            id,
            session: (!head.session_id.is_empty()).then(|| head.session_id.to_owned()),
            deadline: (asks && head.timeout_us > 0)
                .then(|| clock::now() + Duration::from_micros(head.timeout_us)),
            cancelled,
            window: None,
            traced: Traced::new(head),
        }
    }

    /// What code that runs for it can know of it.
    pub(crate) fn running(&self) -> Running {
        Running {
            call: self.id,
            traced: self.traced.clone(),
        }
    }

    /// A chunk was sent, or an item of a batch is done.
    pub(crate) fn count(&self) {
        if let Some(traced) = &self.traced {
            traced.count();
        }
    }

    /// The head of its answer: its span, if it is sampled. Records of the call are sent before.
    pub(crate) fn end(&self, stopped: impl FnOnce() -> Stop) -> Vec<u8> {
        telemetry::flush();
        match &self.traced {
            Some(traced) => traced.head(stopped()),
            None => Vec::new(),
        }
    }

    /// Answers it with an error.
    pub(crate) fn fail(
        &self,
        py: Python<'_>,
        outbox: &Outbox,
        fault: &Fault,
        stopped: impl FnOnce() -> Stop,
    ) -> PyResult<()> {
        telemetry::flush();
        let traced = self.traced.as_ref();
        match traced.and_then(|traced| traced.end(stopped())) {
            Some(span) => {
                let mut fault = fault.clone();
                fault.span = Some(span);
                send_fault(py, outbox, self.id, &fault)
            }
            None => send_fault(py, outbox, self.id, fault),
        }
    }
}

/// What stopped a call, if it was cancelled, and how long that took.
pub(crate) type Stop = Option<(Step, Duration)>;

/// What the head of a call's frame asks for.
pub(crate) fn request(head: &[u8]) -> Result<CallHead<'_>, Fault> {
    CallHead::decode(head).map_err(|error| {
        fault(
            "SP5007",
            format!("the head of a call cannot be decoded: {error}"),
            None,
            "update host and worker together",
        )
    })
}
