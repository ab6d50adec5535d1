//! An observer of the calls of a pool or of host tools, cheap enough for a flight recorder.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::id::{CallId, SessionId, Slot, WorkerId};

/// Observes the calls of a [`Pool`](crate::pool::Pool), or those of the host's
/// [`HostTools`](crate::host_tools::HostTools).
///
/// Both methods run in the middle of a call, on the thread of its caller: they must return at once,
/// and must not block or panic. Unlike a subscriber to [`events`](crate::events), an observer does
/// not cause events to be built.
pub trait CallObserver: Send + Sync + fmt::Debug {
    /// Reports that a call is sent to a worker. Returns a mark chosen by the observer, which is
    /// passed to [`ended`](Self::ended) and to the next attempt of the call.
    fn sent(&self, call: &SentCall<'_>) -> u32;

    /// Reports that a call is over for its caller. Called exactly once for each admitted call, even
    /// if it was never sent.
    fn ended(&self, call: &EndedCall<'_>);
}

/// A call that is sent to a worker.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct SentCall<'a> {
    /// Number of the call.
    pub call: CallId,
    /// Number of the attempt, by which the worker knows the call. Each attempt has another one.
    pub attempt: CallId,
    /// Tool.
    pub tool: &'a Arc<str>,
    /// Session.
    pub session: Option<&'a SessionId>,
    /// Worker; of a host tool, the one that calls it. `None` if another peer calls the host tool.
    pub worker: Option<&'a WorkerId>,
    /// Slot of the worker; 0 for host tools.
    pub slot: Slot,
    /// The call that makes this one: that of a host tool for a call of a pool, that of a worker's
    /// tool for a call of a host tool. `None` if there is none, or if host tools are not observed.
    pub caller: Option<CallId>,
    /// Time at which the call was made.
    pub begun: Instant,
    /// Time at which the call is sent.
    pub at: Instant,
    /// Time at which the call times out. `None` if it has no limit.
    pub deadline: Option<Instant>,
    /// Time in the queue so far.
    pub queued: Duration,
    /// Bytes of its arguments; 0 for host tools.
    pub bytes: u64,
    /// Items of a batch; 1 for a call.
    pub items: u64,
    /// Mark of the attempt before. `None` for the first one.
    pub mark: Option<u32>,
}

/// A call that is over for its caller.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct EndedCall<'a> {
    /// Number of the call.
    pub call: CallId,
    /// Tool.
    pub tool: &'a Arc<str>,
    /// Time at which the call was made.
    pub begun: Instant,
    /// Time at which the call ended.
    pub at: Instant,
    /// Time in the queue.
    pub queued: Duration,
    /// Outcome, one word: `ok`, `error`, `cancelled`, `queue_timeout`, `call_timeout` or
    /// `rejected`.
    pub outcome: &'static str,
    /// Code of its error. `None` if it has none.
    pub code: Option<&'static str>,
    /// Number of times that the call was sent.
    pub attempts: u32,
    /// Bytes of its result; 0 for streams, batches, host tools and failures.
    pub bytes: u64,
    /// Items of a batch; 1 for a call.
    pub items: u64,
    /// Mark of its last attempt. `None` if it was never sent.
    pub mark: Option<u32>,
}
