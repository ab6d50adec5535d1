//! What all handles and tasks of a pool share: the lock around the scheduler, and the wake-ups that happen after it is released.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::Instant;
use tokio_util::task::TaskTracker;

use super::lease::Lease;
use super::stats::{Outcome, Stats};
use super::supervisor::{Event, Readiness};
use super::waiting::Waiting;
use super::workers::{Live, Workers};
use crate::chain::PoolMark;
use crate::policy::{Breakers, Quarantine, RetryBudget};
use crate::schedule::{Acquire, Added, Ask, Grant, HOME_LIMIT, Lost, Scheduler, WorkerKey};
use crate::{
    CallOptions, Error, PoolConfig, StartError, StopStep, Worker, WorkerId, WorkerProfile, event,
};

/// Wakes a waiting call with its slot, or with the reason why it gets none.
pub(super) type Waiter = oneshot::Sender<Result<Lease, Error>>;

pub(crate) struct Shared {
    pub(super) config: PoolConfig,
    /// Slots of each worker.
    pub(super) slots: u16,
    /// Stands for this pool in the chains of calls.
    pub(super) mark: PoolMark,
    pub(super) profile: Arc<dyn WorkerProfile>,
    pub(super) readiness: watch::Sender<Readiness>,
    pub(super) tasks: TaskTracker,
    pub(super) runtime: Handle,
    events: mpsc::UnboundedSender<Event>,
    state: Mutex<State>,
}

pub(super) struct State {
    pub(super) scheduler: Scheduler<Waiter>,
    pub(super) workers: Workers,
    pub(super) starting: BTreeMap<WorkerId, Instant>,
    pub(super) stats: Stats,
    pub(super) quarantine: Option<Quarantine>,
    pub(super) breakers: Breakers,
    pub(super) retry_budget: Option<RetryBudget>,
    /// Workers to keep running.
    pub(super) target: usize,
    pub(super) closing: bool,
    pub(super) gave_up: Option<Arc<StartError>>,
}

/// A call that was let in.
pub(super) enum Admitted {
    /// It has a slot.
    Now(Lease),
    /// It is in the queue.
    Wait(Waiting),
}

impl Shared {
    pub(super) fn new(
        config: PoolConfig,
        profile: Arc<dyn WorkerProfile>,
    ) -> (Arc<Self>, mpsc::UnboundedReceiver<Event>) {
        let (events, receiver) = mpsc::unbounded_channel();
        let state = State {
            scheduler: Scheduler::new(config.queue_limit),
            workers: Workers::default(),
            starting: BTreeMap::new(),
            stats: Stats::new(),
            quarantine: config.quarantine.clone().map(Quarantine::new),
            retry_budget: config.retry.as_ref().map(RetryBudget::new),
            breakers: Breakers::new(config.breaker.clone(), config.tool_breaker.clone()),
            target: config.workers,
            closing: false,
            gave_up: None,
        };
        let shared = Self {
            config,
            slots: profile.slots().get(),
            mark: PoolMark::default(),
            profile,
            readiness: watch::Sender::new(Readiness::Starting),
            tasks: TaskTracker::new(),
            runtime: Handle::current(),
            events,
            state: Mutex::new(state),
        };
        (Arc::new(shared), receiver)
    }

    /// Nothing under the lock runs foreign code, so a panic cannot leave the state half changed.
    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells the supervisor. After it has ended nobody needs to know.
    pub(super) fn send(&self, event: Event) {
        self.events.send(event).ok();
    }

    /// Lets a call of `items` items in: takes a slot or a place in the queue. With `bounded` a full queue refuses it.
    pub(super) fn admit(
        self: &Arc<Self>,
        options: &CallOptions,
        bounded: bool,
        items: u64,
    ) -> Result<Admitted, Error> {
        let ancestors = match options.chain.depth() {
            0 => Vec::new(),
            _ => options.chain.slots_of(&self.mark),
        };
        let mut state = self.lock();
        state.stats.requests += items;
        if let Some(error) = self.refusal(&state) {
            state.stats.errors += items;
            return Err(error);
        }
        let mut receiver = None;
        let waiter = || {
            let (sender, waiting) = oneshot::channel();
            receiver = Some(waiting);
            sender
        };
        let ask = Ask {
            session: options.session.as_ref(),
            affinity: options.affinity.unwrap_or(self.config.affinity),
            ancestors: &ancestors,
            bounded,
            growing: state.scheduler.active() < state.target,
        };
        let answer = state.scheduler.ask(&ask, waiter);
        match answer {
            Acquire::Granted(grant) => {
                let live = state
                    .workers
                    .get(grant.worker)
                    .expect("grants name known workers");
                let (worker, id) = (Arc::clone(&live.worker), live.id.clone());
                drop(state);
                Ok(Admitted::Now(Lease::new(
                    Arc::clone(self),
                    grant,
                    worker,
                    id,
                    items,
                )))
            }
            Acquire::Queued(ticket) => {
                state.stats.queued += items;
                drop(state);
                let receiver = receiver.expect("a queued call has a waiter");
                Ok(Admitted::Wait(Waiting::new(
                    Arc::clone(self),
                    ticket,
                    receiver,
                    items,
                )))
            }
            Acquire::Full => {
                state.stats.saturated += items;
                let queued = state.scheduler.queued();
                drop(state);
                tracing::debug!(target: event::TARGET, event = event::POOL_SATURATED, pool = %self.config.name, queued);
                Err(Error::Saturated {
                    pool: self.config.name.clone(),
                    queued,
                })
            }
            refused => {
                state.stats.errors += items;
                Err(self.refused(&state, refused, options))
            }
        }
    }

    /// Why affinity or nesting does not let a call in.
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

    /// Why no call is let in now.
    fn refusal(&self, state: &State) -> Option<Error> {
        if state.closing {
            return Some(self.closed());
        }
        let error = state
            .gave_up
            .as_ref()
            .filter(|_| state.scheduler.active() == 0)?;
        Some(self.start_error(error))
    }

    /// Gives a slot back and counts how its call ended, if that has not been counted before.
    pub(super) fn release(
        self: &Arc<Self>,
        grant: Grant,
        counted: Option<(Outcome, u64, Duration)>,
    ) {
        let mut state = self.lock();
        let due = counted
            .is_some_and(|(outcome, items, time)| state.count(grant.worker, outcome, items, time));
        let released = state.scheduler.release(grant);
        let wake = released
            .wake
            .map(|(waiter, grant)| (waiter, self.lease_locked(&state, grant)));
        drop(state);
        Self::tell_lost(released.lost);
        if due {
            self.send(Event::Due);
        }
        if let Some(key) = released.idle {
            self.send(Event::Idle(key));
        }
        if let Some((waiter, lease)) = wake {
            Self::wake(waiter, lease);
        }
    }

    fn lease_locked(self: &Arc<Self>, state: &State, grant: Grant) -> Lease {
        let live = state
            .workers
            .get(grant.worker)
            .expect("grants name known workers");
        Lease::new(
            Arc::clone(self),
            grant,
            Arc::clone(&live.worker),
            live.id.clone(),
            1,
        )
    }

    /// Hands a slot over. When the caller is gone the lease comes back, and dropping it passes the slot on.
    fn wake(waiter: Waiter, lease: Lease) {
        drop(waiter.send(Ok(lease)));
    }

    /// Fails calls that waited for a worker that is gone.
    pub(super) fn tell_lost(lost: Vec<(Waiter, Lost)>) {
        for (waiter, lost) in lost {
            drop(waiter.send(Err(lost_error(lost))));
        }
    }

    /// Counts the end of a call whose slot is not free yet.
    pub(super) fn count(&self, worker: WorkerKey, outcome: Outcome, items: u64, time: Duration) {
        let due = self.lock().count(worker, outcome, items, time);
        if due {
            self.send(Event::Due);
        }
    }

    /// Counts what ended the tool of an abandoned call.
    pub(super) fn stopped(&self, step: StopStep) {
        self.lock().stats.stopped(step);
    }

    /// Takes a worker that died out of the schedule; its slots are void.
    pub(super) fn lost(&self, key: WorkerKey) {
        self.remove(key);
        self.send(Event::Lost(key));
    }

    /// Takes a worker out of the schedule.
    pub(super) fn remove(&self, key: WorkerKey) {
        let mut guard = self.lock();
        let state = &mut *guard;
        if let Some(quarantine) = &mut state.quarantine
            && let Some(calls) = state.scheduler.in_use_of(key)
        {
            quarantine.gone(key, calls);
        }
        let lost = state.scheduler.remove(key);
        // The lock is free again before anybody is woken.
        drop(guard);
        Self::tell_lost(lost);
    }

    /// Adds a ready worker; waiting calls get its slots.
    pub(super) fn add(
        self: &Arc<Self>,
        id: &WorkerId,
        worker: &Arc<dyn Worker>,
    ) -> Option<WorkerKey> {
        let mut guard = self.lock();
        let state = &mut *guard;
        state.starting.remove(id);
        if state.closing {
            return None;
        }
        state.gave_up = None;
        let scheduler = &mut state.scheduler;
        let Added { key, wakes, lost } = scheduler.add_named(self.slots, id.clone());
        let live = Live::new(Arc::clone(worker), id.clone(), &self.config.recycle);
        state.workers.insert(key, live);
        let wakes: Vec<_> = wakes
            .into_iter()
            .map(|(waiter, grant)| (waiter, self.lease_locked(state, grant)))
            .collect();
        drop(guard);
        Self::tell_lost(lost);
        for (waiter, lease) in wakes {
            Self::wake(waiter, lease);
        }
        Some(key)
    }

    /// Refuses calls from now on; those in the queue fail.
    pub(super) fn begin_close(&self) {
        let mut state = self.lock();
        state.closing = true;
        let waiters = state.scheduler.drain_queue();
        drop(state);
        for waiter in waiters {
            drop(waiter.send(Err(self.closed())));
        }
    }

    /// Records that no worker can be started now. Without any worker, waiting calls fail.
    pub(super) fn give_up(&self, error: &Arc<StartError>) {
        let mut state = self.lock();
        state.gave_up = Some(Arc::clone(error));
        let none = state.scheduler.active() == 0;
        let waiters = if none {
            state.scheduler.drain_queue()
        } else {
            Vec::new()
        };
        drop(state);
        for waiter in waiters {
            drop(waiter.send(Err(self.start_error(error))));
        }
    }
}

fn lost_error(lost: Lost) -> Error {
    Error::AffinityLost {
        session: lost.session,
        worker: lost.worker,
        generation: lost.generation,
    }
}

impl State {
    /// `true` when it makes the worker due to be replaced.
    fn count(&mut self, worker: WorkerKey, outcome: Outcome, items: u64, time: Duration) -> bool {
        self.stats.record(outcome, items, time);
        let live = self.workers.get_mut(worker);
        live.is_some_and(|live| live.count(items))
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared")
            .field("pool", &self.config.name)
            .finish_non_exhaustive()
    }
}
