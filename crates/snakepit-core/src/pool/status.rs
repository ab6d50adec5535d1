//! Snapshots of a pool for people and programs.

use std::collections::HashMap;

use hdrhistogram::Histogram;
use serde::Serialize;
use tokio::time::Instant;

use super::scaling::Scaling;
use super::shared::{Shared, State};
use crate::id::{PoolName, SessionId, WorkerId};
use crate::policy::Circuit;
use crate::pool::{HealthStatus, HeartbeatStatus, MemoryStatus, RecycleReason};
use crate::worker::Containment;

/// Largest number of waiting calls that are counted by session.
const LOOKED_AT: usize = 10_000;

/// State and counters of a pool at one moment.
///
/// `requests` = `succeeded` + `errors` + `saturated` + `queue_timeouts` + `call_timeouts` +
/// `cancelled` + calls in progress. Items of an `execute_many` count one by one.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Status {
    /// Name of the pool.
    pub pool: PoolName,
    /// State of the pool.
    pub state: PoolState,
    /// Workers that the pool keeps running.
    pub workers: usize,
    /// Workers that take calls.
    pub ready: usize,
    /// Workers that are starting.
    pub starting: usize,
    /// Spare workers that are ready.
    pub spares: usize,
    /// Growing and shrinking of the pool. `None` without `autoscale`.
    pub scaling: Option<Scaling>,
    /// Slots of the workers that take calls.
    pub slots: usize,
    /// Taken slots, including those of calls whose caller has gone.
    pub in_flight: usize,
    /// Waiting calls.
    pub queue_depth: usize,
    /// Bytes of the arguments of waiting calls.
    pub queue_bytes: usize,
    /// Calls made, each retry counted as a call.
    pub requests: u64,
    /// Calls that returned a result.
    pub succeeded: u64,
    /// Calls that returned an error other than those below.
    pub errors: u64,
    /// Calls that had to wait.
    pub queued: u64,
    /// Calls rejected because of the limits of the queue.
    pub saturated: u64,
    /// Calls that timed out in the queue.
    pub queue_timeouts: u64,
    /// Calls that timed out on a worker.
    pub call_timeouts: u64,
    /// Calls dropped by their caller.
    pub cancelled: u64,
    /// Steps that ended the tools of calls that timed out on a worker or were dropped.
    pub stops: Stops,
    /// Calls rejected by the quarantine; also in `errors`.
    pub quarantined: u64,
    /// Calls repeated after their worker died; also in `requests`.
    pub retries: u64,
    /// Calls rejected by a circuit breaker; also in `errors`.
    pub circuit_open: u64,
    /// Circuits that are not closed.
    pub circuits: Vec<Circuit>,
    /// Fingerprints that are in quarantine now.
    pub in_quarantine: usize,
    /// Workers started in place of ones that died.
    pub restarts: u64,
    /// Starts that failed.
    pub start_failures: u64,
    /// Live workers that were replaced.
    pub recycled: u64,
    /// Replacements of live workers that did not start.
    pub recycle_failures: u64,
    /// Error of the last such replacement. `None` once one has started.
    pub recycle_error: Option<String>,
    /// Signs of life that were not received in time.
    pub heartbeat_misses: u64,
    /// Workers killed because they gave no sign of life, or because of a call that should have
    /// ended.
    pub heartbeat_kills: u64,
    /// Health checks that failed.
    pub health_failures: u64,
    /// Description of the last worker's death.
    pub last_exit: Option<String>,
    /// Error because of which the pool has given up starting workers for now.
    pub start_error: Option<String>,
    /// Mechanism that keeps workers from outliving this process.
    pub containment: Containment,
    /// Time on the worker of successful calls.
    pub service_time: Latency,
    /// Time in the queue of calls that had to wait and got a slot.
    pub queue_time: Latency,
}

/// Tools of abandoned calls by the step that ended them; see [`StopStep`](crate::worker::StopStep).
/// A tool is counted once it has ended; a batch counts as one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Stops {
    /// Ended on its own, or because it saw the flag.
    pub flag: u64,
    /// Ended by cancelling its asyncio task.
    pub task: u64,
    /// Ended by an exception while it ran.
    pub exception: u64,
    /// Ended by an exception in an interrupted wait.
    pub interrupt: u64,
    /// Ended by a second exception.
    pub again: u64,
    /// Ended by killing its worker.
    pub kill: u64,
}

/// State of a pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum PoolState {
    /// Fewer workers are ready than the pool keeps running.
    Starting,
    /// All workers are ready.
    Ready,
    /// No worker is ready and the pool has stopped starting them for a while.
    GaveUp,
    /// The pool is closed or closing.
    Closed,
}

/// Distribution of a time in microseconds, exact to two digits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Latency {
    /// Number of measurements.
    pub count: u64,
    /// Mean.
    pub mean_us: f64,
    /// Median.
    pub p50_us: u64,
    /// 90th percentile.
    pub p90_us: u64,
    /// 99th percentile.
    pub p99_us: u64,
    /// Longest.
    pub max_us: u64,
}

impl Latency {
    fn new(histogram: &Histogram<u64>) -> Self {
        if histogram.is_empty() {
            return Self::default();
        }
        Self {
            count: histogram.len(),
            mean_us: histogram.mean(),
            p50_us: histogram.value_at_quantile(0.5),
            p90_us: histogram.value_at_quantile(0.9),
            p99_us: histogram.value_at_quantile(0.99),
            max_us: histogram.max(),
        }
    }
}

/// State of one worker.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct WorkerStatus {
    /// Name of the pool.
    pub pool: PoolName,
    /// Name of the worker.
    pub id: WorkerId,
    /// State of the worker.
    pub state: WorkerState,
    /// Process id. `None` if it is not a local process.
    pub pid: Option<u32>,
    /// Runtime and its version, for example `cpython 3.11.7`; empty while the worker starts.
    pub runtime: String,
    /// Slots.
    pub slots: usize,
    /// True if an interpreter lock lets only one of its slots run at a time. `None` while the
    /// worker starts, or if it does not report this.
    pub gil_enabled: Option<bool>,
    /// Module whose import has switched that lock on. `None` if the interpreter started with it, or
    /// still runs without it.
    pub gil_reenabled_by: Option<String>,
    /// Taken slots.
    pub in_flight: usize,
    /// Calls that ended.
    pub calls: u64,
    /// Seconds since the worker became ready, or since its start began.
    pub age_seconds: f64,
    /// Reason why it is being replaced, or is due to be.
    pub recycling: Option<RecycleReason>,
    /// Memory of the worker. `None` without a limit, or before the first measurement.
    pub memory: Option<MemoryStatus>,
    /// Its signs of life. `None` while it starts, and without heartbeats.
    pub heartbeat: Option<HeartbeatStatus>,
    /// Results of its health checks. `None` while it starts, and without health checks.
    pub health: Option<HealthStatus>,
}

/// State of a worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum WorkerState {
    /// The worker is not ready yet.
    Starting,
    /// The worker is ready and has no call.
    Idle,
    /// The worker is ready, but gets no calls until it takes the place of another one.
    Spare,
    /// The worker has at least one call.
    Busy,
    /// The worker finishes its calls and ends.
    Draining,
}

impl Shared {
    pub(super) fn status(&self) -> Status {
        let state = self.lock();
        let stats = &state.stats;
        Status {
            pool: self.config.name.clone(),
            state: pool_state(&state),
            workers: state.target,
            ready: state.scheduler.active(),
            starting: state.starting.len(),
            spares: state.spares.len(),
            scaling: state.scaling.as_ref().map(|one| one.seen(Instant::now())),
            slots: state.scheduler.capacity(),
            in_flight: state.scheduler.in_use(),
            queue_depth: state.scheduler.queued(),
            queue_bytes: state.scheduler.queued_bytes(),
            requests: stats.requests,
            succeeded: stats.succeeded,
            errors: stats.errors,
            queued: stats.queued,
            saturated: stats.saturated,
            queue_timeouts: stats.queue_timeouts,
            call_timeouts: stats.call_timeouts,
            cancelled: stats.cancelled,
            stops: stats.stops,
            quarantined: stats.quarantined,
            retries: stats.retries,
            circuit_open: stats.circuit_open,
            circuits: state.breakers.circuits(Instant::now()),
            in_quarantine: state
                .quarantine
                .as_ref()
                .map_or(0, |quarantine| quarantine.convicted(Instant::now())),
            restarts: stats.restarts,
            start_failures: stats.start_failures,
            recycled: stats.recycled,
            recycle_failures: stats.recycle_failures,
            recycle_error: stats.recycle_error.clone(),
            heartbeat_misses: stats.heartbeat_misses,
            heartbeat_kills: stats.heartbeat_kills,
            health_failures: stats.health_failures,
            last_exit: stats.last_exit.clone(),
            start_error: state.gave_up.as_ref().map(ToString::to_string),
            containment: self.profile.containment(),
            service_time: Latency::new(&stats.service),
            queue_time: Latency::new(&stats.waits),
        }
    }

    pub(super) fn queued_by_session(&self) -> Vec<(Option<SessionId>, usize)> {
        let waiting = self.lock().scheduler.queued_sessions(LOOKED_AT);
        let mut counts = HashMap::new();
        for session in waiting {
            *counts.entry(session).or_insert(0) += 1;
        }
        let mut counts: Vec<_> = counts.into_iter().collect();
        counts.sort_unstable_by(|(a, more), (b, less)| less.cmp(more).then_with(|| a.cmp(b)));
        counts
    }

    pub(super) fn worker_status(&self) -> Vec<WorkerStatus> {
        let (state, now) = (self.lock(), Instant::now());
        let age = |since: Instant| now.saturating_duration_since(since).as_secs_f64();
        let ready = state.workers.iter().map(|(key, live)| {
            let info = live.worker.info();
            let gil_reenabled_by = live.worker.gil_reenabled_by();
            let in_flight = usize::from(state.scheduler.in_use_of(key).unwrap_or(0));
            WorkerStatus {
                pool: self.config.name.clone(),
                id: live.id.clone(),
                state: match (live.draining || live.lost, in_flight) {
                    (true, _) => WorkerState::Draining,
                    (false, 0) => WorkerState::Idle,
                    (false, _) => WorkerState::Busy,
                },
                pid: info.pid,
                runtime: format!("{} {}", info.runtime, info.runtime_version),
                slots: usize::from(self.slots),
                gil_enabled: info.gil_enabled.map(|on| on || gil_reenabled_by.is_some()),
                gil_reenabled_by,
                in_flight,
                calls: live.calls,
                age_seconds: age(live.ready),
                recycling: live.recycled.or_else(|| {
                    let quiet = in_flight == 0 && state.scheduler.queued() == 0;
                    live.limits.reason(now, live.calls, quiet)
                }),
                memory: live.limits.memory(now, live.calls),
                heartbeat: self
                    .config
                    .heartbeat
                    .enabled
                    .then(|| live.heartbeat.status(now)),
                health: live
                    .health
                    .as_ref()
                    .map(|health| health.status(&self.config.health, now)),
            }
        });
        let without_calls = |id: &WorkerId, state, since| WorkerStatus {
            pool: self.config.name.clone(),
            id: id.clone(),
            state,
            pid: None,
            runtime: String::new(),
            slots: usize::from(self.slots),
            gil_enabled: None,
            gil_reenabled_by: None,
            in_flight: 0,
            calls: 0,
            age_seconds: age(since),
            recycling: None,
            memory: None,
            heartbeat: None,
            health: None,
        };
        let spares = state.spares.iter().map(|spare| {
            let info = spare.worker.info();
            WorkerStatus {
                pid: info.pid,
                runtime: format!("{} {}", info.runtime, info.runtime_version),
                ..without_calls(&spare.id, WorkerState::Spare, spare.ready)
            }
        });
        let starting = state.starting.iter();
        let starting = starting.map(|(id, since)| without_calls(id, WorkerState::Starting, *since));
        ready.chain(spares).chain(starting).collect()
    }
}

fn pool_state(state: &State) -> PoolState {
    if state.closing {
        PoolState::Closed
    } else if state.gave_up.is_some() && state.scheduler.active() == 0 {
        PoolState::GaveUp
    } else if state.scheduler.active() < state.target {
        PoolState::Starting
    } else {
        PoolState::Ready
    }
}
