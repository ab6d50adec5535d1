//! The health checks of workers: tools of the worker itself. Each runs in one of its slots, so that
//! none runs beside a call that excludes others.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval};

use crate::events::emit;
use crate::pool::event::{CheckFailure, Checked, Event};
use crate::pool::shared::Shared;
use crate::pool::state::CheckedWorker;
use crate::schedule::WorkerKey;

/// Runs the checks of one worker in one of its slots. `None` if the worker is gone, or takes no
/// more calls.
pub(crate) type Run = fn(Arc<Shared>, WorkerKey) -> BoxFuture<'static, Option<Checked>>;

/// The task that runs the checks of one pool.
pub(crate) struct Checks {
    shared: Arc<Shared>,
    run: Run,
    running: JoinSet<()>,
}

impl Checks {
    /// Starts the task, unless the pool's checks are off. The task ends when the pool is closed.
    pub(crate) fn spawn(shared: &Arc<Shared>, run: Run) {
        if !shared.config.health.enabled {
            return;
        }
        let this = Self {
            shared: Arc::clone(shared),
            run,
            running: JoinSet::new(),
        };
        shared.tasks.spawn_on(this.run(), &shared.runtime);
    }

    async fn run(mut self) {
        let mut closed = std::pin::pin!(self.shared.until_closed());
        // Checks that end must not delay the next round.
        let mut looks = interval(self.shared.config.health.look());
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                biased;
                () = &mut closed => return,
                _ = looks.tick() => self.begin(),
                Some(_) = self.running.join_next() => {}
            }
        }
    }

    /// Begins the checks that are due.
    fn begin(&mut self) {
        let now = Instant::now();
        let due = self
            .shared
            .lock()
            .due_checks(&self.shared.config.health, now);
        for key in due {
            let (shared, run) = (Arc::clone(&self.shared), self.run);
            let check = async move {
                if let Some(checked) = run(Arc::clone(&shared), key).await {
                    shared.checked(key, checked);
                }
            };
            self.running.spawn_on(check, &self.shared.runtime);
        }
    }
}

impl Shared {
    /// Records the result of a worker's checks.
    fn checked(&self, key: WorkerKey, checked: Checked) {
        let Checked { result, took } = checked;
        let config = &self.config;
        let error = result.as_ref().err().map(|failure| failure.error.as_str());
        let checked = self.lock().checked(key, &config.health, took, error);
        let Some(CheckedWorker {
            id: worker,
            before,
            failures,
            unhealthy,
        }) = checked
        else {
            return;
        };
        if unhealthy {
            self.send(Event::Due);
        }
        match result {
            Err(CheckFailure { check, error }) => {
                emit!(
                    self.hub,
                    WorkerHealthCheckFailed {
                        pool: config.name.clone(),
                        worker,
                        check,
                        failures,
                        duration_ms: u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
                        reason: error,
                    }
                );
            }
            Ok(()) if before > 0 => {
                let pool = config.name.clone();
                emit!(
                    self.hub,
                    WorkerHealthCheckRecovered {
                        pool,
                        worker,
                        failures: before
                    }
                );
            }
            Ok(()) => {}
        }
    }
}
