//! An observer of the calls of a pool that costs next to nothing: what a flight recorder needs.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::{CallId, SessionId, Slot, WorkerId};

/// Observes the calls of a [`Pool`](crate::Pool).
///
/// Both methods run in the middle of a call, on the thread of its caller: they must return at once, and must not block or panic. Unlike
/// a subscriber to [`events`](crate::events) an observer causes no event to be made.
pub trait CallObserver: Send + Sync + fmt::Debug {
    /// A call is sent to a worker. Returns a mark of the observer's own, which [`ended`](Self::ended) and the next attempt of the call
    /// bring back.
    fn sent(&self, call: &SentCall<'_>) -> u32;

    /// A call is over for its caller. Exactly once for each call that was let in, also for one that was never sent.
    fn ended(&self, call: &EndedCall<'_>);
}

/// A call that is sent to a worker.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct SentCall<'a> {
    /// Number of the call.
    pub call: CallId,
    /// Number that its worker knows it by; another one in each further attempt.
    pub attempt: CallId,
    /// Tool.
    pub tool: &'a Arc<str>,
    /// Session.
    pub session: Option<&'a SessionId>,
    /// Worker.
    pub worker: &'a WorkerId,
    /// Slot of the worker.
    pub slot: Slot,
    /// When the call was made.
    pub begun: Instant,
    /// When it is sent.
    pub at: Instant,
    /// When its time is up. `None` if it may take as long as it takes.
    pub deadline: Option<Instant>,
    /// Time in the queue so far.
    pub queued: Duration,
    /// Bytes of its arguments.
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
    /// When the call was made.
    pub begun: Instant,
    /// When it ended.
    pub at: Instant,
    /// Time in the queue.
    pub queued: Duration,
    /// One word for its end: `ok`, `error`, `cancelled`, `queue_timeout`, `call_timeout` or `rejected`.
    pub outcome: &'static str,
    /// Code of its error. `None` if it has none.
    pub code: Option<&'static str>,
    /// Times that it was sent.
    pub attempts: u32,
    /// Bytes of its result; 0 for streams, batches and failures.
    pub bytes: u64,
    /// Items of a batch; 1 for a call.
    pub items: u64,
    /// Mark of its last attempt. `None` if it was never sent.
    pub mark: Option<u32>,
}
