//! One call: the decoded head of its frame, and the head of its answer.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use pyo3::prelude::*;
use snakepit_grpc::call_head::CallHead;

use crate::binding::fault::{Fault, fault};
use crate::cancel::escalation::CancelStep;
use crate::link::outbox::Outbox;
use crate::observe::span::Traced;
use crate::observe::telemetry;
use crate::process::clock;
use crate::serve::current::Running;
use crate::serve::multiplexed::window::Window;
use crate::serve::send_fault;

/// A call whose head is decoded.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) id: u64,
    pub(crate) session: Option<String>,
    pub(crate) deadline: Option<Instant>,
    pub(crate) cancelled: Arc<AtomicBool>,
    /// Flow control of a stream on a connection that many calls share; `None` for other calls.
    pub(crate) window: Option<Arc<Window>>,
    /// Trace and correlation id of the call; `None` if the host gave neither.
    pub(crate) traced: Option<Arc<Traced>>,
    /// Texts for the tool by key, if it can ask for them.
    pub(crate) metadata: Vec<(Box<str>, Box<str>)>,
}

impl Call {
    /// Creates a call that begins now, without a window. Deadline and metadata are set only if the
    /// tool can ask for them (`asks`).
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
            metadata: if asks { metadata(head) } else { Vec::new() },
        }
    }

    /// Returns the part of the call that code running for it can see.
    pub(crate) fn running(&self) -> Running {
        Running {
            call: self.id,
            traced: self.traced.clone(),
        }
    }

    /// Counts a chunk that was sent, or an item of a batch that is done.
    pub(crate) fn count(&self) {
        if let Some(traced) = &self.traced {
            traced.count();
        }
    }

    /// Ends the call and returns the head of its answer: its span if it is sampled, else nothing.
    /// Records of the call are sent first.
    pub(crate) fn end(&self, stopped: impl FnOnce() -> Stop) -> Vec<u8> {
        telemetry::flush();
        match &self.traced {
            Some(traced) => traced.head(stopped()),
            None => Vec::new(),
        }
    }

    /// Answers the call with an error.
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

/// Copies the metadata of a call. The correlation id is a part of it, unless the caller has set an
/// entry of its name.
fn metadata(head: &CallHead<'_>) -> Vec<(Box<str>, Box<str>)> {
    let correlation = ("correlation_id", head.correlation_id);
    let correlation = (!correlation.1.is_empty()).then_some(correlation);
    let all = correlation.into_iter().chain(head.metadata.iter().copied());
    all.map(|(key, value)| (key.into(), value.into())).collect()
}

/// The step that stopped a cancelled call, and the time from the cancellation to the end; `None` if
/// the call was not cancelled.
pub(crate) type Stop = Option<(CancelStep, Duration)>;

/// Decodes the head of a call's frame.
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
