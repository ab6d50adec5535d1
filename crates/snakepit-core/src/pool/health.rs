//! The health checks of workers: tools of the worker itself. Each runs in one of its slots, so that
//! none runs beside a call that excludes others.

mod config;
mod record;

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::lease::{Lease, Running};
use super::limits::Limits;
use super::shared::Shared;
use super::supervisor::Event;
use crate::call::{CallChain, Request};
use crate::error::Error;
use crate::events::emit;
use crate::schedule::{Claim, WorkerKey};
use crate::value::Payload;
pub use config::HealthConfig;
pub(super) use record::Record;
pub use record::{HealthState, HealthStatus};

/// The outcome of a check. `None` if its worker is gone.
type Outcome = Option<Result<(), Failure>>;

/// The failure of a check.
struct Failure {
    check: Arc<str>,
    error: String,
}

/// The task that runs the checks of one pool.
pub(super) struct Checks {
    shared: Arc<Shared>,
    running: JoinSet<()>,
}

impl Checks {
    /// Starts the task, unless the pool's checks are off. The task ends when the pool is closed.
    pub(super) fn spawn(shared: &Arc<Shared>) {
        if !shared.config.health.enabled {
            return;
        }
        let this = Self {
            shared: Arc::clone(shared),
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
        let mut state = self.shared.lock();
        if state.closing {
            return;
        }
        let serving = state.workers.iter_mut().filter(|(_, live)| !live.draining);
        for (key, live) in serving {
            let health = live.health.as_mut();
            if health.is_some_and(|health| health.begin(&self.shared.config.health, now)) {
                let check = check(Arc::clone(&self.shared), key);
                self.running.spawn_on(check, &self.shared.runtime);
            }
        }
    }
}

/// Runs the checks of one worker as soon as it has a free slot.
async fn check(shared: Arc<Shared>, key: WorkerKey) {
    let Some(mut lease) = shared.claim(key).await else {
        return;
    };
    lease.begin_check();
    let began = Instant::now();
    let names = lease.worker().info().health_checks.iter();
    let checks: Vec<Arc<str>> = names.map(|name| name.as_str().into()).collect();
    let run = AssertUnwindSafe(run(&shared, lease, &checks)).catch_unwind();
    let outcome = run.await.unwrap_or_else(|_| {
        let error = "the worker's implementation panicked".to_owned();
        let check = checks.first().cloned().unwrap_or_default();
        Some(Err(Failure { check, error }))
    });
    if let Some(result) = outcome {
        shared.checked(key, result, began.elapsed());
    }
}

async fn run(shared: &Arc<Shared>, mut lease: Lease, checks: &[Arc<str>]) -> Outcome {
    let time = shared.config.health.timeout;
    let limits = Limits::until(Instant::now() + time, time);
    for check in checks {
        let fail = |error: String| {
            let check = Arc::clone(check);
            Some(Err(Failure { check, error }))
        };
        let args = match Payload::encode(&()) {
            Ok(args) => args,
            Err(error) => return fail(error.to_string()),
        };
        let mut request = Request::new(Arc::clone(check), args);
        request.deadline = limits.call.map(|(at, _)| at);
        request.chain = lease.chain(&CallChain::default());
        let call = request.call;
        let future = Arc::clone(lease.worker()).call(lease.slot(), request);
        match Running::new(lease, call, future).run(&limits, check).await {
            Ok(Some((_, next))) => lease = next,
            Ok(None) | Err(Error::WorkerDied { .. }) => return None,
            Err(error) => return fail(told(&error)),
        }
    }
    Some(Ok(()))
}

/// Describes the error of a check on one line, with its place.
fn told(error: &Error) -> String {
    match error {
        Error::Tool(tool) if !tool.file.is_empty() => {
            format!("{tool} ({}:{})", tool.file, tool.line)
        }
        error => error.to_string(),
    }
}

impl Shared {
    /// Takes a slot of this worker, before all waiting calls. `None` if it takes no more calls.
    async fn claim(self: &Arc<Self>, key: WorkerKey) -> Option<Lease> {
        let (waiter, lease) = oneshot::channel();
        let behind = {
            let mut state = self.lock();
            match state.scheduler.claim(key, || waiter) {
                Claim::Granted(grant) => return Some(self.lease_locked(&state, grant)),
                Claim::Waits => state.call_back(key),
                Claim::Refused => return None,
            }
        };
        self.take_back(behind);
        lease.await.ok()?.ok()
    }

    /// Records the result of a worker's checks.
    fn checked(&self, key: WorkerKey, result: Result<(), Failure>, took: Duration) {
        let config = &self.config;
        let mut guard = self.lock();
        let state = &mut *guard;
        let Some(live) = state.workers.get_mut(key) else {
            return;
        };
        let Some(health) = &mut live.health else {
            return;
        };
        let worker = live.id.clone();
        let error = result.as_ref().err().map(|failure| failure.error.as_str());
        let before = health.end(Instant::now(), took, error);
        let failures = health.failures();
        let unhealthy = failures >= config.health.failures;
        live.limits.set_unhealthy(unhealthy);
        state.stats.health_failures += u64::from(result.is_err());
        drop(guard);
        if unhealthy {
            self.send(Event::Due);
        }
        match result {
            Err(Failure { check, error }) => {
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
