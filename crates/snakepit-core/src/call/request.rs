//! A call as it is sent to a worker.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::CallChain;
use crate::events::{TraceContext, TraceState};
use crate::id::{CallId, SessionId};
use crate::state::SessionHold;
use crate::value::{Metadata, Payload};

/// One call, ready to be sent: its arguments are encoded and its deadline is fixed.
#[derive(Clone, Debug)]
pub struct Request {
    /// Number of this attempt, known to its worker and unique in this run of the host.
    pub call: CallId,
    /// Number of the call in events, spans and log records, the same in all its attempts.
    pub number: CallId,
    /// Name of the tool.
    pub tool: Arc<str>,
    /// The encoded arguments.
    pub args: Payload,
    /// The caller's session. `None` if it has none.
    pub session: Option<SessionId>,
    /// Keeps that session from expiring while the call runs. `None` without a session, and in pools
    /// without sessions.
    pub hold: Option<SessionHold>,
    /// Time at which the caller stops waiting.
    pub deadline: Option<Instant>,
    /// Time at which it is sent. The worker has from then until the deadline.
    pub at: Instant,
    /// The calls in which this one is nested, and itself once it has a slot.
    pub chain: CallChain,
    /// The call's span, the parent of all spans in its worker. `None` if there is no recorder.
    pub trace: Option<TraceContext>,
    /// State of tracing systems that belongs to that span.
    pub trace_state: TraceState,
    /// Correlation id given by the caller, for log records.
    pub correlation: Option<Arc<str>>,
    /// Texts for the tool, given by the caller.
    pub metadata: Option<Arc<Metadata>>,
}

impl Request {
    /// Creates a call of `tool` without session or deadline.
    pub fn new(tool: impl Into<Arc<str>>, args: Payload) -> Self {
        let call = CallId::next();
        Self {
            call,
            number: call,
            tool: tool.into(),
            args,
            session: None,
            hold: None,
            deadline: None,
            at: Instant::now(),
            chain: CallChain::default(),
            trace: None,
            trace_state: TraceState::default(),
            correlation: None,
            metadata: None,
        }
    }

    /// Time left until the deadline. `None` if there is none.
    pub fn remaining(&self, now: Instant) -> Option<Duration> {
        self.deadline
            .map(|deadline| deadline.saturating_duration_since(now))
    }
}
