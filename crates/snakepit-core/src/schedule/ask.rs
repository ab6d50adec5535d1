//! What calls ask of the scheduler, and what it answers.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

#[cfg(any(test, feature = "testing"))]
use super::Scheduler;
use super::{Grant, HOME_IDLE, HOME_LIMIT, Lost, Patience, QueueBound, Ticket, WorkerKey};
#[cfg(any(test, feature = "testing"))]
use crate::WorkerId;
use crate::{Affinity, SessionId};

/// Who may wait, and in which order.
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
    pub homes: usize,
    /// Time after the last call of a bound session at which it makes room for another one.
    pub home_idle: Duration,
}

impl Rules {
    /// So many calls may wait, first come, first served.
    pub const fn new(calls: usize) -> Self {
        Self {
            calls,
            bytes: usize::MAX,
            session: None,
            fair: false,
            homes: HOME_LIMIT,
            home_idle: HOME_IDLE,
        }
    }
}

/// What a call asks for.
#[derive(Clone, Copy, Debug)]
pub struct Ask<'a> {
    /// Its session.
    pub session: Option<&'a SessionId>,
    /// How firmly the session is bound to a worker.
    pub affinity: Affinity,
    /// Slots of the calls that it is nested in.
    pub ancestors: &'a [Grant],
    /// A full queue refuses it; otherwise the caller bounds itself.
    pub bounded: bool,
    /// Workers are about to be added.
    pub growing: bool,
    /// Bytes that it keeps in memory while it waits.
    pub bytes: usize,
    /// With whom it shares its turns where turns are fair; its session when absent.
    pub fair_key: Option<&'a Arc<str>>,
    /// Its share of the turns, at least 1.
    pub weight: u16,
    /// It is refused when it would have to wait longer than this; never when absent.
    pub patience: Option<Patience>,
    /// The moment at which it comes. Without one, a bound session never makes room for its session.
    pub now: Option<Instant>,
    /// It can be sent ahead of its turn.
    pub ahead: bool,
    /// It was, and has this place in the queue.
    pub place: Option<u64>,
}

impl<'a> Ask<'a> {
    /// A call with a hint that a full queue refuses.
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

/// Answer to [`Scheduler::ask`](super::Scheduler::ask).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Acquire {
    /// The call has a slot.
    Granted(Grant),
    /// The call waits.
    Queued(Ticket),
    /// The call must not wait.
    Full(QueueBound),
    /// The session's worker has no free slot.
    Busy(WorkerKey),
    /// The session's worker is gone.
    Lost(Lost),
    /// As many sessions are bound as can be.
    TooManyHomes,
    /// The call could only wait for calls that wait for it.
    Deadlock,
}

/// What follows from a slot becoming free, or from a worker going.
#[derive(Debug)]
#[must_use]
pub struct Released<W> {
    /// A waiting call got the slot, or was sent ahead to it.
    pub wake: Option<(W, Grant)>,
    /// A call that had been sent ahead has the slot now.
    pub passed_on: bool,
    /// A retired worker has no calls any more.
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

/// What follows from a new worker.
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
    /// A scheduler without workers, whose queue takes `queue_limit` calls.
    pub fn new(queue_limit: usize) -> Self {
        Self::with_rules(Rules::new(queue_limit))
    }

    /// Takes a slot or a place in the queue for a call with a hint.
    pub fn acquire(&mut self, session: Option<&SessionId>, waiter: impl FnOnce() -> W) -> Acquire {
        self.ask(&Ask::new(session), waiter)
    }

    /// Adds a worker with free slots; waiting calls get them.
    pub fn add(&mut self, capacity: u16) -> (WorkerKey, Vec<(W, Grant)>) {
        let added = self.add_named(capacity, WorkerId::new("worker"));
        (added.key, added.wakes)
    }
}
