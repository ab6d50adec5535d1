//! Decides who runs where: a pure state machine without clock, threads or waiting.
//!
//! Every operation is O(1) in the number of workers and of waiting calls, but for two: a call that waits for its session's worker finds
//! its place among the later ones of that worker, once; and a nested call that would wait looks at the nested calls that wait. A free slot
//! and a waiting call that could use it never exist at the same time.
#![cfg_attr(
    not(feature = "testing"),
    expect(
        unreachable_pub,
        reason = "public only to benchmarks, by way of the feature `testing`"
    )
)]

pub(crate) mod hints;
pub(crate) mod homes;
#[cfg(test)]
mod model;
mod nesting;
pub(crate) mod queue;
pub(crate) mod slots;
#[cfg(test)]
mod tests;

use crate::{Affinity, SessionId, WorkerId};

use hints::Hints;
pub(crate) use homes::HOME_LIMIT;
use homes::Homes;
pub use homes::Lost;
use nesting::Nesting;
pub use queue::Ticket;
use queue::{Line, Queue, Waiting};
use slots::Slots;
pub use slots::{Grant, WorkerKey};

/// Slots, queue and affinity of one pool. `W` is what the owner needs to wake a waiting call.
#[derive(Debug)]
pub struct Scheduler<W> {
    slots: Slots,
    queue: Queue<W>,
    hints: Hints,
    homes: Homes,
    nesting: Nesting,
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
}

#[cfg(any(test, feature = "testing"))]
impl<'a> Ask<'a> {
    /// A call with a hint that a full queue refuses.
    pub const fn new(session: Option<&'a SessionId>) -> Self {
        Self {
            session,
            affinity: Affinity::Hint,
            ancestors: &[],
            bounded: true,
            growing: false,
        }
    }
}

/// Answer to [`Scheduler::ask`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Acquire {
    /// The call has a slot.
    Granted(Grant),
    /// The call waits.
    Queued(Ticket),
    /// The queue is full.
    Full,
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
    /// A waiting call got the slot.
    pub wake: Option<(W, Grant)>,
    /// A retired worker has no calls any more.
    pub idle: Option<WorkerKey>,
    /// Waiting calls whose session's worker is gone.
    pub lost: Vec<(W, Lost)>,
}

impl<W> Released<W> {
    const NOTHING: Self = Self {
        wake: None,
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

impl<W> Scheduler<W> {
    /// A scheduler without workers, whose queue takes `queue_limit` calls.
    pub fn new(queue_limit: usize) -> Self {
        Self::with_homes(queue_limit, HOME_LIMIT)
    }

    fn with_homes(queue_limit: usize, homes: usize) -> Self {
        Self {
            slots: Slots::new(),
            queue: Queue::new(queue_limit),
            hints: Hints::new(),
            homes: Homes::new(homes),
            nesting: Nesting::default(),
        }
    }

    /// Takes a slot or a place in the queue for a call with a hint.
    #[cfg(any(test, feature = "testing"))]
    pub fn acquire(&mut self, session: Option<&SessionId>, waiter: impl FnOnce() -> W) -> Acquire {
        self.ask(&Ask::new(session), waiter)
    }

    /// Takes a slot: that of the session's worker when it has one free, else, unless the call is strict, one of the least loaded worker;
    /// else queues.
    pub fn ask(&mut self, ask: &Ask<'_>, waiter: impl FnOnce() -> W) -> Acquire {
        let strict = ask.session.filter(|_| ask.affinity.is_strict());
        let mut line = Line::Any;
        if let Some(session) = strict {
            let Ok(home) = self.homes.get_or_remember(session) else {
                return Acquire::TooManyHomes;
            };
            match home {
                Some(key) if !self.slots.is_active(key) => {
                    if let Some(lost) = self.homes.lose(session) {
                        return Acquire::Lost(lost);
                    }
                }
                Some(key) => match self.slots.take_from(key) {
                    Some(grant) => return Acquire::Granted(grant),
                    None if ask.affinity == Affinity::StrictFailFast => return Acquire::Busy(key),
                    None => line = Line::Of(key),
                },
                None => {}
            }
        }
        if line == Line::Any
            && let Some(grant) = self.take_any(ask.session, strict.is_some())
        {
            return Acquire::Granted(grant);
        }
        if !ask.ancestors.is_empty() && self.would_deadlock(ask, line) {
            return Acquire::Deadlock;
        }
        if ask.bounded && self.queue.is_full() {
            return Acquire::Full;
        }
        self.nesting.enter(ask.ancestors);
        let waiting = Waiting {
            waiter: waiter(),
            session: ask.session.cloned(),
            strict: strict.is_some(),
            ancestors: ask.ancestors.into(),
        };
        Acquire::Queued(self.queue.push(line, waiting))
    }

    /// Takes a slot of the session's worker or else of any worker.
    fn take_any(&mut self, session: Option<&SessionId>, bind: bool) -> Option<Grant> {
        let preferred = session.and_then(|session| self.preferred(session));
        let grant = preferred
            .and_then(|key| self.slots.take_from(key))
            .or_else(|| self.slots.take())?;
        self.remember(session, bind, grant.worker);
        Some(grant)
    }

    fn preferred(&self, session: &SessionId) -> Option<WorkerKey> {
        self.homes.get(session).or_else(|| self.hints.get(session))
    }

    /// Binds a session to the worker it got, or keeps it as a hint. A bound session stays where it is.
    fn remember(&mut self, session: Option<&SessionId>, bind: bool, worker: WorkerKey) {
        let Some(session) = session else { return };
        if bind {
            let name = self.slots.name(worker).expect("grants name known workers");
            self.homes.bind(session, worker, name);
        } else if !self.homes.is_bound(session) {
            self.hints.set(session, worker);
        }
    }

    /// Every slot that the call could ever get belongs to a call that would wait for it.
    fn would_deadlock(&self, ask: &Ask<'_>, line: Line) -> bool {
        if let Line::Of(key) = line {
            let own = ask
                .ancestors
                .iter()
                .filter(|grant| grant.worker == key && self.slots.holds(grant));
            if Some(own.count()) == self.slots.capacity_of(key).map(usize::from) {
                return true;
            }
        }
        !ask.growing && self.nesting.closes_circle(ask.ancestors, &self.slots)
    }

    /// Takes a waiting call out of the queue. `false` when it is not there: it got a slot before.
    pub fn cancel(&mut self, ticket: Ticket) -> bool {
        let waiting = self.queue.cancel(ticket);
        if let Some(waiting) = &waiting {
            self.nesting.leave(&waiting.ancestors);
        }
        waiting.is_some()
    }

    /// Gives a slot back; the oldest waiting call that can use it gets it. A slot of a removed worker is ignored.
    pub fn release(&mut self, grant: Grant) -> Released<W> {
        let mut released = Released::NOTHING;
        if !self.slots.put(grant) {
            return released;
        }
        if self.slots.is_retiring(grant.worker) {
            let idle = self.slots.in_use_of(grant.worker) == Some(0);
            released.idle = idle.then_some(grant.worker);
        } else {
            released.wake = self.next(grant.worker, &mut released.lost);
        }
        released
    }

    /// Grants a free slot of a worker to the oldest waiting call that can use it. Strict calls that wait for other workers go to their
    /// lines on the way, each at most once for each worker that its session gets.
    fn next(&mut self, key: WorkerKey, lost: &mut Vec<(W, Lost)>) -> Option<(W, Grant)> {
        while self.slots.has_free(key) {
            let (own, any) = (Line::Of(key), Line::Any);
            let line = match (self.queue.first(own), self.queue.first(any)) {
                (None, None) => return None,
                (Some((own_number, _)), Some((number, _))) if number < own_number => any,
                (Some(_), _) => own,
                (None, Some(_)) => any,
            };
            let (_, first) = self.queue.first(line).expect("it was just there");
            let bind = first.strict && line == any;
            if bind
                && let Some(session) = &first.session
                && let Some(home) = self.homes.get(session)
            {
                if !self.slots.is_active(home) {
                    let session = session.clone();
                    if let Some(loss) = self.homes.lose(&session) {
                        let waiting = self.pop(line).expect("it was just there");
                        lost.push((waiting.waiter, loss));
                    }
                    continue;
                }
                if home != key {
                    self.queue.transfer(any, Line::Of(home));
                    continue;
                }
            }
            let grant = self.slots.take_from(key).expect("it has a free slot");
            let waiting = self.pop(line).expect("it was just there");
            let session = waiting.session.as_ref();
            // A call that was bound already stays so: only the first of its session gets here without a worker.
            let bind = bind && session.is_some_and(|session| self.homes.get(session).is_none());
            self.remember(session, bind, key);
            return Some((waiting.waiter, grant));
        }
        None
    }

    fn pop(&mut self, line: Line) -> Option<Waiting<W>> {
        let waiting = self.queue.pop(line)?;
        self.nesting.leave(&waiting.ancestors);
        Some(waiting)
    }

    /// Adds a worker with free slots; waiting calls get them.
    #[cfg(any(test, feature = "testing"))]
    pub fn add(&mut self, capacity: u16) -> (WorkerKey, Vec<(W, Grant)>) {
        let added = self.add_named(capacity, WorkerId::new("worker"));
        (added.key, added.wakes)
    }

    /// Adds a worker with free slots; waiting calls get them.
    pub fn add_named(&mut self, capacity: u16, name: WorkerId) -> Added<W> {
        let key = self.slots.add(capacity, name);
        let mut lost = Vec::new();
        let wakes = std::iter::from_fn(|| self.next(key, &mut lost)).collect();
        Added { key, wakes, lost }
    }

    /// Gives a worker no further calls. Calls that wait for it are lost. It is `idle` when it has no calls now.
    pub fn retire(&mut self, key: WorkerKey) -> Released<W> {
        self.slots.retire(key);
        let idle = self.slots.in_use_of(key) == Some(0);
        Released {
            wake: None,
            idle: idle.then_some(key),
            lost: self.lose_line(key),
        }
    }

    /// Forgets a worker; grants on it become void. Calls that wait for it are lost.
    pub fn remove(&mut self, key: WorkerKey) -> Vec<(W, Lost)> {
        if self.slots.remove(key) {
            self.lose_line(key)
        } else {
            Vec::new()
        }
    }

    fn lose_line(&mut self, key: WorkerKey) -> Vec<(W, Lost)> {
        let mut lost = Vec::new();
        while let Some(waiting) = self.pop(Line::Of(key)) {
            let session = waiting
                .session
                .expect("only calls with a session wait for a worker");
            let loss = self.homes.lose(&session).unwrap_or_else(|| Lost {
                worker: self.slots.name_of_last(key).clone(),
                session,
                generation: 0,
            });
            lost.push((waiting.waiter, loss));
        }
        lost
    }

    /// Forgets a session.
    pub fn forget(&mut self, session: &SessionId) -> bool {
        // Both, whatever the first one says.
        self.homes.forget(session) | self.hints.forget(session)
    }

    /// Takes every waiting call out of the queue, oldest first.
    pub fn drain_queue(&mut self) -> Vec<W> {
        self.nesting = Nesting::default();
        self.queue
            .drain()
            .into_iter()
            .map(|waiting| waiting.waiter)
            .collect()
    }

    /// Calls that wait.
    pub fn queued(&self) -> usize {
        self.queue.len()
    }

    /// Slots that are taken.
    pub fn in_use(&self) -> usize {
        self.slots.in_use()
    }

    /// Slots that are taken on one worker; `None` when it is unknown.
    pub fn in_use_of(&self, key: WorkerKey) -> Option<u16> {
        self.slots.in_use_of(key)
    }

    /// Workers that take calls.
    pub fn active(&self) -> usize {
        self.slots.active()
    }

    /// Slots of the workers that take calls.
    pub fn capacity(&self) -> usize {
        self.slots.capacity()
    }
}
