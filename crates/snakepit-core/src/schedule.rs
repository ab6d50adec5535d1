//! Decides which call runs where: a pure state machine without clock, threads or waiting.
//!
//! Every operation is O(1) in the number of workers and of waiting calls, with two exceptions. A
//! call that waits for its session's worker finds its place among the later calls of that worker,
//! once. A nested call that would have to wait compares itself with the nested calls that wait. A
//! free slot and a waiting call that could use it never exist at the same time, except on a worker
//! that is held for an isolated call.
#![cfg_attr(
    not(feature = "testing"),
    expect(
        unreachable_pub,
        reason = "public only to benchmarks, by way of the feature `testing`"
    )
)]

mod affinity;
mod ahead;
mod bounds;
mod claims;
mod entries;
mod estimator;
pub(crate) mod fair;
mod fairness;
#[cfg(test)]
mod model;
mod nesting;
mod pause;
pub(crate) mod queue;
mod reservation;
mod running;
mod slot_request;
pub(crate) mod slots;
#[cfg(test)]
mod tests;
mod vacancy;
mod wheel;

use std::time::Duration;

use crate::id::{SessionId, WorkerId};

pub use affinity::Affinity;
use affinity::soft::SoftBindings;
pub use affinity::strict::Lost;
use affinity::strict::StrictBindings;
pub(crate) use affinity::strict::{BINDING_IDLE, BINDING_LIMIT};
use ahead::Haste;
use bounds::Bounds;
pub use bounds::QueueBound;
pub(crate) use claims::Claim;
use claims::Claims;
use estimator::Estimator;
pub use estimator::Patience;
pub use fairness::Fairness;
use nesting::Nesting;
pub use queue::Ticket;
use queue::{Line, Queue, Waiting};
pub use slot_request::{Acquire, Added, Released, Rules, SlotRequest};
use slots::Slots;
pub use slots::{Grant, WorkerKey};
use vacancy::Vacancy;

/// Slots, queue and affinity of one pool. `W` is the value that wakes a waiting call.
#[derive(Debug)]
pub struct Scheduler<W> {
    slots: Slots,
    queue: Queue<W>,
    soft: SoftBindings,
    strict: StrictBindings,
    nesting: Nesting,
    estimator: Estimator,
    haste: Haste,
    claims: Claims<W>,
    /// Largest number of slots and places in the queue in use at once, since the last reading.
    peak: usize,
}

impl<W> Scheduler<W> {
    /// Creates a scheduler without workers.
    pub fn with_rules(rules: Rules) -> Self {
        let bounds = Bounds::new(rules.calls, rules.bytes, rules.session);
        Self {
            slots: Slots::new(),
            queue: Queue::new(bounds, rules.fair),
            soft: SoftBindings::new(),
            strict: StrictBindings::new(rules.bindings, rules.binding_idle),
            nesting: Nesting::default(),
            estimator: Estimator::default(),
            haste: Haste::default(),
            claims: Claims::new(),
            peak: 0,
        }
    }

    /// Takes a free slot of the session's worker. Without one, takes a slot of a least loaded
    /// worker, unless the call is strict, and else queues the call.
    pub fn request(&mut self, request: &SlotRequest<'_>, waiter: impl FnOnce() -> W) -> Acquire {
        let strict = request.session.filter(|_| request.affinity.is_strict());
        let mut line = Line::Any;
        if let Some(session) = strict {
            let Ok(home) = self.strict.get_or_remember(session, request.now) else {
                return Acquire::TooManyBindings;
            };
            match home {
                Some(key) if !self.slots.is_active(key) => {
                    if let Some(lost) = self.strict.lose(session) {
                        return Acquire::Lost(lost);
                    }
                }
                Some(key) => match self.slots.take_from(key) {
                    Some(grant) => return self.began(request, grant),
                    None if request.affinity == Affinity::StrictFailFast => {
                        return Acquire::Busy(key);
                    }
                    None => line = Line::Of(key),
                },
                None => {}
            }
        }
        if line == Line::Any
            && let Some(grant) = self.take_any(request.session, strict.is_some())
        {
            return self.began(request, grant);
        }
        if let Some(grant) = self.take_nested(request.ancestors) {
            return Acquire::Granted(grant);
        }
        if !request.ancestors.is_empty() && self.would_deadlock(request, line) {
            return Acquire::Deadlock;
        }
        if request.bounded
            && let Some(bound) = self
                .queue
                .broken(request)
                .or_else(|| self.too_long(request, line))
        {
            return Acquire::Full(bound);
        }
        self.nesting.enter(request.ancestors);
        let waiting = Waiting {
            waiter: waiter(),
            session: request.session.cloned(),
            strict: strict.is_some(),
            ancestors: request.ancestors.into(),
            bytes: request.bytes,
            ahead: request.ahead,
        };
        let ticket = self.queue.push(line, request, waiting);
        self.note_peak();
        Acquire::Queued(ticket)
    }

    /// Notes that a call got a slot without waiting.
    fn began(&mut self, request: &SlotRequest<'_>, grant: Grant) -> Acquire {
        self.estimator.granted();
        self.note_peak();
        if let Some(fair) = self.queue.fair() {
            let flow = fair.flow(request);
            fair.charge_now(flow, grant);
        }
        Acquire::Granted(grant)
    }

    fn note_peak(&mut self) {
        self.peak = self.peak.max(self.slots.in_use() + self.queue.len());
    }

    /// Returns the bound if the call would wait too long. `None` if it waits for a certain worker.
    fn too_long(&self, request: &SlotRequest<'_>, line: Line) -> Option<QueueBound> {
        let patience = request.patience.filter(|_| line == Line::Any)?;
        let (ahead, slots) = (self.queue.ahead(request), self.slots.capacity());
        let next = |now| self.next_free(now);
        let estimate = self.estimator.too_long(ahead, slots, patience, next)?;
        Some(QueueBound::Wait { estimate })
    }

    /// Takes a slot of the session's worker, or else of any worker.
    fn take_any(&mut self, session: Option<&SessionId>, bind: bool) -> Option<Grant> {
        let preferred = session.and_then(|session| self.preferred(session));
        let grant = preferred
            .and_then(|key| self.slots.take_from(key))
            .or_else(|| self.slots.take())?;
        self.remember(session, bind, grant.worker);
        Some(grant)
    }

    fn preferred(&self, session: &SessionId) -> Option<WorkerKey> {
        self.strict.get(session).or_else(|| self.soft.get(session))
    }

    /// Binds a session to the worker it got, or keeps it as a hint. Bound sessions keep theirs.
    fn remember(&mut self, session: Option<&SessionId>, bind: bool, worker: WorkerKey) {
        let Some(session) = session else { return };
        if bind {
            let name = self.slots.name(worker).expect("grants name known workers");
            self.strict.bind(session, worker, name);
        } else if !self.strict.is_bound(session) {
            self.soft.set(session, worker);
        }
    }

    /// Removes a waiting call from the queue. Returns `false` if it got a slot before.
    pub fn cancel(&mut self, ticket: Ticket) -> bool {
        let waiting = self.queue.cancel(ticket);
        if let Some(waiting) = &waiting {
            self.nesting.leave(&waiting.ancestors);
        }
        waiting.is_some()
    }

    /// Gives a slot back that a call has `held`, if it used it. The slot goes to the call that was
    /// sent ahead to it, or else to the next waiting call that can use it. A call that was sent
    /// ahead itself gives its place back. A slot of a removed worker is ignored.
    pub fn release(&mut self, grant: Grant, held: Option<Duration>) -> Released<W> {
        let mut released = Released::NOTHING;
        if let Some(held) = held {
            self.estimator.held(held);
            self.haste.held(held);
        }
        let mean = self.estimator.mean();
        if let Some(fair) = self.queue.fair() {
            fair.settle(grant, held, mean);
        }
        if self.pass_on(grant, &mut released) {
            return released;
        }
        released.wake = self.next(Vacancy::Left(grant), &mut released.lost);
        if released.wake.is_none() && self.slots.put(grant) && self.slots.is_retiring(grant.worker)
        {
            let idle = self.slots.in_use_of(grant.worker) == Some(0);
            released.idle = idle.then_some(grant.worker);
        }
        released
    }

    fn pop(&mut self, line: Line) -> Option<Waiting<W>> {
        let waiting = self.queue.pop(line)?;
        self.nesting.leave(&waiting.ancestors);
        Some(waiting)
    }

    /// Adds a worker with free slots; waiting calls get them.
    pub fn add_named(&mut self, capacity: u16, name: WorkerId) -> Added<W> {
        let key = self.slots.add(capacity, name);
        let mut lost = Vec::new();
        let wakes = std::iter::from_fn(|| self.next(Vacancy::Of(key), &mut lost)).collect();
        Added { key, wakes, lost }
    }

    /// Gives a worker no further calls. Calls that wait for it are lost. The worker is `idle` if it
    /// has no calls now.
    pub fn retire(&mut self, key: WorkerKey) -> Released<W> {
        self.slots.retire(key);
        self.claims.gone(key);
        let idle = self.slots.in_use_of(key) == Some(0);
        Released {
            idle: idle.then_some(key),
            lost: self.lose_line(key),
            ..Released::NOTHING
        }
    }

    /// Removes a worker; grants on it become void. Calls that wait for it are lost.
    pub fn remove(&mut self, key: WorkerKey) -> Vec<(W, Lost)> {
        self.forget_ahead(key);
        if self.slots.remove(key) {
            self.claims.gone(key);
            if let Some(fair) = self.queue.fair() {
                fair.gone(key);
            }
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
            let loss = self.strict.lose(&session).unwrap_or_else(|| Lost {
                worker: self.slots.name_of_last(key).clone(),
                session,
                generation: 0,
            });
            lost.push((waiting.waiter, loss));
        }
        lost
    }

    /// Forgets a session. Returns `false` if it is unknown.
    pub fn forget(&mut self, session: &SessionId) -> bool {
        // Not `||`: both are always called.
        self.strict.forget(session) | self.soft.forget(session)
    }

    /// Removes every waiting call from the queue, oldest first. Claims end.
    pub fn drain_queue(&mut self) -> Vec<W> {
        self.claims.clear();
        self.nesting = Nesting::default();
        self.queue
            .drain()
            .into_iter()
            .map(|waiting| waiting.waiter)
            .collect()
    }

    /// Returns the most slots and queue places in use at the same time since the last reading.
    pub fn take_peak(&mut self) -> usize {
        std::mem::replace(&mut self.peak, self.slots.in_use() + self.queue.len())
    }

    /// Number of waiting calls.
    pub fn queued(&self) -> usize {
        self.queue.len()
    }

    /// Returns the session of each call that waits in the queue, of at most `most` calls.
    pub fn queued_sessions(&self, most: usize) -> Vec<Option<SessionId>> {
        if self.queue.len() == 0 {
            return Vec::new();
        }
        self.queue.sessions(most)
    }

    /// Bytes of the arguments of waiting calls.
    pub fn queued_bytes(&self) -> usize {
        self.queue.bytes()
    }

    /// Number of taken slots.
    pub fn in_use(&self) -> usize {
        self.slots.in_use()
    }

    /// Number of taken slots of one worker. `None` if it is unknown.
    pub fn in_use_of(&self, key: WorkerKey) -> Option<u16> {
        self.slots.in_use_of(key)
    }

    /// Number of workers that take calls.
    pub fn active(&self) -> usize {
        self.slots.active()
    }

    /// Number of slots of the workers that take calls.
    pub fn capacity(&self) -> usize {
        self.slots.capacity()
    }
}
