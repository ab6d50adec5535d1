//! One worker in a report, and the calls that it has.

use serde::{Deserialize, Serialize};

use super::Death;

/// A worker at one moment.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct WorkerReport {
    /// The worker's id.
    pub id: String,
    /// Process id. `None` while the worker starts, and if it is not a local process.
    pub pid: Option<u32>,
    /// State.
    pub status: WorkerState,
    /// Calls that it can run concurrently.
    pub capacity: usize,
    /// Calls that it is running.
    pub load: usize,
    /// CPU time that its process has used, in seconds. `None` if not measured.
    pub cpu_seconds: Option<f64>,
    /// Memory of its process in bytes. `None` if not measured.
    pub memory_bytes: Option<u64>,
    /// Memory limit in bytes. `None` without a limit.
    pub memory_limit_bytes: Option<u64>,
    /// Estimated seconds until its memory reaches the limit. `None` without a limit or a clear
    /// trend.
    pub memory_limit_in_seconds: Option<f64>,
    /// Calls that have ended.
    pub calls: u64,
    /// Number of workers that had its place before.
    pub generation: u32,
    /// The last death of a worker in its place. `None` if none has died.
    pub last_death: Option<Death>,
    /// Seconds since it became ready; for a starting worker, since its start began.
    pub age_seconds: f64,
    /// Runtime and its version, for example `cpython 3.11.7`.
    pub runtime: String,
    /// True if its interpreter has a GIL, so that one thread runs at a time. `None` if the worker
    /// does not report it.
    pub gil_enabled: Option<bool>,
    /// Seconds for which one thread has held the interpreter. `None` if the interpreter responds.
    pub held_seconds: Option<f64>,
    /// Seconds for which its calls have used no CPU time. `None` if they use some, or if it is
    /// unknown.
    pub flat_seconds: Option<f64>,
    /// Number of consecutive missed heartbeats.
    pub heartbeat_misses: u32,
    /// Error of its health check. `None` if it is healthy or has no checks.
    pub unhealthy: Option<String>,
    /// Reason for which it is being replaced, or is due to be. `None` otherwise.
    pub recycling: Option<String>,
}

/// The state of a worker.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum WorkerState {
    /// Accepts calls and has none.
    Available,
    /// Has at least one call.
    Busy,
    /// Is not ready yet.
    Starting,
    /// Ready, but receives no calls until it replaces another worker.
    Spare,
    /// Receives no further calls and ends after its running ones.
    Draining,
    /// A state that this version does not know.
    #[default]
    #[serde(other)]
    Unknown,
}

impl WorkerState {
    /// Returns the word for the state.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Available => "available",
            Self::Busy => "busy",
            Self::Starting => "starting",
            Self::Spare => "spare",
            Self::Draining => "draining",
            Self::Unknown => "unknown",
        }
    }
}

/// A call that a worker is running.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct CallReport {
    /// Number of the call.
    pub call: u64,
    /// Number of the attempt, by which the worker knows the call.
    pub attempt: u64,
    /// Name of the tool.
    pub tool: String,
    /// The worker's id.
    pub worker: String,
    /// Slot of the worker.
    pub slot: u16,
    /// Seconds since the call was sent to the worker.
    pub age_seconds: f64,
    /// Seconds that the call spent in the queue.
    pub queued_seconds: f64,
    /// Seconds until the deadline; negative after it. `None` if the call has no deadline.
    pub left_seconds: Option<f64>,
    /// Items of a batch; 1 for a call.
    pub items: u64,
    /// Number of times that it was sent.
    pub attempts: u32,
}
