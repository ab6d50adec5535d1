//! Decides who runs where: a pure state machine without clock, threads or waiting.
//!
//! Every operation is O(1) in the number of workers and of waiting calls. A free slot and a waiting call never exist at the same time.
#![cfg_attr(
    not(feature = "testing"),
    expect(
        unreachable_pub,
        reason = "public only to benchmarks, by way of the feature `testing`"
    )
)]

pub(crate) mod affinity;
#[cfg(test)]
mod model;
pub(crate) mod queue;
pub(crate) mod slots;

use crate::SessionId;

use affinity::Affinity;
use queue::Queue;
pub use queue::Ticket;
use slots::Slots;
pub use slots::{Grant, WorkerKey};

/// Slots, queue and affinity of one pool. `W` is what the owner needs to wake a waiting call.
#[derive(Debug)]
pub struct Scheduler<W> {
    slots: Slots,
    queue: Queue<W>,
    affinity: Affinity,
}

/// Answer to [`Scheduler::acquire`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Acquire {
    /// The call has a slot.
    Granted(Grant),
    /// The call waits.
    Queued(Ticket),
    /// The queue is full.
    Full,
}

/// What follows from a slot becoming free.
#[derive(Debug)]
pub struct Released<W> {
    /// A waiting call got the slot.
    pub wake: Option<(W, Grant)>,
    /// A retired worker has no calls any more.
    pub idle: Option<WorkerKey>,
}

impl<W> Scheduler<W> {
    /// A scheduler without workers, whose queue takes `queue_limit` calls.
    pub fn new(queue_limit: usize) -> Self {
        Self {
            slots: Slots::new(),
            queue: Queue::new(queue_limit),
            affinity: Affinity::new(),
        }
    }

    /// Takes a slot: the session's last worker when it has one free, else the least loaded worker; else queues.
    pub fn acquire(&mut self, session: Option<&SessionId>, waiter: impl FnOnce() -> W) -> Acquire {
        match self.try_acquire(session) {
            Some(grant) => Acquire::Granted(grant),
            None if self.queue.is_full() => Acquire::Full,
            None => Acquire::Queued(self.queue.push(waiter(), session.cloned())),
        }
    }

    /// Like [`acquire`](Self::acquire), but may exceed the limit of the queue: for callers that bound themselves.
    pub fn acquire_or_wait(
        &mut self,
        session: Option<&SessionId>,
        waiter: impl FnOnce() -> W,
    ) -> Acquire {
        match self.try_acquire(session) {
            Some(grant) => Acquire::Granted(grant),
            None => Acquire::Queued(self.queue.push(waiter(), session.cloned())),
        }
    }

    fn try_acquire(&mut self, session: Option<&SessionId>) -> Option<Grant> {
        let hint = session.and_then(|session| self.affinity.get(session));
        let grant = hint
            .and_then(|key| self.slots.take_from(key))
            .or_else(|| self.slots.take())?;
        self.remember(session, grant);
        Some(grant)
    }

    fn remember(&mut self, session: Option<&SessionId>, grant: Grant) {
        if let Some(session) = session {
            self.affinity.set(session, grant.worker);
        }
    }

    /// Takes a waiting call out of the queue. `false` when it is not there: it got a slot before.
    pub fn cancel(&mut self, ticket: Ticket) -> bool {
        self.queue.cancel(ticket).is_some()
    }

    /// Gives a slot back; the oldest waiting call gets it. A slot of a removed worker is ignored.
    pub fn release(&mut self, grant: Grant) -> Released<W> {
        if !self.slots.put(grant) {
            return Released {
                wake: None,
                idle: None,
            };
        }
        if self.slots.is_retiring(grant.worker) {
            let idle = (self.slots.in_use_of(grant.worker) == Some(0)).then_some(grant.worker);
            return Released { wake: None, idle };
        }
        Released {
            wake: self.next(),
            idle: None,
        }
    }

    /// Grants a free slot to the oldest waiting call.
    fn next(&mut self) -> Option<(W, Grant)> {
        if self.queue.is_empty() {
            return None;
        }
        let grant = self.slots.take()?;
        let (waiter, session) = self.queue.pop().expect("the queue is not empty");
        self.remember(session.as_ref(), grant);
        Some((waiter, grant))
    }

    /// Adds a worker with free slots; waiting calls get them.
    pub fn add(&mut self, capacity: u16) -> (WorkerKey, Vec<(W, Grant)>) {
        let key = self.slots.add(capacity);
        (key, std::iter::from_fn(|| self.next()).collect())
    }

    /// Gives a worker no further calls. `true` when it has none now.
    pub fn retire(&mut self, key: WorkerKey) -> bool {
        self.slots.retire(key);
        self.slots.in_use_of(key) == Some(0)
    }

    /// Forgets a worker; grants on it become void. `false` when it is unknown.
    pub fn remove(&mut self, key: WorkerKey) -> bool {
        self.slots.remove(key)
    }

    /// Takes every waiting call out of the queue, oldest first.
    pub fn drain_queue(&mut self) -> Vec<W> {
        std::iter::from_fn(|| self.queue.pop())
            .map(|(waiter, _)| waiter)
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
