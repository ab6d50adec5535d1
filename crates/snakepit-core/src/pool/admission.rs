//! Admission of calls to a pool: with a slot, or with a place in the queue.

use std::num::NonZeroU16;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::Instant;

use super::errors::lost_error;
use super::lease::Lease;
use super::limits::Limits;
use super::nested::Nesting;
use super::shared::{Shared, State};
use super::stats::Outcome;
use super::supervisor::Event;
use super::waiting::Waiting;
use crate::call::CallOptions;
use crate::error::{Error, Phase};
use crate::events::{emit, kind};
use crate::schedule::{Acquire, Ask, HOME_LIMIT, QueueBound};

/// Time after which to retry while nothing has been measured.
const UNMEASURED: Duration = Duration::from_millis(100);

/// An admission request.
pub(super) struct Want<'a> {
    pub(super) options: &'a CallOptions,
    /// Number of calls that share the slot.
    pub(super) items: u64,
    /// Bytes of their arguments.
    pub(super) bytes: usize,
    /// Deadlines. `None` for batches and returned calls, which bypass the limits of the queue.
    pub(super) limits: Option<&'a Limits>,
    /// The call may be sent ahead of its turn.
    pub(super) ahead: bool,
    /// The call had a slot, and its worker gave it back.
    pub(super) again: bool,
}

/// The slots of a pool at one moment.
#[derive(Clone, Copy)]
struct Load {
    capacity: usize,
    taken: usize,
}

impl Load {
    fn of(state: &State) -> Self {
        Self {
            capacity: state.scheduler.capacity(),
            taken: state.scheduler.in_use(),
        }
    }

    const fn is_full(self) -> bool {
        self.taken >= self.capacity
    }
}

impl State {
    /// Returns the numbers of ready workers with and without a free slot.
    fn available(&self, slots: u16) -> (u64, u64) {
        let serving = self.workers.iter().filter(|(_, live)| !live.draining);
        serving.fold((0, 0), |(free, busy), (key, _)| {
            let in_use = self.scheduler.in_use_of(key);
            if in_use.is_some_and(|in_use| in_use < slots) {
                (free + 1, busy)
            } else {
                (free, busy + 1)
            }
        })
    }
}

/// An admitted call.
pub(super) enum Admitted {
    /// The call has a slot.
    Now(Lease),
    /// The call is in the queue.
    Wait(Waiting),
}

impl Shared {
    /// Takes a slot or a place in the queue. Every rejection is counted.
    pub(super) fn admit(self: &Arc<Self>, want: &Want<'_>) -> Result<Admitted, Error> {
        let (options, items) = (want.options, want.items);
        let ancestors = match options.chain.depth() {
            0 => Vec::new(),
            _ => options.chain.slots_of(&self.mark),
        };
        // Taken before the lock of the pool, and only for nested calls.
        let nesting = Nesting::of(&options.chain);
        let now = want.limits.map_or_else(Instant::now, Limits::from);
        let mut state = self.lock();
        state.stats.requests += if want.again { 0 } else { items };
        if let Some(error) = self.refusal(&state) {
            state.stats.errors += items;
            return Err(error);
        }
        if let Some(after) = want.limits.and_then(Limits::over) {
            let outcome = Outcome::QueueTimeout;
            state.stats.record(outcome, items, Duration::ZERO);
            return Err(self.timeout(Phase::Queue, after));
        }
        let mut receiver = None;
        let waiter = || {
            let (sender, waiting) = oneshot::channel();
            receiver = Some(waiting);
            sender
        };
        let limits = want.limits.filter(|_| self.config.reject_early);
        let affinity = options.affinity.unwrap_or(self.config.affinity);
        let bound = options.session.is_some() && affinity.is_strict();
        let ask = Ask {
            affinity,
            now: bound.then(Instant::now),
            ancestors: &ancestors,
            bounded: want.limits.is_some(),
            growing: state.scheduler.active() < state.target,
            bytes: want.bytes,
            fair_key: options.fair_key.as_ref(),
            weight: options.fair_weight.map_or(1, NonZeroU16::get),
            patience: limits.map(Limits::patience),
            ahead: want.ahead,
            // The call is older than all waiting ones.
            place: want.again.then_some(0),
            ..Ask::new(options.session.as_ref())
        };
        match state.scheduler.ask(&ask, waiter) {
            Acquire::Granted(grant) => {
                let mut lease = self.lease_locked(&state, grant);
                state.scheduler.started(grant, now);
                let load = Load::of(&state);
                drop(state);
                if load.is_full() {
                    self.tell_capacity(load, false);
                }
                lease.begin(items, now);
                Ok(Admitted::Now(lease))
            }
            Acquire::Queued(ticket) => {
                if nesting.is_some_and(|it| !it.may_wait(self, &mut state, ticket, &options.chain))
                {
                    state.scheduler.cancel(ticket);
                    state.stats.errors += items;
                    return Err(self.refused(&state, Acquire::Deadlock, options));
                }
                state.stats.queued += if want.again { 0 } else { items };
                let queued = state.scheduler.queued();
                drop(state);
                if queued == 1 && self.config.autoscale.is_some() {
                    self.send(Event::Waiting);
                }
                let receiver = receiver.expect("a queued call has a waiter");
                let waiting = Waiting::new(
                    Arc::clone(self),
                    ticket,
                    receiver,
                    items,
                    Instant::now(),
                    queued,
                );
                Ok(Admitted::Wait(waiting))
            }
            Acquire::Full(bound) => {
                state.stats.saturated += items;
                let queued = state.scheduler.queued();
                let after = match (&bound, ask.patience) {
                    // The wait is acceptable once the queue is shorter by this much, but not before
                    // a slot becomes free.
                    (QueueBound::Wait { estimate }, Some(patience)) => {
                        let next = state.scheduler.next_free(now).unwrap_or_default();
                        Some(estimate.saturating_sub(patience.queue).max(next))
                    }
                    // Other rejected calls return, too: there is room for them after the present
                    // queue.
                    _ => state.scheduler.backlog(now),
                };
                let load = Load::of(&state);
                // Counted only for a subscriber: an overloaded pool has no time to waste.
                let told = self.hub.enabled(kind::PoolSaturated);
                let available = told.then(|| state.available(self.slots));
                drop(state);
                self.tell_capacity(load, true);
                Err(self.saturated(bound, queued, available.unwrap_or_default(), after))
            }
            refused => {
                state.stats.errors += items;
                Err(self.refused(&state, refused, options))
            }
        }
    }

    fn tell_capacity(&self, load: Load, rejected: bool) {
        emit!(
            self.hub,
            PoolCapacityReached {
                pool: self.config.name.clone(),
                capacity: load.capacity as u64,
                load: load.taken as u64,
                rejected,
            }
        );
    }

    fn saturated(
        &self,
        bound: QueueBound,
        queued: usize,
        (available, busy): (u64, u64),
        after: Option<Duration>,
    ) -> Error {
        let retry_after = after.map_or(UNMEASURED, |after| after.max(Duration::from_millis(1)));
        emit!(
            self.hub,
            PoolSaturated {
                pool: self.config.name.clone(),
                bound: bound.setting(),
                queue_size: queued as u64,
                max_queue_size: self.config.queue_limit as u64,
                available_workers: available,
                busy_workers: busy,
                retry_after_ms: u64::try_from(retry_after.as_millis()).unwrap_or(u64::MAX),
            }
        );
        Error::Saturated {
            pool: self.config.name.clone(),
            bound,
            queued,
            retry_after,
        }
    }

    /// Returns the error if affinity or nesting prevents the admission of a call.
    fn refused(&self, state: &State, answer: Acquire, options: &CallOptions) -> Error {
        let pool = self.config.name.clone();
        match answer {
            Acquire::Lost(lost) => lost_error(lost),
            Acquire::Busy(key) => Error::AffinityBusy {
                session: options
                    .session
                    .clone()
                    .expect("only sessions have a worker"),
                worker: state
                    .workers
                    .get(key)
                    .map(|live| live.id.clone())
                    .expect("the session's worker takes calls"),
            },
            Acquire::TooManyHomes => Error::AffinityFull {
                pool,
                limit: HOME_LIMIT,
            },
            _ => Error::Deadlock {
                pool,
                depth: options.chain.depth(),
            },
        }
    }

    /// Returns the error if no call can be admitted now.
    pub(super) fn refusal(&self, state: &State) -> Option<Error> {
        if state.closing {
            return Some(self.closed());
        }
        let error = state
            .gave_up
            .as_ref()
            .filter(|_| state.scheduler.active() == 0)?;
        Some(self.start_error(error))
    }
}
