//! State shared by all handles and tasks of a pool: the lock around the scheduler, and the wake-ups
//! that happen after it is released.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::{Notify, mpsc, oneshot, watch};
use tokio::time::Instant;
use tokio_util::task::TaskTracker;

use super::early::Early;
use super::errors::lost_error;
use super::lease::Lease;
use super::scaling::Scaling;
use super::stats::{Outcome, Stats};
use super::stream::Deadlines;
use super::supervisor::{Event, Readiness};
use super::telemetry::Settings;
use super::tools::Tools;
use super::workers::{Live, Spare, Workers};
use crate::call::{CallChain, CallObserver, PoolMark};
use crate::error::{Error, StartError};
use crate::events::Events;
use crate::id::WorkerId;
use crate::policy::{Breakers, Quarantine, RetryBudget};
use crate::pool::PoolConfig;
use crate::schedule::{Added, Fairness, Grant, Lost, Rules, Scheduler, Ticket, WorkerKey};
use crate::state::Sessions;
use crate::worker::{StopStep, Worker, WorkerProfile};

/// Wakes a waiting call with its slot, or with the reason why it gets none.
pub(super) type Waiter = oneshot::Sender<Result<Lease, Error>>;

pub(crate) struct Shared {
    pub(super) config: PoolConfig,
    /// Slots of each worker.
    pub(super) slots: u16,
    /// Some calls are rejected, repeated or isolated.
    pub(super) has_policies: bool,
    /// Identity of this pool in the chains of calls.
    pub(super) mark: PoolMark,
    pub(super) profile: Arc<dyn WorkerProfile>,
    /// The hub for the events of the pool and its workers: that of the profile's state, or its own.
    pub(super) hub: Events,
    /// The sessions of its calls. `None` if its workers have none.
    pub(super) sessions: Option<Sessions>,
    /// Settings of the records that its workers report.
    pub(super) telemetry: Settings,
    /// The observer of the calls, if there is one.
    pub(super) observer: OnceLock<Arc<dyn CallObserver>>,
    pub(super) readiness: watch::Sender<Readiness>,
    /// A failed start is not retried: the caller waits for the pool.
    pub(super) first_start: AtomicBool,
    pub(super) tasks: TaskTracker,
    pub(super) runtime: Handle,
    /// Deadlines of the open streams.
    pub(super) deadlines: Arc<Deadlines>,
    events: mpsc::UnboundedSender<Event>,
    /// Wakes a call that waits for a worker of its own.
    pub(super) changed: Notify,
    state: Mutex<State>,
}

pub(super) struct State {
    pub(super) scheduler: Scheduler<Waiter>,
    /// Nested calls that wait.
    pub(super) nested: HashMap<Ticket, CallChain>,
    pub(super) workers: Workers,
    pub(super) starting: BTreeMap<WorkerId, Instant>,
    pub(super) stats: Stats,
    pub(super) quarantine: Option<Quarantine>,
    pub(super) breakers: Breakers,
    pub(super) retry_budget: Option<RetryBudget>,
    /// Workers to keep running.
    pub(super) target: usize,
    /// Ready workers that get no calls, oldest first.
    pub(super) spares: Vec<Spare>,
    pub(super) scaling: Option<Scaling>,
    pub(super) closing: bool,
    /// A worker is held for an isolated call.
    pub(super) held: bool,
    pub(super) gave_up: Option<Arc<StartError>>,
    /// The error of the last start. `None` once a worker is ready again.
    pub(super) failed_start: Option<Arc<StartError>>,
    /// The tools of the workers, as reported by the latest ready one.
    pub(super) tools: Option<Arc<Tools>>,
}

impl Shared {
    pub(super) fn new(
        config: PoolConfig,
        profile: Arc<dyn WorkerProfile>,
        runtime: Handle,
        first_start: bool,
    ) -> (Arc<Self>, mpsc::UnboundedReceiver<Event>) {
        let (events, receiver) = mpsc::unbounded_channel();
        let host = profile.state();
        let hub = host
            .as_ref()
            .map_or_else(Events::new, |state| state.events().clone());
        let sessions = host.map(|state| state.sessions().clone());
        let mut rules = Rules {
            bytes: config.queue_bytes,
            session: config.session_queue_limit,
            fair: config.fairness == Fairness::Session,
            ..Rules::new(config.queue_limit)
        };
        if let Some(sessions) = &sessions {
            rules.home_idle = rules.home_idle.max(sessions.config().ttl);
        }
        let state = State {
            scheduler: Scheduler::with_rules(rules),
            nested: HashMap::new(),
            workers: Workers::default(),
            starting: BTreeMap::new(),
            stats: Stats::new(),
            quarantine: config.quarantine.clone().map(Quarantine::new),
            retry_budget: config.retry.as_ref().map(RetryBudget::new),
            breakers: Breakers::new(config.breaker.clone(), config.tool_breaker.clone()),
            target: config.initial_workers(),
            spares: Vec::new(),
            scaling: config.autoscale.as_ref().map(Scaling::new),
            closing: false,
            held: false,
            gave_up: None,
            failed_start: None,
            tools: None,
        };
        let tasks = TaskTracker::new();
        let shared = Self {
            has_policies: config.has_policies(),
            config,
            slots: profile.slots().get(),
            mark: PoolMark::default(),
            hub,
            sessions,
            profile,
            telemetry: Settings::default(),
            observer: OnceLock::new(),
            readiness: watch::Sender::new(Readiness::Starting),
            first_start: AtomicBool::new(first_start),
            deadlines: Deadlines::new(tasks.clone(), runtime.clone()),
            tasks,
            runtime,
            events,
            changed: Notify::new(),
            state: Mutex::new(state),
        };
        (Arc::new(shared), receiver)
    }

    /// No foreign code runs under the lock, so a panic cannot leave the state half changed.
    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends an event to the supervisor. After its end, events are not needed.
    pub(super) fn send(&self, event: Event) {
        self.events.send(event).ok();
    }

    /// Resolves when the pool is closed.
    pub(super) fn until_closed(&self) -> impl Future<Output = ()> + use<> {
        let mut readiness = self.readiness.subscribe();
        async move {
            // Without a sender the pool is closed, too.
            let closed = |state: &Readiness| matches!(state, Readiness::Closed);
            readiness.wait_for(closed).await.ok();
        }
    }

    /// Gives back a slot that a call has held for that time, and counts its outcome if it has not
    /// been counted before.
    pub(super) fn release(
        self: &Arc<Self>,
        grant: Grant,
        held: Option<Duration>,
        counted: Option<(Outcome, u64)>,
    ) {
        let mut state = self.lock();
        let due = counted.is_some_and(|(outcome, items)| {
            state.count(grant.worker, outcome, items, held.unwrap_or_default())
        });
        let released = state.scheduler.release(grant, held);
        if released.passed_on {
            let now = Instant::now();
            state.scheduler.started(grant, now);
            if let Some(live) = state.workers.get_mut(grant.worker) {
                live.pass_on(grant.slot, now);
            }
        }
        let wake = released
            .wake
            .map(|(waiter, grant)| (waiter, self.lease_locked(&state, grant)));
        let last = || state.only_stuck(grant.worker).then_some(grant.worker);
        let idle = released.idle.or_else(last);
        let held = state.held;
        drop(state);
        Self::tell_lost(released.lost);
        if held {
            self.changed.notify_waiters();
        }
        if due {
            self.send(Event::Due);
        }
        if let Some(key) = idle {
            self.send(Event::Idle(key));
        }
        if let Some((waiter, lease)) = wake {
            Self::wake(waiter, lease);
        }
    }

    pub(super) fn lease_locked(self: &Arc<Self>, state: &State, grant: Grant) -> Lease {
        let live = state
            .workers
            .get(grant.worker)
            .expect("grants name known workers");
        let ahead = live.ahead.then(|| state.scheduler.ahead(grant)).flatten();
        Lease::new(
            Arc::clone(self),
            grant,
            Arc::clone(&live.worker),
            live.id.clone(),
            ahead.map(|(place, call)| Early::new(place, call)),
        )
    }

    /// Passes a slot on. If the caller is gone, the lease comes back, and dropping it passes the
    /// slot to the next call.
    pub(super) fn wake(waiter: Waiter, lease: Lease) {
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

    /// Counts the step that ended the tool of an abandoned call.
    pub(super) fn stopped(&self, step: StopStep) {
        self.lock().stats.stopped(step);
    }

    /// Removes a worker that died from the schedule; its slots are void.
    pub(super) fn lost(&self, key: WorkerKey) {
        if let Some(live) = self.lock().workers.get_mut(key) {
            live.lost = true;
        }
        self.remove(key);
        self.send(Event::Lost(key));
    }

    /// Removes a worker from the schedule.
    pub(super) fn remove(&self, key: WorkerKey) {
        // The lock is released before any call is woken.
        let lost = self.lock().remove(key);
        self.changed.notify_waiters();
        Self::tell_lost(lost);
    }

    /// Adds a ready worker; waiting calls get its slots.
    pub(super) fn add(
        self: &Arc<Self>,
        id: &WorkerId,
        worker: &Arc<dyn Worker>,
    ) -> Option<WorkerKey> {
        let tools = Arc::new(Tools::new(&worker.info().tools));
        let ahead = worker.takes_ahead();
        let mut guard = self.lock();
        let state = &mut *guard;
        state.starting.remove(id);
        if state.closing {
            return None;
        }
        (state.gave_up, state.failed_start) = (None, None);
        state.tools = Some(tools);
        let scheduler = &mut state.scheduler;
        let Added { key, wakes, lost } = scheduler.add_named(self.slots, id.clone());
        let mut live = Live::new(Arc::clone(worker), id.clone(), &self.config);
        if ahead {
            state.scheduler.let_ahead(key);
            live.let_ahead(self.slots);
        }
        state.workers.insert(key, live);
        let wakes: Vec<_> = wakes
            .into_iter()
            .map(|(waiter, grant)| (waiter, self.lease_locked(state, grant)))
            .collect();
        drop(guard);
        self.hand_on_telemetry(&**worker);
        self.changed.notify_waiters();
        Self::tell_lost(lost);
        for (waiter, lease) in wakes {
            Self::wake(waiter, lease);
        }
        Some(key)
    }

    /// Returns the ready worker of this name.
    pub(super) fn worker(&self, id: &WorkerId) -> Option<Arc<dyn Worker>> {
        let state = self.lock();
        let mut workers = state.workers.iter().map(|(_, live)| live);
        let live = workers.find(|live| live.id == *id)?;
        Some(Arc::clone(&live.worker))
    }

    /// Rejects all further calls; those in the queue fail.
    pub(super) fn begin_close(&self) {
        let mut state = self.lock();
        state.closing = true;
        let waiters = state.scheduler.drain_queue();
        let behind = state.call_all_back();
        drop(state);
        self.changed.notify_waiters();
        for waiter in waiters {
            drop(waiter.send(Err(self.closed())));
        }
        // The calls that were sent ahead count as queued.
        for behind in behind {
            self.take_back(Some(behind));
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
        self.changed.notify_waiters();
        for waiter in waiters {
            drop(waiter.send(Err(self.start_error(error))));
        }
    }
}

impl State {
    /// Removes a worker from the schedule. Returns the calls that waited for it.
    pub(super) fn remove(&mut self, key: WorkerKey) -> Vec<(Waiter, Lost)> {
        if let Some(quarantine) = &mut self.quarantine
            && let Some(calls) = self.scheduler.in_use_of(key)
        {
            quarantine.gone(key, calls);
        }
        self.scheduler.remove(key)
    }

    /// Counts the end of a call. Returns `true` if its worker is now due to be replaced.
    fn count(&mut self, worker: WorkerKey, outcome: Outcome, items: u64, time: Duration) -> bool {
        self.stats.record(outcome, items, time);
        let live = self.workers.get_mut(worker);
        live.is_some_and(|live| live.count(items, outcome == Outcome::Ok))
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared")
            .field("pool", &self.config.name)
            .finish_non_exhaustive()
    }
}
