//! The caller of a host tool, and the context that the tool receives.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::call::{CallChain, CallOptions};
use crate::events::{TraceContext, TraceState};
use crate::id::{CallId, SessionId, WorkerId};
use crate::state::{Session, SessionHold};

/// The caller of a host tool.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct ToolCall {
    /// Session of the caller.
    pub session: Option<SessionId>,
    /// Keeps that session from expiring while the tool runs. `None` if the host is to find the
    /// session by its id.
    pub hold: Option<SessionHold>,
    /// The calling worker. `None` for other peers.
    pub worker: Option<WorkerId>,
    /// The call of the worker's tool that calls this one.
    pub call: Option<CallId>,
    /// Time at which the caller stops waiting.
    pub deadline: Option<Instant>,
    /// The chain of the [`Request`](crate::call::Request) that the worker is running.
    pub chain: CallChain,
    /// Span of the caller. A call of a worker without one is not traced.
    pub trace: Option<TraceContext>,
    /// State of tracing systems (`tracestate`) that goes with that span.
    pub trace_state: TraceState,
    /// Correlation id of the caller, for log records.
    pub correlation: Option<Arc<str>>,
}

impl ToolCall {
    /// Creates a call without any caller.
    pub fn new() -> Self {
        Self::default()
    }

    /// Creates a call made while `worker` runs `request`.
    pub fn from_request(worker: WorkerId, request: &crate::call::Request) -> Self {
        Self {
            session: request.session.clone(),
            hold: request.hold.clone(),
            worker: Some(worker),
            call: Some(request.number),
            deadline: request.deadline,
            chain: request.chain.clone(),
            trace: request.trace,
            trace_state: request.trace_state.clone(),
            correlation: request.correlation.clone(),
        }
    }
}

/// The context of one call of a host tool. Cheap to clone.
#[derive(Clone, Debug)]
pub struct ToolContext {
    tool: Arc<str>,
    call: Arc<ToolCall>,
    session: Option<Session>,
    cancelled: CancellationToken,
}

impl ToolContext {
    pub(super) fn new(
        tool: Arc<str>,
        call: ToolCall,
        session: Option<Session>,
        cancelled: CancellationToken,
    ) -> Self {
        Self {
            tool,
            call: Arc::new(call),
            session,
            cancelled,
        }
    }

    /// Name of the tool.
    pub fn tool(&self) -> &str {
        &self.tool
    }

    /// Session of the caller, if the host has it. Changes made through it name the caller as their
    /// origin.
    pub const fn session(&self) -> Option<&Session> {
        self.session.as_ref()
    }

    /// Id of the caller's session, even if the host does not have that session.
    pub fn session_id(&self) -> Option<&SessionId> {
        self.call.session.as_ref()
    }

    /// The calling worker. `None` for other peers.
    pub fn worker(&self) -> Option<&WorkerId> {
        self.call.worker.as_ref()
    }

    /// The call of the worker's tool that calls this one.
    pub fn call(&self) -> Option<CallId> {
        self.call.call
    }

    /// Time left until the caller stops waiting. `None` if it has no deadline.
    pub fn remaining(&self) -> Option<Duration> {
        let deadline = self.call.deadline?;
        Some(deadline.saturating_duration_since(Instant::now()))
    }

    /// Number of worker calls in which this call is nested.
    pub fn depth(&self) -> u32 {
        self.call.chain.depth()
    }

    /// Trace context of this call of the tool: its own span, or that of its caller if there is no
    /// recorder. `None` if it is not traced.
    pub fn trace(&self) -> Option<TraceContext> {
        self.call.trace
    }

    /// State of tracing systems (`tracestate`) that belongs to that context, for requests to other
    /// services.
    pub fn trace_state(&self) -> &TraceState {
        &self.call.trace_state
    }

    /// Correlation id of the caller.
    pub fn correlation(&self) -> Option<&Arc<str>> {
        self.call.correlation.as_ref()
    }

    /// Returns true if the caller no longer waits.
    pub fn is_cancelled(&self) -> bool {
        self.cancelled.is_cancelled()
    }

    /// Waits until the caller no longer waits.
    pub async fn cancelled(&self) {
        self.cancelled.cancelled().await;
    }

    /// Returns options for calls that this tool makes: session, remaining time and chain of the
    /// caller, its trace and its correlation id.
    ///
    /// A pool cannot recognise a call without them as nested; such a call may wait for a slot that
    /// its own caller holds.
    pub fn options(&self) -> CallOptions {
        let mut options = CallOptions::new();
        options.timeout = self.remaining();
        options.session.clone_from(&self.call.session);
        options.chain = self.call.chain.clone();
        options.trace = self.call.trace;
        options.trace_state.clone_from(&self.call.trace_state);
        options.correlation.clone_from(&self.call.correlation);
        options
    }
}
