//! The one control task of a pool: it starts, replaces, drains and stops workers.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use super::orphaned::CloseWithSupervisor;
use super::past::Past;
use crate::code::ErrorCode;
use crate::error::StartError;
use crate::events::emit;
use crate::id::WorkerId;
use crate::pool::RecycleReason;
use crate::pool::event::Event;
use crate::pool::foreign;
use crate::pool::shared::Shared;
use crate::printable::Printable;
use crate::schedule::WorkerKey;
use crate::worker::{WorkerExit, WorkerProfile};
use recycling::Recycling;
use restarting::Restarts;
use scaling::Scaler;
use starting::Started;

mod closing;
mod draining;
mod recycling;
mod reports;
mod restarting;
mod scaling;
mod spares;
mod starting;

pub(crate) struct Supervisor {
    shared: Arc<Shared>,
    profile: Arc<dyn WorkerProfile>,
    events: mpsc::UnboundedReceiver<Event>,
    starts: JoinSet<Started>,
    watchers: JoinSet<(WorkerKey, WorkerExit)>,
    /// Workers that died and whose replacement has not been started.
    missing: usize,
    next_id: u64,
    restarts: Restarts,
    /// No start before this moment.
    not_before: Option<Instant>,
    /// The pool gave up; after the pause it tries one start.
    half_open: bool,
    /// All workers have been ready at the same time once.
    was_complete: bool,
    began: Instant,
    recycling: Recycling,
    scaler: Option<Scaler>,
    /// Tasks that wait for the end of spare workers, current and former.
    spare_watchers: JoinSet<(WorkerId, WorkerExit)>,
    _orphaned: CloseWithSupervisor,
}

impl Supervisor {
    pub(crate) fn spawn(
        shared: Arc<Shared>,
        profile: Arc<dyn WorkerProfile>,
        events: mpsc::UnboundedReceiver<Event>,
    ) {
        let (tasks, runtime) = (shared.tasks.clone(), shared.runtime.clone());
        let this = Self {
            recycling: Recycling::new(&shared.config),
            scaler: Scaler::new(&shared.config),
            spare_watchers: JoinSet::new(),
            _orphaned: CloseWithSupervisor(Arc::clone(&shared)),
            shared,
            profile,
            events,
            starts: JoinSet::new(),
            watchers: JoinSet::new(),
            missing: 0,
            next_id: 1,
            restarts: Restarts::default(),
            not_before: None,
            half_open: false,
            was_complete: false,
            began: Instant::now(),
        };
        tasks.spawn_on(this.run(), &runtime);
    }

    async fn run(mut self) {
        let config = &self.shared.config;
        let (pool, workers) = (|| config.name.clone(), config.initial_workers() as u64);
        emit!(
            self.shared.hub,
            PoolInitStarted {
                pool: pool(),
                workers
            }
        );
        loop {
            let now = Instant::now();
            self.not_before.take_if(|at| *at <= now);
            self.scale(now);
            self.reconcile();
            self.expire(now);
            self.recycle(now);
            let wake = self.wake(now);
            tokio::select! {
                event = self.events.recv() => match event {
                    Some(Event::Close { drain, grace }) => return self.close(drain, grace).await,
                    Some(event) => self.handle(event),
                    // The sender lives in `shared`, which this task holds.
                    None => return,
                },
                Some(started) = self.starts.join_next() => match started {
                    Ok(started) => self.started(started),
                    // Starts catch panics, so this one was cancelled: the runtime is shutting down.
                    Err(_) => return,
                },
                Some(gone) = self.watchers.join_next() => {
                    // A watcher ends without an answer only with the runtime.
                    if let Ok((key, exit)) = gone {
                        self.gone(key, &exit);
                    }
                }
                Some(gone) = self.spare_watchers.join_next() => {
                    if let Ok((id, exit)) = gone {
                        self.spare_gone(&id, &exit);
                    }
                }
                Some(sample) = self.recycling.samples.join_next() => self.sampled(sample.ok()),
                () = self.recycling.member.freed() => {}
                () = async { sleep_until(wake.expect("checked")).await }, if wake.is_some() => {}
            }
        }
    }

    fn handle(&mut self, event: Event) {
        match event {
            Event::Idle(key) => self.stop_idle(key),
            Event::Stuck(key) => self.renew(key, RecycleReason::Stuck),
            Event::Drain(key) => self.renew(key, RecycleReason::Manual),
            Event::Interrupted(key) => self.renew(key, RecycleReason::Interrupted),
            Event::Lost(key) => self.stop(key, Duration::ZERO),
            Event::Resize { workers, done } => {
                self.shared.lock().set_target(workers);
                self.recycling.member.resize(workers);
                self.resized();
                self.heal();
                self.reconcile();
                done.send(()).ok();
            }
            Event::Recycle { worker, done } => self.request_recycle(worker, done),
            Event::Due | Event::Waiting | Event::Close { .. } => {}
        }
    }

    /// Returns the next moment at which there is something to do.
    fn wake(&self, now: Instant) -> Option<Instant> {
        let times = [
            self.not_before,
            self.drain_expires(),
            self.recycling_due(now),
            self.scaler.as_ref().and_then(Scaler::next),
        ];
        times.into_iter().flatten().min()
    }

    /// Forgets earlier failures.
    fn heal(&mut self) {
        self.restarts = Restarts::default();
        self.not_before = None;
        self.half_open = false;
        self.shared.lock().try_again();
        self.shared
            .readiness
            .send_modify(|state| state.failed = None);
    }

    /// Ends one worker in the background; its watcher reports the end.
    fn stop(&self, key: WorkerKey, grace: Duration) {
        let worker = {
            let state = self.shared.lock();
            state.live(key).map(|live| Arc::clone(&live.worker))
        };
        if let Some(worker) = worker {
            self.shared.tasks.spawn_on(
                async move { foreign::stop(&*worker, grace).await },
                &self.shared.runtime,
            );
        }
    }

    /// Starts or drains workers until their number is the intended one.
    fn reconcile(&mut self) {
        self.use_spares();
        let census = self.shared.lock().census();
        let (target, present) = (census.target, census.serving);
        let starting = self.starts.len() - self.recycling.overlapping();
        let coming = starting + census.in_place + census.spares;
        let limit = if self.half_open {
            1
        } else {
            self.shared.config.start_concurrency
        };
        let wanted = target + self.shared.config.spares;
        let missing = wanted.saturating_sub(present + coming);
        let free = limit.saturating_sub(self.starts.len());
        if self.not_before.is_none() {
            for _ in 0..missing.min(free) {
                self.start();
            }
        }
        for _ in target..present {
            self.drain_one();
        }
        self.report_readiness(present, target);
    }

    /// Wakes the callers that wait for ready workers.
    fn report_readiness(&mut self, present: usize, target: usize) {
        let serving = self.shared.lock().serving_workers();
        let complete = present >= target && serving >= target;
        if complete && !self.was_complete {
            self.was_complete = true;
            // Reported before the callers that wait for it are woken.
            self.report_complete(present);
        }
        self.shared.readiness.send_if_modified(|state| {
            let before = (state.serving, state.complete);
            (state.serving, state.complete) = (serving, complete);
            if complete {
                state.failed = None;
            }
            before != (serving, complete)
        });
    }

    fn started(&mut self, started: Started) {
        let Started { id, result } = started;
        match result {
            Ok(worker) => {
                if self.half_open {
                    self.heal();
                }
                self.report_started(&id, &*worker);
                if self.is_spare(&id) {
                    return self.keep(id, worker);
                }
                let key = self.shared.add(&id, &worker);
                self.replaced(&id);
                match key {
                    Some(key) => {
                        self.watchers
                            .spawn(async move { (key, foreign::closed(worker).await) });
                    }
                    None => {
                        let stop = async move { foreign::stop(&*worker, Duration::ZERO).await };
                        self.shared.tasks.spawn_on(stop, &self.shared.runtime);
                    }
                }
            }
            Err(mut error) => {
                error.permanent |= self.shared.first_start_counts();
                let text = Printable(&error.message).to_string();
                let (pool, worker) = (|| self.shared.config.name.clone(), || id.clone());
                let hub = &self.shared.hub;
                emit!(
                    hub,
                    WorkerStartFailed {
                        pool: pool(),
                        worker: worker(),
                        error: text
                    }
                );
                let failed = Arc::new(error.clone());
                self.shared.lock().start_failed(&id, failed);
                if let Some(error) = self.not_replaced(&id, error) {
                    self.failed(error);
                }
            }
        }
    }

    fn gone(&mut self, key: WorkerKey, exit: &WorkerExit) {
        self.shared.remove(key);
        let live = self.shared.lock().take(key, &exit.reason);
        let Some(live) = live else {
            return;
        };
        let good = self.started_well(&live);
        self.left(key, &live);
        // The loss of a call together with its worker was not planned.
        let expected = exit.expected || live.draining && !live.lost;
        self.shared.report_end(&Past::of(&live), exit, expected);
        if live.draining {
            return;
        }
        // Before waiting calls learn that there are no workers.
        self.use_spares();
        if !exit.expected {
            self.report_recycled(Past::of(&live), "worker_died", None);
        }
        // A replacement that is already starting counts as the restart.
        if self.recycling.adopt(key) {
            self.shared.lock().restarted();
        } else {
            self.missing += 1;
        }
        // A worker that this pool killed because of a stuck call does not count as a failure.
        if !exit.expected {
            let mut error = StartError::new(
                ErrorCode::StartGaveUp,
                format!("workers keep dying, the last one: {}", exit.reason),
            );
            error.output.clone_from(&exit.output);
            error.exit = Some(exit.reason.clone());
            if good {
                self.mishap(error);
            } else {
                self.failed(error);
            }
        }
    }
}
