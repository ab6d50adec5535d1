//! The options of one call.

use std::num::NonZeroU16;
use std::sync::Arc;
use std::time::Duration;

use super::CallChain;
use crate::events::{TraceContext, TraceState};
use crate::id::SessionId;
use crate::schedule::Affinity;
use crate::state::{Session, SessionHold};
use crate::value::Metadata;

/// Options of one call.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct CallOptions {
    /// Time for the whole call, queue included. `None` for that of the tool in
    /// [`PoolConfig::tools`](crate::pool::PoolConfig::tools), or else the pool's `call_timeout` or
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
    /// [`RetryPolicy`](crate::policy::RetryPolicy).
    pub idempotent: bool,
    /// Key by which the call takes turns in a pool with
    /// [`Fairness::Session`](crate::pool::Fairness::Session). `None` for its session.
    pub fair_key: Option<Arc<str>>,
    /// Weight of its key there, 1 by default: a key with weight 2 gets twice the time of a key with
    /// 1. The weight of the key's latest call counts.
    pub fair_weight: Option<NonZeroU16>,
    /// The calls from which this one is made; see
    /// [`ToolContext::options`](crate::host_tools::ToolContext::options).
    pub chain: CallChain,
    /// The caller's span. `None` for the span that the recorder finds current where the call is
    /// made.
    pub trace: Option<TraceContext>,
    /// State of tracing systems for that span, from the header `tracestate`. Ignored without a
    /// span.
    pub trace_state: TraceState,
    /// Correlation id, which the log records of the call carry, in Rust and in Python.
    pub correlation: Option<Arc<str>>,
    /// Texts for the tool, which reads them in its context: at most 32 with 4096 bytes together.
    /// Calls that the tool makes itself do not inherit them.
    pub metadata: Option<Arc<Metadata>>,
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
    /// the call fails with [`StateError::SessionExpired`](crate::state::StateError::SessionExpired)
    /// or another error for its end, instead of getting a new session with the same id.
    #[must_use]
    pub fn in_session(mut self, session: &Session) -> Self {
        self.session = Some(session.id().clone());
        self.generation = Some(session.clone());
        self
    }

    /// Takes the session and the affinity of `other` where these options set none.
    #[must_use]
    pub fn or_session_of(mut self, other: &Self) -> Self {
        if self.session.is_none() {
            self.session.clone_from(&other.session);
            self.generation.clone_from(&other.generation);
        }
        self.affinity = self.affinity.or(other.affinity);
        self
    }

    /// Adds a text for the tool, which reads it in the `request_metadata` of its context.
    #[must_use]
    pub fn metadata(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        let metadata = self.metadata.get_or_insert_default();
        Arc::make_mut(metadata).insert(key.into(), value.into());
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
