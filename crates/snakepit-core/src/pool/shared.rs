//! State that all handles and tasks of a pool share: the lock around it, and the effects of
//! changes, which are applied once the lock is released.

use std::fmt;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use futures_util::future::join_all;
use tokio::runtime::Handle;
use tokio::sync::{Notify, mpsc, watch};
use tokio::task::JoinHandle;
use tokio_util::task::TaskTracker;

use super::deadlines::Deadlines;
use super::event::{Event, Readiness};
use super::settings::{self, Settings};
use super::state::{
    Effects, Further, Granted, Outcome, PoolCore, ReadyWorker, Recall, Tools, Unavailable, Waiter,
};
use super::{PoolConfig, errors, foreign};
use crate::call::{CallObserver, PoolMark};
use crate::error::{Error, Phase, StartError};
use crate::events::Events;
use crate::id::WorkerId;
use crate::schedule::{Grant, Lost, WorkerKey};
use crate::state::Sessions;
use crate::worker::{Worker, WorkerProfile};

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
    state: Mutex<PoolCore>,
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
        let (tasks, slots) = (TaskTracker::new(), profile.slots().get());
        let state = PoolCore::new(&config, slots, sessions.as_ref());
        let shared = Self {
            has_policies: config.has_policies(),
            config,
            slots,
            mark: PoolMark::default(),
            hub,
            sessions,
            profile,
            telemetry: Settings::default(),
            observer: OnceLock::new(),
            readiness: watch::Sender::default(),
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
    pub(super) fn lock(&self) -> MutexGuard<'_, PoolCore> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the state, and applies the effects once the lock is released.
    #[inline]
    pub(super) fn change(&self, change: impl FnOnce(&mut PoolCore) -> Effects) {
        let effects = change(&mut self.lock());
        self.apply(effects);
    }

    /// Applies the effects of a change. The lock must be released.
    #[inline]
    pub(super) fn apply(&self, effects: Effects) {
        let Effects {
            wake,
            lost,
            idle,
            due,
            changed,
            further,
        } = effects;
        if changed {
            self.changed.notify_waiters();
        }
        if !lost.is_empty() {
            Self::fail_lost(lost);
        }
        if due {
            self.send(Event::Due);
        }
        if let Some(key) = idle {
            self.send(Event::Idle(key));
        }
        if let Some((waiter, granted)) = wake {
            self.wake(waiter, granted);
        }
        if let Some(further) = further {
            self.apply_further(*further);
        }
    }

    #[cold]
    fn fail_lost(lost: Vec<(Waiter, Lost)>) {
        for (waiter, lost) in lost {
            drop(waiter.send(Err(errors::lost(lost))));
        }
    }

    #[cold]
    fn apply_further(&self, further: Further) {
        let Further {
            wakes,
            failed,
            recalls,
        } = further;
        if let Some((waiters, error)) = failed {
            for waiter in waiters {
                drop(waiter.send(Err(error.clone())));
            }
        }
        for recall in recalls {
            self.recall(recall);
        }
        for (waiter, granted) in wakes {
            self.wake(waiter, granted);
        }
    }

    /// Passes a slot on. If the caller is gone, the slot goes to the next call.
    fn wake(&self, waiter: Waiter, granted: Granted) {
        if let Err(Ok(granted)) = waiter.send(Ok(granted)) {
            self.release(granted.grant, None, None);
        }
    }

    /// Gives back a slot that a call has held for that time, and counts its outcome if it has not
    /// been counted before.
    pub(super) fn release(
        &self,
        grant: Grant,
        held: Option<Duration>,
        counted: Option<(Outcome, u64)>,
    ) {
        self.change(|state| state.release(grant, held, counted));
    }

    /// Asks a worker to return calls. When the task has ended, each has come back, or the worker
    /// has begun it.
    pub(super) fn recall(&self, recall: Recall) -> JoinHandle<()> {
        let Recall { worker, calls } = recall;
        let task = async move {
            let calls = calls.into_iter();
            let asked = calls.map(|(slot, call)| foreign::recall(&*worker, slot, call));
            join_all(asked).await;
        };
        self.tasks.spawn_on(task, &self.runtime)
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
            readiness.wait_for(|state| state.closed).await.ok();
        }
    }

    /// Counts the end of a call whose slot is not free yet.
    pub(super) fn count(&self, worker: WorkerKey, outcome: Outcome, items: u64, time: Duration) {
        let due = self.lock().count(worker, outcome, items, time);
        if due {
            self.send(Event::Due);
        }
    }

    /// Removes a worker that died from the schedule; its slots are void.
    pub(super) fn lose(&self, key: WorkerKey) {
        self.change(|state| state.lose(key));
        self.send(Event::Lost(key));
    }

    /// Removes a worker from the schedule.
    pub(super) fn remove(&self, key: WorkerKey) {
        self.change(|state| state.remove(key));
    }

    /// Handles a cancelled call that cannot be stopped. Returns `false` if its worker has no other
    /// call to wait for: it gets no calls before it is killed.
    pub(super) fn stick(&self, key: WorkerKey) -> bool {
        let (drains, effects) = self.lock().stick(key);
        self.apply(effects);
        if drains {
            self.send(Event::Stuck(key));
        }
        drains
    }

    /// Gives no further calls to a worker that may be in an unknown state. To be called while a
    /// call still has one of its slots.
    pub(super) fn renew(&self, key: WorkerKey) {
        self.change(|state| state.retire(key));
        self.send(Event::Interrupted(key));
    }

    /// Adds a ready worker; waiting calls get its slots. `None` if the pool is closing.
    pub(super) fn add(&self, id: &WorkerId, worker: &Arc<dyn Worker>) -> Option<WorkerKey> {
        let tools = Arc::new(Tools::new(&worker.info().tools));
        let ahead = worker.takes_ahead();
        let mut live = ReadyWorker::new(Arc::clone(worker), id.clone(), &self.config);
        if ahead {
            live.let_ahead(self.slots);
        }
        // Held over both: settings of this worker alone, made once it is ready, come later.
        let settings = self.telemetry.lock();
        let (key, effects) = self.lock().add(live, tools)?;
        settings::set(&**worker, &settings);
        drop(settings);
        self.apply(effects);
        Some(key)
    }

    /// Returns the ready worker of this name.
    pub(super) fn worker(&self, id: &WorkerId) -> Option<Arc<dyn Worker>> {
        self.lock().worker(id)
    }

    /// Rejects all further calls; those in the queue fail.
    pub(super) fn begin_close(&self) {
        self.change(|state| state.begin_close(self.closed()));
    }

    /// Records that no worker can be started now. Without any worker, waiting calls fail.
    pub(super) fn give_up(&self, error: &Arc<StartError>) {
        self.change(|state| state.give_up(error, errors::start(&self.config.name, error)));
    }

    /// Returns the error of a pool that is closed.
    pub(super) fn closed(&self) -> Error {
        errors::closed(&self.config.name)
    }

    /// Returns the error of a call whose time is over.
    pub(super) fn timeout(&self, phase: Phase, after: Duration) -> Error {
        errors::timeout(&self.config.name, phase, after)
    }

    /// Returns the error if too few workers became ready within `limit`; it includes a failed
    /// start.
    pub(super) fn not_ready(&self, limit: Duration) -> Error {
        let failed = self.lock().failed_start();
        match failed {
            Some(error) => errors::start(&self.config.name, &error),
            None => self.timeout(Phase::Start, limit),
        }
    }

    /// Returns the error of a call that no worker can serve now.
    pub(super) fn unavailable(&self, why: Unavailable) -> Error {
        errors::unavailable(&self.config.name, why)
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared")
            .field("pool", &self.config.name)
            .finish_non_exhaustive()
    }
}
