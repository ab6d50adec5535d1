//! One worker in a report, and the calls that it has.

use serde::{Deserialize, Serialize};

use super::Death;

/// A worker at one moment.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct WorkerReport {
    /// Name.
    pub id: String,
    /// Process id. `None` while it starts, and if it is no local process.
    pub pid: Option<u32>,
    /// What it is doing.
    pub status: WorkerState,
    /// Calls that it can run at a time.
    pub capacity: usize,
    /// Calls that it runs.
    pub load: usize,
    /// Seconds of CPU time that its process has used. `None` if it was not measured.
    pub cpu_seconds: Option<f64>,
    /// Bytes of its process. `None` if it was not measured.
    pub memory_bytes: Option<u64>,
    /// Its own limit in bytes. `None` if it has none.
    pub memory_limit_bytes: Option<u64>,
    /// Seconds until its memory reaches the limit if it grows on. `None` without a limit or a clear growth.
    pub memory_limit_in_seconds: Option<f64>,
    /// Calls that ended.
    pub calls: u64,
    /// Workers that had its place before it.
    pub generation: u32,
    /// The last death of a worker that had its place. `None` if none died.
    pub last_death: Option<Death>,
    /// Seconds since it became ready, or since its start began.
    pub age_seconds: f64,
    /// Runtime and its version, for example `cpython 3.11.7`.
    pub runtime: String,
    /// Whether a GIL lets one of its threads run at a time. `None` if it does not say.
    pub gil_enabled: Option<bool>,
    /// Seconds that one thread has kept the interpreter from all others. `None` if it answers.
    pub held_seconds: Option<f64>,
    /// Seconds for which its calls have used no CPU time. `None` if they use some, or if that cannot be told.
    pub flat_seconds: Option<f64>,
    /// Signs of life that are missing in a row.
    pub heartbeat_misses: u32,
    /// Why its health check fails. `None` if it is healthy, or has no checks.
    pub unhealthy: Option<String>,
    /// Why it is being replaced, or is due to be.
    pub recycling: Option<String>,
}

/// What a worker is doing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum WorkerState {
    /// It takes a call and has none.
    Available,
    /// It has at least one call.
    Busy,
    /// It is not ready yet.
    Starting,
    /// It is ready, and gets no calls until it takes the place of another one.
    Spare,
    /// It finishes its calls and ends.
    Draining,
    /// A state that this version does not know.
    #[default]
    #[serde(other)]
    Unknown,
}

impl WorkerState {
    /// One word for it.
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

/// A call that a worker has.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct CallReport {
    /// Number of the call.
    pub call: u64,
    /// Number that its worker knows it by.
    pub attempt: u64,
    /// Tool.
    pub tool: String,
    /// Worker.
    pub worker: String,
    /// Slot of the worker.
    pub slot: u16,
    /// Seconds since it was sent to its worker.
    pub age_seconds: f64,
    /// Seconds that it had waited.
    pub queued_seconds: f64,
    /// Seconds until its time is up, negative once it is. `None` if it may take as long as it takes.
    pub left_seconds: Option<f64>,
    /// Items of a batch; 1 for a call.
    pub items: u64,
    /// Times that it was sent.
    pub attempts: u32,
}
