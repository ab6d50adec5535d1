//! The handle of a pool.

mod asked;
mod call;
mod config;
mod deadlines;
mod errors;
mod event;
mod first_start;
mod foreign;
mod profile;
mod recycle;
mod scaling;
mod settings;
mod shared;
mod state;
mod status;
mod telemetry;
mod tools;
mod upkeep;
mod weak;

use std::fmt;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::{Instant, timeout};

use crate::call::CallOptions;
use crate::config::ConfigError;
use crate::error::Error;
use crate::events::Events;
use crate::id::{PoolName, SessionId, WorkerId};
use crate::runtime::current_runtime;
pub use crate::schedule::{Affinity, Fairness, QueueBound};
use crate::value::Payload;
use crate::worker::WorkerProfile;
use call::attempt::Attempt;
use call::journal::{self, Journal};
use call::limits::Limits;
pub use call::{ManyStream, ReplyStream};
pub use config::{
    HealthConfig, HeartbeatConfig, PoolConfig, RestartPolicy, TimeoutProfile, ToolConfig,
};
use event::{Event, Readiness};
pub use first_start::FirstStart;
pub use recycle::{
    MemoryDecision, MemoryStatus, RecycleBudget, RecycleConfig, RecycleError, RecycleMode,
    RecycleReason,
};
pub use scaling::Scaling;
use shared::Shared;
pub use state::{HealthState, HealthStatus, HeartbeatState, HeartbeatStatus};
pub use status::{CancelStats, Latency, PoolState, Status, WorkerState, WorkerStatus};
use upkeep::health::Checks;
use upkeep::liveness::Monitor;
use upkeep::supervisor::Supervisor;
pub use weak::WeakPool;

/// A pool of workers. Cheap to clone; when its last clone and its last stream are dropped, its
/// workers are killed.
#[derive(Clone)]
pub struct Pool {
    inner: Arc<Inner>,
}

struct Inner {
    shared: Arc<Shared>,
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.shared.begin_close();
        self.shared.send(Event::Close {
            drain: Duration::ZERO,
            grace: Duration::ZERO,
        });
    }
}

impl Pool {
    /// Starts a pool. Returns at once; the workers start in the background, and calls wait for them
    /// in the queue.
    ///
    /// The pool lives on the tokio runtime from which this is called. Calls may come from any
    /// runtime; once the pool's runtime is gone, they fail with [`Error::Closed`].
    ///
    /// # Errors
    /// A setting is out of range; [`NoRuntime`](crate::error::ErrorCode::NoRuntime) without a tokio
    /// runtime that has timers.
    pub fn start(config: PoolConfig, profile: Arc<dyn WorkerProfile>) -> Result<Self, ConfigError> {
        Self::start_as(config, profile, false)
    }

    fn start_as(
        config: PoolConfig,
        profile: Arc<dyn WorkerProfile>,
        first_start: bool,
    ) -> Result<Self, ConfigError> {
        config.validate()?;
        let runtime = current_runtime()?;
        let (shared, events) = Shared::new(config, Arc::clone(&profile), runtime, first_start);
        Supervisor::spawn(Arc::clone(&shared), profile, events);
        Monitor::spawn(&shared);
        Checks::spawn(&shared, call::check);
        let pool = Self {
            inner: Arc::new(Inner { shared }),
        };
        pool.forget_ended_sessions();
        Ok(pool)
    }

    fn shared(&self) -> &Arc<Shared> {
        &self.inner.shared
    }

    /// Name of the pool.
    pub fn name(&self) -> &PoolName {
        &self.shared().config.name
    }

    /// The hub into which the pool and its workers emit events: that of the profile's
    /// [`HostState`](crate::host_tools::HostState), or its own.
    pub fn events(&self) -> &Events {
        &self.shared().hub
    }

    /// The settings with which the pool was started.
    pub fn config(&self) -> &PoolConfig {
        &self.shared().config
    }

    /// Waits until a worker accepts calls. Other workers may still start.
    ///
    /// # Errors
    /// [`Error::Start`] if the pool has given up, or after `limit` if the last start has failed;
    /// [`Error::Timeout`] after `limit` otherwise; [`Error::Closed`].
    ///
    /// # Cancel safety
    /// Safe.
    pub async fn await_ready(&self, limit: Duration) -> Result<(), Error> {
        self.await_readiness(limit, |state| state.serving > 0).await
    }

    /// Waits until all workers accept calls that the pool is to have at the moment. After the death
    /// of a worker this waits for its replacement.
    ///
    /// # Errors
    /// As [`await_ready`](Self::await_ready).
    ///
    /// # Cancel safety
    /// Safe.
    pub async fn await_all_ready(&self, limit: Duration) -> Result<(), Error> {
        self.await_readiness(limit, |state| state.complete).await
    }

    async fn await_readiness(
        &self,
        limit: Duration,
        ready: impl Fn(&Readiness) -> bool,
    ) -> Result<(), Error> {
        let mut readiness = self.shared().readiness.subscribe();
        let settled =
            readiness.wait_for(|state| state.closed || state.failed.is_some() || ready(state));
        let state = timeout(limit, settled)
            .await
            .map_err(|_| self.shared().not_ready(limit))?;
        match state.as_deref() {
            Ok(state) if !state.closed && ready(state) => Ok(()),
            Ok(Readiness {
                failed: Some(error),
                closed: false,
                ..
            }) => Err(errors::start(self.name(), error)),
            _ => Err(self.shared().closed()),
        }
    }

    /// Calls a tool and waits for its result.
    ///
    /// # Errors
    /// See [`Error`]. After a timeout or the loss of a worker, the tool may nevertheless have run.
    ///
    /// # Cancel safety
    /// Dropping the future cancels the call: the tool is asked to stop, and its slot is reused once
    /// it has stopped.
    pub async fn execute(
        &self,
        tool: impl Into<Arc<str>>,
        args: Payload,
        options: &CallOptions,
    ) -> Result<Payload, Error> {
        let (shared, now) = (&**self.shared(), Instant::now());
        let traced = journal::trace(shared, options, now);
        let mut journal = Journal::begin(shared, tool.into(), traced, now);
        let result = match shared.enter_session(options) {
            Err(error) => Err(error),
            Ok(in_session) => {
                let options = in_session.as_deref().unwrap_or(options);
                let progress = &mut journal.progress;
                let limits = Limits::made_at(now, &shared.config, &progress.tool, options, false);
                let mut attempt = Attempt {
                    shared: self.shared(),
                    progress,
                    args,
                    options,
                    limits,
                };
                if shared.has_policies {
                    // Boxed, so that other calls do not carry the room for it.
                    Box::pin(attempt.with_policies()).await
                } else {
                    pin!(attempt.call()).await
                }
            }
        };
        if let Ok(reply) = &result {
            journal.progress.received = reply.bytes.len() as u64;
        }
        journal.end(result.as_ref().map(drop));
        result
    }

    /// Calls a streaming tool. The call's time limit covers the whole stream.
    ///
    /// # Errors
    /// As [`execute`](Self::execute); a failure after the start is the last item.
    ///
    /// # Cancel safety
    /// Dropping the future or the stream cancels the call.
    pub async fn execute_stream(
        &self,
        tool: impl Into<Arc<str>>,
        args: Payload,
        options: &CallOptions,
    ) -> Result<ReplyStream, Error> {
        let (shared, now) = (self.shared(), Instant::now());
        let traced = journal::trace(shared, options, now);
        let mut journal = Journal::begin(Arc::clone(shared), tool.into(), traced, now);
        let begun = call::stream::begin(shared, &mut journal.progress, args, options, now).await;
        match begun {
            Ok(begun) => Ok(ReplyStream::new(self.clone(), begun, journal)),
            Err(error) => {
                journal.end(Err(&error));
                Err(error)
            }
        }
    }

    /// Calls a tool once for each item, and returns one result for each, in order.
    ///
    /// Items are sent in batches whose size follows the measured speed of the tool.
    /// `options.timeout` is the time of one batch once it has a slot. `queue_timeout` does not
    /// apply: a batch waits for its slot until the pool closes or gives up. Batches take their turn
    /// in the queue like other calls, even if it is full. At most two for each slot are in
    /// progress, so a slow consumer holds the iterator back.
    pub fn execute_many<I>(
        &self,
        tool: impl Into<Arc<str>>,
        items: I,
        options: &CallOptions,
    ) -> ManyStream
    where
        I: IntoIterator<Item = Payload>,
        I::IntoIter: Send + 'static,
    {
        ManyStream::new(
            self.clone(),
            tool.into(),
            Box::new(items.into_iter()),
            options.clone(),
        )
    }

    /// Returns state and counters, all read at the same moment.
    pub fn status(&self) -> Status {
        let shared = self.shared();
        let containment = shared.profile.containment();
        shared.lock().status(&shared.config, containment)
    }

    /// Returns the number of waiting calls of each session, the longest queues first; `None` stands
    /// for calls without a session. Counts at most 10,000 calls.
    pub fn queued_by_session(&self) -> Vec<(Option<SessionId>, usize)> {
        self.shared().lock().queued_by_session()
    }

    /// Returns the state of every worker, including those that are starting.
    pub fn workers(&self) -> Vec<WorkerStatus> {
        let shared = self.shared();
        shared.lock().worker_status(&shared.config)
    }

    /// Changes the number of workers. Surplus workers finish their calls first. Returns when the
    /// change has begun; a pool that had given up tries again.
    ///
    /// # Errors
    /// The number is out of range, or outside the limits of `autoscale`.
    pub async fn resize(&self, workers: usize) -> Result<(), ConfigError> {
        PoolConfig::check_workers(workers)?;
        if let Some(policy) = &self.config().autoscale {
            crate::config::range("workers", workers, policy.min, policy.max)?;
        }
        let (done, begun) = oneshot::channel();
        self.shared().send(Event::Resize { workers, done });
        // On an error the pool closed in the meantime; there is nothing left to resize.
        begun.await.ok();
        Ok(())
    }

    /// Replaces a worker, at any age, and returns the name of its replacement once that has taken
    /// over. The worker's calls continue for up to `recycle.max_drain`. The request takes its turn
    /// with other replacements, and waits while workers are missing.
    ///
    /// # Errors
    /// [`RecycleError`]; if the replacement did not start, the worker continues.
    ///
    /// # Cancel safety
    /// Once polled, the replacement continues without the caller.
    pub async fn recycle(&self, worker: &WorkerId) -> Result<WorkerId, RecycleError> {
        let (done, answer) = oneshot::channel();
        let worker = worker.clone();
        self.shared().send(Event::Recycle { worker, done });
        // A closing pool drops such requests.
        let closed = |_| RecycleError::Closed(self.name().clone());
        answer.await.map_err(closed)?
    }

    /// Closes the pool: waiting calls fail, running ones get `drain_timeout` to end, then workers
    /// receive a request to stop and have `stop_grace` for that. Further calls of this method wait
    /// for the same end.
    ///
    /// # Cancel safety
    /// Once polled, closing continues without the caller.
    pub async fn close(&self) {
        let mut readiness = self.shared().readiness.subscribe();
        self.shared().begin_close();
        self.shared().send(Event::Close {
            drain: self.config().drain_timeout,
            grace: self.config().stop_grace,
        });
        // The sender lives in `self`, so waiting cannot fail.
        readiness.wait_for(|state| state.closed).await.ok();
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool")
            .field("name", self.name())
            .finish_non_exhaustive()
    }
}
