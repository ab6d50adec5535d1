//! Requests to the scheduler, and its answers.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

#[cfg(any(test, feature = "testing"))]
use super::Scheduler;
use super::{BINDING_IDLE, BINDING_LIMIT, Grant, Lost, Patience, QueueBound, Ticket, WorkerKey};
use crate::id::SessionId;
#[cfg(any(test, feature = "testing"))]
use crate::id::WorkerId;
use crate::schedule::Affinity;

/// Limits and order of the queue.
#[derive(Clone, Copy, Debug)]
pub struct Rules {
    /// Calls that may wait.
    pub calls: usize,
    /// Bytes of arguments that may wait.
    pub bytes: usize,
    /// Calls of one session that may wait.
    pub session: Option<usize>,
    /// Flows take turns; otherwise first come, first served.
    pub fair: bool,
    /// Sessions that may be bound.
    pub bindings: usize,
    /// Time after its last call after which a bound session makes room for another one.
    pub binding_idle: Duration,
}

impl Rules {
    /// Creates rules for a queue of at most `calls` calls, first come, first served.
    pub const fn new(calls: usize) -> Self {
        Self {
            calls,
            bytes: usize::MAX,
            session: None,
            fair: false,
            bindings: BINDING_LIMIT,
            binding_idle: BINDING_IDLE,
        }
    }
}

/// An admission request of a call.
#[derive(Clone, Copy, Debug)]
pub struct SlotRequest<'a> {
    /// Session of the call.
    pub session: Option<&'a SessionId>,
    /// Strength of the session's bond to a worker.
    pub affinity: Affinity,
    /// Slots of the calls in which it is nested.
    pub ancestors: &'a [Grant],
    /// A full queue rejects the call. Without it, the caller limits itself.
    pub bounded: bool,
    /// Workers are about to be added.
    pub growing: bool,
    /// Bytes that the call keeps in memory while it waits.
    pub bytes: usize,
    /// Key by which the call takes turns, where turns are fair. `None` for its session.
    pub fair_key: Option<&'a Arc<str>>,
    /// Weight of its key, at least 1.
    pub weight: u16,
    /// Longest times that the call can wait: it is rejected if the estimates exceed them. `None`
    /// for no such check.
    pub patience: Option<Patience>,
    /// Time of the request. `None` if no bound session may make room for that of the call.
    pub now: Option<Instant>,
    /// The call can be sent ahead of its turn.
    pub ahead: bool,
    /// Place in the queue of a call that was sent ahead and returns.
    pub place: Option<u64>,
}

impl<'a> SlotRequest<'a> {
    /// Creates the request of a call with a hint, which a full queue rejects.
    pub const fn new(session: Option<&'a SessionId>) -> Self {
        Self {
            session,
            affinity: Affinity::Hint,
            ancestors: &[],
            bounded: true,
            growing: false,
            bytes: 0,
            fair_key: None,
            weight: 1,
            patience: None,
            now: None,
            ahead: false,
            place: None,
        }
    }
}

/// Answer to [`Scheduler::request`](super::Scheduler::request).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Acquire {
    /// The call has a slot.
    Granted(Grant),
    /// The call is in the queue.
    Queued(Ticket),
    /// The call is rejected because of this bound.
    Full(QueueBound),
    /// The session's worker has no free slot.
    Busy(WorkerKey),
    /// The session's worker is gone.
    Lost(Lost),
    /// The number of bound sessions has reached its limit.
    TooManyBindings,
    /// The call could only wait for calls that wait for it.
    Deadlock,
}

/// The consequences of a free slot, or of the end of a worker.
#[derive(Debug)]
#[must_use]
pub struct Released<W> {
    /// A waiting call got the slot, or was sent ahead to it.
    pub wake: Option<(W, Grant)>,
    /// A call that had been sent ahead has the slot now.
    pub passed_on: bool,
    /// A retired worker that has no more calls.
    pub idle: Option<WorkerKey>,
    /// Waiting calls whose session's worker is gone.
    pub lost: Vec<(W, Lost)>,
}

impl<W> Released<W> {
    pub(super) const NOTHING: Self = Self {
        wake: None,
        passed_on: false,
        idle: None,
        lost: Vec::new(),
    };
}

/// The consequences of a new worker.
#[derive(Debug)]
#[must_use]
pub struct Added<W> {
    /// The worker.
    pub key: WorkerKey,
    /// Waiting calls that got its slots.
    pub wakes: Vec<(W, Grant)>,
    /// Waiting calls whose session's worker is gone.
    pub lost: Vec<(W, Lost)>,
}

#[cfg(any(test, feature = "testing"))]
impl<W> Scheduler<W> {
    /// Creates a scheduler without workers, with a queue of at most `queue_limit` calls.
    pub fn new(queue_limit: usize) -> Self {
        Self::with_rules(Rules::new(queue_limit))
    }

    /// Takes a slot or a place in the queue for a call with a hint.
    pub fn acquire(&mut self, session: Option<&SessionId>, waiter: impl FnOnce() -> W) -> Acquire {
        self.request(&SlotRequest::new(session), waiter)
    }

    /// Adds a worker with free slots; waiting calls get them.
    pub fn add(&mut self, capacity: u16) -> (WorkerKey, Vec<(W, Grant)>) {
        let added = self.add_named(capacity, WorkerId::new("worker"));
        (added.key, added.wakes)
    }
}
