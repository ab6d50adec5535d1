//! What goes to a worker and what streams back.

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
    /// Number of this attempt in its worker, unique in this run of the host.
    pub call: CallId,
    /// Number of the call in events, spans and log records, the same in all its attempts.
    pub number: CallId,
    /// Name of the tool.
    pub tool: Arc<str>,
    /// The encoded arguments.
    pub args: Payload,
    /// The caller's session, if any.
    pub session: Option<SessionId>,
    /// Keeps that session from expiring while the call runs; `None` without a session, and in pools that have no sessions.
    pub hold: Option<SessionHold>,
    /// When the caller stops waiting.
    pub deadline: Option<Instant>,
    /// The calls that this one is nested in, and itself once it has a slot.
    pub chain: CallChain,
    /// The call's span, the parent of what its worker does. `None` if nobody records spans.
    pub trace: Option<TraceContext>,
    /// What goes with that span through all systems.
    pub trace_state: TraceState,
    /// Correlation id that the caller gave, for log records.
    pub correlation: Option<Arc<str>>,
}

impl Request {
    /// A call of `tool` without session or deadline.
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
            chain: CallChain::default(),
            trace: None,
            trace_state: TraceState::default(),
            correlation: None,
        }
    }

    /// Time left until the deadline; `None` when there is none.
    pub fn remaining(&self, now: Instant) -> Option<Duration> {
        self.deadline
            .map(|deadline| deadline.saturating_duration_since(now))
    }
}

/// What a caller may say about one call.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct CallOptions {
    /// Time for the whole call, queue included; that of the tool in [`PoolConfig::tools`](crate::PoolConfig::tools) or the pool's
    /// `call_timeout` or `stream_timeout` when absent.
    pub timeout: Option<Duration>,
    /// Time to wait in the queue at most; that of the tool or the pool's `queue_timeout` when absent.
    pub queue_timeout: Option<Duration>,
    /// Session for affinity, also visible to the tool.
    pub session: Option<SessionId>,
    /// The generation of that session that the call is for; any when absent.
    pub(crate) generation: Option<Session>,
    /// Keeps the session from expiring.
    pub(crate) hold: Option<SessionHold>,
    /// How firmly the session is bound to a worker; the pool's `affinity` when absent.
    pub affinity: Option<Affinity>,
    /// What makes this call the same as another one for the pool's quarantine; tool and arguments when absent. It has to stay the same
    /// when the call is repeated.
    pub fingerprint: Option<Arc<str>>,
    /// Running the call twice is harmless: the pool may repeat it when its worker died, see [`RetryPolicy`](crate::RetryPolicy).
    pub idempotent: bool,
    /// With whom the call shares its turns in a pool with [`Fairness::Session`](crate::Fairness::Session); its session when absent.
    pub fair_key: Option<Arc<str>>,
    /// Its share of the turns there, 1 by default: a key with weight 2 gets twice the time of one with 1. The last call of a key counts.
    pub fair_weight: Option<NonZeroU16>,
    /// The calls that this one is made from; see [`ToolContext::options`](crate::ToolContext::options).
    pub chain: CallChain,
    /// The caller's span. Where absent, the recorder takes the span that is current where the call is made.
    pub trace: Option<TraceContext>,
    /// What tracing systems have written beside that span, the header `tracestate`. Without a span it counts for nothing.
    pub trace_state: TraceState,
    /// A text that the log records of the call carry, in Rust and in Python.
    pub correlation: Option<Arc<str>>,
}

impl CallOptions {
    /// No options.
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

    /// Sets the session, and this very generation of it: the call fails with [`StateError::SessionExpired`](crate::StateError::SessionExpired)
    /// or another error of its end once that is over, instead of getting a new session of the same id.
    #[must_use]
    pub fn in_session(mut self, session: &Session) -> Self {
        self.session = Some(session.id().clone());
        self.generation = Some(session.clone());
        self
    }

    /// Sets what makes this call the same as another one.
    #[must_use]
    pub fn fingerprint(mut self, fingerprint: impl Into<Arc<str>>) -> Self {
        self.fingerprint = Some(fingerprint.into());
        self
    }

    /// Sets with whom the call shares its turns.
    #[must_use]
    pub fn fair_key(mut self, key: impl Into<Arc<str>>) -> Self {
        self.fair_key = Some(key.into());
        self
    }

    /// Sets its share of the turns.
    #[must_use]
    pub const fn fair_weight(mut self, weight: NonZeroU16) -> Self {
        self.fair_weight = Some(weight);
        self
    }

    /// Says that running the call twice is harmless.
    #[must_use]
    pub const fn idempotent(mut self) -> Self {
        self.idempotent = true;
        self
    }

    /// Sets how firmly the session is bound to a worker.
    #[must_use]
    pub const fn affinity(mut self, affinity: Affinity) -> Self {
        self.affinity = Some(affinity);
        self
    }
}

/// The chunks of one streaming call as a worker delivers them. It ends after the last chunk or after the first error; only then is the slot free.
pub type ChunkStream = Pin<Box<dyn Stream<Item = Result<Payload, CallError>> + Send>>;
