//! One pool in a report.

use serde::{Deserialize, Serialize};

use super::{CallReport, WorkerReport};

/// A pool at one moment.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct PoolReport {
    /// Name of the pool.
    pub pool: String,
    /// Name of the profile that starts its workers, for example `process`.
    pub profile: String,
    /// `starting`, `ready`, `gave_up` or `closed`.
    pub state: String,
    /// Workers that accept calls.
    pub worker_count: usize,
    /// Workers that the pool is to keep running.
    pub target: usize,
    /// Workers that are starting.
    pub starting: usize,
    /// Spare workers that are ready.
    pub spares: usize,
    /// Slots.
    #[serde(flatten)]
    pub capacity: Capacity,
    /// Calls that wait for a slot.
    pub queue: Queue,
    /// The longest queues of sessions, at most 16.
    pub queue_by_session: Vec<SessionQueue>,
    /// Threads that run calls.
    pub threads: Threads,
    /// Memory of its workers. `None` if none was measured.
    pub memory: Option<Memory>,
    /// Counters since its start.
    pub counters: Counters,
    /// Time that successful calls spent on the worker.
    pub service_time: Times,
    /// Time that calls spent in the queue before they received a slot. Calls that did not have to
    /// wait are left out.
    pub queue_time: Times,
    /// Circuit breakers that are not closed.
    pub open_circuits: usize,
    /// Quarantined calls.
    pub in_quarantine: usize,
    /// The error for which the pool has paused starting workers.
    pub start_error: Option<String>,
    /// Exit of the last worker that died.
    pub last_exit: Option<String>,
    /// Recent deaths of workers, newest first.
    pub deaths: Vec<Death>,
    /// The workers.
    pub workers: Vec<WorkerReport>,
    /// Calls that workers are running, oldest first.
    pub calls: Vec<CallReport>,
}

/// The slots of a pool.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct Capacity {
    /// Slots of the workers that accept calls.
    #[serde(rename = "capacity_total")]
    pub total: usize,
    /// Slots in use.
    #[serde(rename = "capacity_used")]
    pub used: usize,
    /// Free slots.
    #[serde(rename = "capacity_available")]
    pub available: usize,
    /// Slots in use, in percent.
    pub utilization_percent: f64,
}

impl Capacity {
    /// Computes the capacity from the number of slots and the number in use.
    pub fn new(total: usize, used: usize) -> Self {
        let utilization_percent = match total {
            0 => 0.0,
            _ => used.min(total) as f64 * 100.0 / total as f64,
        };
        Self {
            total,
            used,
            available: total.saturating_sub(used),
            utilization_percent,
        }
    }
}

/// The queue of a pool.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct Queue {
    /// Calls that wait for a slot.
    pub depth: usize,
    /// Bytes of their arguments.
    pub bytes: usize,
    /// Maximum number of calls that may wait.
    pub limit: usize,
}

/// The waiting calls of one session.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct SessionQueue {
    /// The session. `None` for calls without one.
    pub session: Option<String>,
    /// Calls that wait.
    pub depth: usize,
}

/// The threads of a pool that run calls.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct Threads {
    /// Workers that accept calls.
    pub workers: usize,
    /// Calls that one worker can run concurrently.
    pub threads_per_worker: usize,
    /// Calls that all workers can run concurrently.
    pub total_threads: usize,
    /// Running calls per worker, on average.
    pub average_load_per_worker: f64,
}

/// Memory of the workers of a pool: of each worker's own process, with its proportional share of
/// shared pages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct Memory {
    /// Workers that were measured.
    pub workers: usize,
    /// Sum in bytes.
    pub total_bytes: u64,
    /// Mean in bytes.
    pub average_bytes: u64,
    /// Largest worker in bytes.
    pub max_bytes: u64,
    /// Smallest worker in bytes.
    pub min_bytes: u64,
}

impl Memory {
    /// Computes the memory of workers of these sizes. `None` if there is no worker.
    pub fn of(sizes: impl IntoIterator<Item = u64>) -> Option<Self> {
        let mut memory = Self {
            min_bytes: u64::MAX,
            ..Self::default()
        };
        for bytes in sizes {
            memory.workers += 1;
            memory.total_bytes = memory.total_bytes.saturating_add(bytes);
            memory.max_bytes = memory.max_bytes.max(bytes);
            memory.min_bytes = memory.min_bytes.min(bytes);
        }
        memory.average_bytes = memory.total_bytes.checked_div(memory.workers as u64)?;
        Some(memory)
    }
}

/// Counters of a pool since its start, as [`Status`](snakepit_core::pool::Status) describes them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[expect(
    missing_docs,
    reason = "the names are those of `Status`, which has the docs"
)]
#[non_exhaustive]
pub struct Counters {
    pub requests: u64,
    pub succeeded: u64,
    pub errors: u64,
    pub queued: u64,
    pub saturated: u64,
    pub queue_timeouts: u64,
    pub call_timeouts: u64,
    pub cancelled: u64,
    pub retries: u64,
    pub quarantined: u64,
    pub circuit_open: u64,
    pub restarts: u64,
    pub start_failures: u64,
    pub recycled: u64,
    pub recycle_failures: u64,
    pub heartbeat_misses: u64,
    pub heartbeat_kills: u64,
    pub health_failures: u64,
}

/// Distribution of a time in microseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct Times {
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
    /// Maximum.
    pub max_us: u64,
}

impl Times {
    /// Returns number and mean of the measurements after `earlier`. `None` if there are none.
    pub fn since(&self, earlier: &Self) -> Option<(u64, f64)> {
        let count = self.count.checked_sub(earlier.count).filter(|it| *it > 0)?;
        let sum = |times: &Self| times.mean_us * times.count as f64;
        Some((count, (sum(self) - sum(earlier)).max(0.0) / count as f64))
    }
}

/// The death of a worker.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct Death {
    /// The worker's id.
    pub worker: String,
    /// Time of the death, in seconds since 1970.
    pub at: f64,
    /// Exit, for example `killed by signal 9 (SIGKILL)`.
    pub exit: String,
    /// Cause, as one word.
    pub cause: String,
    /// Calls that the worker had answered.
    pub calls: u64,
}

impl PoolReport {
    /// Fills in the memory of the workers and of the pool. `measure` returns the bytes of a
    /// process.
    pub fn measure(&mut self, measure: impl Fn(u32) -> Option<u64>) {
        for worker in &mut self.workers {
            worker.memory_bytes = worker.pid.and_then(&measure);
        }
        self.memory = Memory::of(self.workers.iter().filter_map(|worker| worker.memory_bytes));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn capacity_and_memory_are_exact_also_at_their_ends() {
        assert_eq!(Capacity::new(0, 0).utilization_percent, 0.0);
        let full = Capacity::new(8, 9);
        assert_eq!((full.available, full.utilization_percent), (0, 100.0));
        let part = Capacity::new(8, 2);
        assert_eq!((part.available, part.utilization_percent), (6, 25.0));
        assert_eq!(Memory::of([]), None);
        let memory = Memory::of([30, 10, 20]).expect("there are workers");
        let sizes = (memory.average_bytes, memory.max_bytes, memory.min_bytes);
        assert_eq!((memory.total_bytes, sizes), (60, (20, 30, 10)));
        let huge = Memory::of([u64::MAX, u64::MAX]).expect("there are workers");
        assert_eq!(huge.total_bytes, u64::MAX);
    }

    #[test]
    fn later_measurements_have_a_mean_of_their_own() {
        let times = |count, mean_us| Times {
            count,
            mean_us,
            ..Times::default()
        };
        assert_eq!(times(10, 30.0).since(&times(5, 10.0)), Some((5, 50.0)));
        assert_eq!(times(5, 10.0).since(&times(5, 10.0)), None);
        assert_eq!(times(5, 10.0).since(&times(9, 10.0)), None, "another host");
    }

    #[test]
    fn json_has_the_names_that_scripts_know_and_reads_what_it_wrote() {
        let mut pool = PoolReport {
            pool: "main".to_owned(),
            capacity: Capacity::new(4, 1),
            workers: vec![WorkerReport {
                id: "main-1".to_owned(),
                pid: Some(7),
                ..WorkerReport::default()
            }],
            ..PoolReport::default()
        };
        pool.measure(|pid| (pid == 7).then_some(13 << 20));
        let json = serde_json::to_value(&pool).expect("it is plain data");
        for (key, value) in [
            ("capacity_total", 4.0),
            ("capacity_used", 1.0),
            ("capacity_available", 3.0),
            ("utilization_percent", 25.0),
        ] {
            assert_eq!(json[key].as_f64(), Some(value), "{key}");
        }
        assert_eq!(json["memory"]["average_bytes"], 13 << 20);
        assert_eq!(json["workers"][0]["memory_bytes"], 13 << 20);
        let read: PoolReport = serde_json::from_value(json).expect("it was written so");
        assert_eq!(read, pool);
        // Fields that an older host does not send have defaults; unknown ones are ignored.
        let old = serde_json::json!({ "pool": "main", "colour": "green" });
        let read: PoolReport = serde_json::from_value(old).expect("fields are optional");
        assert_eq!(read.pool, "main");
    }
}
