//! The one control task of a pool: it starts, replaces, drains and stops workers.

use std::collections::VecDeque;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until, timeout};

use super::shared::Shared;
use crate::schedule::WorkerKey;
use crate::{
    ErrorCode, StartContext, StartError, Worker, WorkerExit, WorkerId, WorkerProfile, event,
};

mod closing;

/// What the supervisor is told.
pub(super) enum Event {
    /// A draining worker has no calls any more.
    Idle(WorkerKey),
    /// A call found the worker dead, or it is being killed.
    Lost(WorkerKey),
    /// Keep this many workers.
    Resize {
        workers: usize,
        done: oneshot::Sender<()>,
    },
    /// End the pool: running calls have `drain`, and then each worker `grace`.
    Close { drain: Duration, grace: Duration },
}

/// How far the pool is, for those who wait for it.
#[derive(Clone, Debug)]
pub(super) enum Readiness {
    Starting,
    Ready,
    Failed(Arc<StartError>),
    Closed,
}

/// A start that is over.
struct Started {
    id: WorkerId,
    result: Result<Arc<dyn Worker>, StartError>,
}

pub(super) struct Supervisor {
    shared: Arc<Shared>,
    profile: Arc<dyn WorkerProfile>,
    events: mpsc::UnboundedReceiver<Event>,
    starts: JoinSet<Started>,
    watchers: JoinSet<(WorkerKey, WorkerExit)>,
    /// Workers that died and whose replacement has not been started.
    missing: usize,
    next_id: u64,
    /// Moments of the failures within the restart window, oldest first.
    failures: VecDeque<Instant>,
    /// No start before this moment.
    not_before: Option<Instant>,
    /// The pool gave up; once the pause is over it tries one start.
    half_open: bool,
}

impl Supervisor {
    pub(super) fn spawn(
        shared: Arc<Shared>,
        profile: Arc<dyn WorkerProfile>,
        events: mpsc::UnboundedReceiver<Event>,
    ) {
        let (tasks, runtime) = (shared.tasks.clone(), shared.runtime.clone());
        let this = Self {
            shared,
            profile,
            events,
            starts: JoinSet::new(),
            watchers: JoinSet::new(),
            missing: 0,
            next_id: 1,
            failures: VecDeque::new(),
            not_before: None,
            half_open: false,
        };
        tasks.spawn_on(this.run(), &runtime);
    }

    async fn run(mut self) {
        tracing::debug!(
            target: event::TARGET,
            event = event::POOL_INIT_STARTED,
            pool = %self.shared.config.name,
            workers = self.shared.config.workers,
        );
        loop {
            self.reconcile();
            let pause = self.not_before;
            tokio::select! {
                event = self.events.recv() => match event {
                    Some(Event::Close { drain, grace }) => return self.close(drain, grace).await,
                    Some(event) => self.handle(event),
                    // The sender lives in `shared`, which this task holds.
                    None => return,
                },
                Some(started) = self.starts.join_next() => self.started(started.expect("starts catch panics")),
                Some(gone) = self.watchers.join_next() => {
                    // A watcher that panicked is as good as a worker that is gone, but it cannot say which one.
                    if let Ok((key, exit)) = gone {
                        self.gone(key, &exit);
                    }
                }
                () = async { sleep_until(pause.expect("checked")).await }, if pause.is_some() => self.not_before = None,
            }
        }
    }

    fn handle(&mut self, event: Event) {
        match event {
            Event::Idle(key) => self.stop(key, self.shared.config.stop_grace),
            Event::Lost(key) => self.stop(key, Duration::ZERO),
            Event::Resize { workers, done } => {
                self.shared.lock().target = workers;
                self.heal();
                self.reconcile();
                done.send(()).ok();
            }
            Event::Close { .. } => {}
        }
    }

    /// Forgets earlier failures.
    fn heal(&mut self) {
        self.failures.clear();
        self.not_before = None;
        self.half_open = false;
        self.shared.lock().gave_up = None;
    }

    /// Ends one worker in the background; its watcher reports the end.
    fn stop(&self, key: WorkerKey, grace: Duration) {
        let worker = self
            .shared
            .lock()
            .workers
            .get(key)
            .map(|live| Arc::clone(&live.worker));
        if let Some(worker) = worker {
            self.shared.tasks.spawn_on(
                async move { worker.stop(grace).await },
                &self.shared.runtime,
            );
        }
    }

    /// Starts or drains workers until their number is as it should be.
    fn reconcile(&mut self) {
        let (target, present) = {
            let state = self.shared.lock();
            (
                state.target,
                state
                    .workers
                    .iter()
                    .filter(|(_, live)| !live.draining)
                    .count(),
            )
        };
        let limit = if self.half_open {
            1
        } else {
            self.shared.config.start_concurrency
        };
        while self.not_before.is_none()
            && self.starts.len() < limit
            && present + self.starts.len() < target
        {
            self.start();
        }
        for _ in target..present {
            self.drain_one();
        }
        if present >= target && self.shared.lock().scheduler.active() >= target {
            self.shared.readiness.send_if_modified(|state| {
                let first = !matches!(state, Readiness::Ready);
                *state = Readiness::Ready;
                if first {
                    let pool = &self.shared.config.name;
                    tracing::info!(target: event::TARGET, event = event::POOL_INIT_COMPLETE, %pool, workers = present);
                }
                first
            });
        }
    }

    fn start(&mut self) {
        let config = &self.shared.config;
        let id = WorkerId::new(format!("{}-{}", config.name, self.next_id));
        self.next_id += 1;
        let name = if self.missing > 0 {
            event::WORKER_RESTARTED
        } else {
            event::WORKER_SPAWNED
        };
        tracing::debug!(target: event::TARGET, event = name, pool = %config.name, worker = %id);
        {
            let mut state = self.shared.lock();
            if self.missing > 0 {
                self.missing -= 1;
                state.stats.restarts += 1;
            }
            state.starting.insert(id.clone(), Instant::now());
        }
        let context = StartContext {
            worker: id.clone(),
            pool: config.name.clone(),
            timeout: config.start_timeout,
            max_payload: config.max_payload,
        };
        // The profile keeps the time and knows best what went wrong; the second more is for a profile that does not.
        let limit = config.start_timeout.saturating_add(Duration::from_secs(1));
        let (profile, worker) = (Arc::clone(&self.profile), id.clone());
        let start = async move {
            match timeout(
                limit,
                AssertUnwindSafe(profile.start(context)).catch_unwind(),
            )
            .await
            {
                Ok(Ok(result)) => result,
                Ok(Err(_)) => Err(StartError::new(
                    ErrorCode::StartFailed,
                    "the profile panicked",
                )),
                Err(_) => {
                    let message = format!("worker `{worker}` was not ready within {limit:?}");
                    Err(StartError::new(ErrorCode::StartFailed, message))
                }
            }
        };
        self.starts.spawn(async move {
            Started {
                id,
                result: start.await,
            }
        });
    }

    fn started(&mut self, started: Started) {
        let Started { id, result } = started;
        match result {
            Ok(worker) => {
                if self.half_open {
                    self.heal();
                }
                let key = self.shared.add(&id, &worker);
                tracing::debug!(target: event::TARGET, event = event::WORKER_READY, pool = %self.shared.config.name, worker = %id);
                match key {
                    Some(key) => {
                        self.watchers
                            .spawn(async move { (key, worker.closed().await) });
                    }
                    None => {
                        let stop = async move { worker.stop(Duration::ZERO).await };
                        self.shared.tasks.spawn_on(stop, &self.shared.runtime);
                    }
                }
            }
            Err(error) => {
                tracing::warn!(target: event::TARGET, event = event::WORKER_START_FAILED, pool = %self.shared.config.name, worker = %id, %error);
                {
                    let mut state = self.shared.lock();
                    state.starting.remove(&id);
                    state.stats.start_failures += 1;
                }
                self.failed(error, false);
            }
        }
    }

    fn gone(&mut self, key: WorkerKey, exit: &WorkerExit) {
        let (live, age) = {
            self.shared.remove(key);
            let mut state = self.shared.lock();
            let Some(live) = state.workers.remove(key) else {
                return;
            };
            if !live.draining {
                state.stats.last_exit = Some(exit.reason.clone());
            }
            let age = live.ready.elapsed();
            (live, age)
        };
        tracing::info!(
            target: event::TARGET,
            event = event::WORKER_TERMINATED,
            pool = %self.shared.config.name,
            worker = %live.id,
            reason = exit.reason,
            expected = exit.expected || live.draining,
        );
        if live.draining {
            return;
        }
        self.missing += 1;
        // A worker that this pool killed because of a stuck call is not a sign that workers cannot live.
        if !exit.expected {
            let mut error = StartError::new(
                ErrorCode::StartGaveUp,
                format!("workers keep dying, the last one: {}", exit.reason),
            );
            error.output.clone_from(&exit.output);
            error.exit = Some(exit.reason.clone());
            self.failed(error, age > self.shared.config.restart.initial_backoff);
        }
    }

    /// Records a failure and decides when to start again. `lived`: the worker had been ready for a while.
    fn failed(&mut self, error: StartError, lived: bool) {
        let now = Instant::now();
        let policy = &self.shared.config.restart;
        while self
            .failures
            .front()
            .is_some_and(|at| now.duration_since(*at) >= policy.window)
        {
            self.failures.pop_front();
        }
        self.failures.push_back(now);
        let target = self.shared.lock().target;
        let allowed =
            (policy.max_restarts as usize).max(if policy.max_restarts == 0 { 0 } else { target });
        if error.permanent || self.half_open || self.failures.len() > allowed {
            return self.give_up(error, now);
        }
        // The first death of a worker that had lived is met at once: waiting would only add to the outage.
        if !(lived && self.failures.len() == 1) {
            self.not_before = Some(now + policy.backoff(self.failures.len()));
        }
    }

    fn give_up(&mut self, mut error: StartError, now: Instant) {
        let pool = &self.shared.config.name;
        tracing::error!(target: event::TARGET, event = event::POOL_GAVE_UP, %pool, %error);
        self.half_open = true;
        self.not_before = Some(now + self.shared.config.restart.window);
        if error.help.is_none() {
            let window = self.shared.config.restart.window;
            error.help = Some(format!(
                "mend what makes workers fail; the pool tries again after {window:?}"
            ));
        }
        let error = Arc::new(error);
        self.shared.give_up(&error);
        self.shared.readiness.send_if_modified(|state| {
            let starting = !matches!(state, Readiness::Ready);
            if starting {
                *state = Readiness::Failed(error);
            }
            starting
        });
    }

    /// Gives one surplus worker no further calls: the one with the fewest calls, the youngest among equals.
    fn drain_one(&self) {
        let retired = {
            let mut guard = self.shared.lock();
            let state = &mut *guard;
            let surplus = state.workers.iter().filter(|(_, live)| !live.draining);
            let victim = surplus.min_by_key(|(key, live)| {
                (
                    state.scheduler.in_use_of(*key).unwrap_or(0),
                    std::cmp::Reverse(live.ready),
                )
            });
            let Some((key, _)) = victim else { return };
            if let Some(live) = state.workers.get_mut(key) {
                live.draining = true;
            }
            state.scheduler.retire(key)
        };
        Shared::tell_lost(retired.lost);
        if let Some(key) = retired.idle {
            self.stop(key, self.shared.config.stop_grace);
        }
    }
}
