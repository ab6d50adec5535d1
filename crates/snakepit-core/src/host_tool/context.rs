//! Who calls a host tool, and what the tool is told of it.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::{
    CallChain, CallId, CallOptions, Session, SessionHold, SessionId, TraceContext, TraceState,
    WorkerId,
};

/// In whose name a host tool is called.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct ToolCall {
    /// Session of the caller.
    pub session: Option<SessionId>,
    /// Keeps that session from expiring while the tool runs; found by the id when absent.
    pub hold: Option<SessionHold>,
    /// The worker that calls; none for other peers.
    pub worker: Option<WorkerId>,
    /// The call of the worker's tool that calls this one.
    pub call: Option<CallId>,
    /// When the caller stops waiting.
    pub deadline: Option<Instant>,
    /// The chain of the [`Request`](crate::Request) that the worker is running.
    pub chain: CallChain,
    /// Span of the caller. A call of a worker without one is not traced.
    pub trace: Option<TraceContext>,
    /// State of tracing systems (`tracestate`) that goes with that span.
    pub trace_state: TraceState,
    /// Correlation id of the caller, for log records.
    pub correlation: Option<Arc<str>>,
}

impl ToolCall {
    /// A call of nobody in particular.
    pub fn new() -> Self {
        Self::default()
    }

    /// A call made while `worker` runs `request`.
    pub fn from_request(worker: WorkerId, request: &crate::Request) -> Self {
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

/// What a host tool is told of its call. Cheap to clone.
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

    /// Session of the caller, if the host has it; changes made through it carry the caller as their origin.
    pub const fn session(&self) -> Option<&Session> {
        self.session.as_ref()
    }

    /// Id of the caller's session, also when the host knows nothing else of it.
    pub fn session_id(&self) -> Option<&SessionId> {
        self.call.session.as_ref()
    }

    /// The worker that calls.
    pub fn worker(&self) -> Option<&WorkerId> {
        self.call.worker.as_ref()
    }

    /// The call of the worker's tool that calls this one.
    pub fn call(&self) -> Option<CallId> {
        self.call.call
    }

    /// Time left until the caller stops waiting; `None` when it never does.
    pub fn remaining(&self) -> Option<Duration> {
        let deadline = self.call.deadline?;
        Some(deadline.saturating_duration_since(Instant::now()))
    }

    /// Calls of workers that this one is nested in.
    pub fn depth(&self) -> u32 {
        self.call.chain.depth()
    }

    /// Trace context of this call of the tool: its own span, or that of its caller where nobody records spans. `None` if it is not traced.
    pub fn trace(&self) -> Option<TraceContext> {
        self.call.trace
    }

    /// State of tracing systems (`tracestate`) that goes with that context, for requests to other services.
    pub fn trace_state(&self) -> &TraceState {
        &self.call.trace_state
    }

    /// Correlation id of the caller.
    pub fn correlation(&self) -> Option<&Arc<str>> {
        self.call.correlation.as_ref()
    }

    /// The caller does not wait any more.
    pub fn is_cancelled(&self) -> bool {
        self.cancelled.is_cancelled()
    }

    /// Waits until the caller does not wait any more.
    pub async fn cancelled(&self) {
        self.cancelled.cancelled().await;
    }

    /// Options for calls that this tool makes: session, time left and chain of the caller, its trace and its correlation id.
    ///
    /// A call into a pool without them is not known to be nested, and may wait for a slot that its own caller has.
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
