//! Requests to workers, options of calls, and streams of chunks.

use std::num::NonZeroU16;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures_core::Stream;
use tokio::time::Instant;

use crate::{
    Affinity, CallChain, CallError, CallId, Payload, Session, SessionHold, SessionId, TraceContext,
    TraceState,
};

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
        }
    }

    /// Time left until the deadline. `None` if there is none.
    pub fn remaining(&self, now: Instant) -> Option<Duration> {
        self.deadline
            .map(|deadline| deadline.saturating_duration_since(now))
    }
}

/// Options of one call.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct CallOptions {
    /// Time for the whole call, queue included. `None` for that of the tool in
    /// [`PoolConfig::tools`](crate::PoolConfig::tools), or else the pool's `call_timeout` or
    /// `stream_timeout`.
    pub timeout: Option<Duration>,
    /// Longest time in the queue. `None` for that of the tool, or else the pool's `queue_timeout`.
    pub queue_timeout: Option<Duration>,
    /// Session for affinity, also visible to the tool.
    pub session: Option<SessionId>,
    /// Generation of that session that the call is for. `None` for any.
    pub(crate) generation: Option<Session>,
    /// Keeps the session from expiring.
    pub(crate) hold: Option<SessionHold>,
    /// Strength of the session's bond to a worker. `None` for the pool's `affinity`.
    pub affinity: Option<Affinity>,
    /// Identity of this call in the pool's quarantine; it must be the same when the call is
    /// repeated. `None` for tool and arguments.
    pub fingerprint: Option<Arc<str>>,
    /// Running the call twice is harmless: the pool may repeat it if its worker died, see
    /// [`RetryPolicy`](crate::RetryPolicy).
    pub idempotent: bool,
    /// Key by which the call takes turns in a pool with
    /// [`Fairness::Session`](crate::Fairness::Session). `None` for its session.
    pub fair_key: Option<Arc<str>>,
    /// Weight of its key there, 1 by default: a key with weight 2 gets twice the time of a key with
    /// 1. The weight of the key's latest call counts.
    pub fair_weight: Option<NonZeroU16>,
    /// The calls from which this one is made; see
    /// [`ToolContext::options`](crate::ToolContext::options).
    pub chain: CallChain,
    /// The caller's span. `None` for the span that the recorder finds current where the call is
    /// made.
    pub trace: Option<TraceContext>,
    /// State of tracing systems for that span, from the header `tracestate`. Ignored without a
    /// span.
    pub trace_state: TraceState,
    /// Correlation id, which the log records of the call carry, in Rust and in Python.
    pub correlation: Option<Arc<str>>,
}

impl CallOptions {
    /// Creates options without any setting.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the time for the whole call.
    #[must_use]
    pub const fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// Sets the time to wait in the queue.
    #[must_use]
    pub const fn queue_timeout(mut self, timeout: Duration) -> Self {
        self.queue_timeout = Some(timeout);
        self
    }

    /// Sets the session.
    #[must_use]
    pub fn session(mut self, session: impl Into<SessionId>) -> Self {
        self.session = Some(session.into());
        self.generation = None;
        self
    }

    /// Sets the session, and the generation of it that the call is for. If that generation is over,
    /// the call fails with [`StateError::SessionExpired`](crate::StateError::SessionExpired) or
    /// another error for its end, instead of getting a new session with the same id.
    #[must_use]
    pub fn in_session(mut self, session: &Session) -> Self {
        self.session = Some(session.id().clone());
        self.generation = Some(session.clone());
        self
    }

    /// Sets the identity of this call in the quarantine.
    #[must_use]
    pub fn fingerprint(mut self, fingerprint: impl Into<Arc<str>>) -> Self {
        self.fingerprint = Some(fingerprint.into());
        self
    }

    /// Sets the key by which the call takes turns.
    #[must_use]
    pub fn fair_key(mut self, key: impl Into<Arc<str>>) -> Self {
        self.fair_key = Some(key.into());
        self
    }

    /// Sets the weight of its key.
    #[must_use]
    pub const fn fair_weight(mut self, weight: NonZeroU16) -> Self {
        self.fair_weight = Some(weight);
        self
    }

    /// Marks the call as harmless to run twice.
    #[must_use]
    pub const fn idempotent(mut self) -> Self {
        self.idempotent = true;
        self
    }

    /// Sets the strength of the session's bond to a worker.
    #[must_use]
    pub const fn affinity(mut self, affinity: Affinity) -> Self {
        self.affinity = Some(affinity);
        self
    }
}

/// The chunks of one streaming call as a worker delivers them. The stream ends after the last chunk
/// or after the first error; only then is the slot free.
pub type ChunkStream = Pin<Box<dyn Stream<Item = Result<Payload, CallError>> + Send>>;
