//! Snapshots of a pool for people and programs.

use hdrhistogram::Histogram;
use serde::Serialize;

use super::scaling::Scaling;
use crate::id::{PoolName, WorkerId};
use crate::policy::Circuit;
use crate::pool::{HealthStatus, HeartbeatStatus, MemoryStatus, RecycleReason};
use crate::worker::Containment;

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
    pub stops: CancelStats,
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

/// Tools of abandoned calls by the step that ended them; see
/// [`CancelStep`](crate::worker::CancelStep).
/// A tool is counted once it has ended; a batch counts as one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct CancelStats {
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
    pub(super) fn new(histogram: &Histogram<u64>) -> Self {
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
