//! The number of workers that a machine can have: the cost of a worker, the trials, and the limit
//! that is reached first.
//!
//! A program that can start workers gathers the figures; the conclusions are pure functions of
//! them.

mod breakpoint;
mod limits;
mod render;
mod usage;

#[cfg(test)]
mod tests;

use serde::Serialize;

use crate::Machine;
pub use breakpoint::Breakpoint;
pub use limits::{Limit, Usage, WorkerCost};
pub use render::render_scaling;

/// Figures of a machine, and the results of trials on it.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Scaling {
    /// The machine before anything was started.
    pub machine: Machine,
    /// One trial for each profile, with one worker.
    pub profiles: Vec<ProfileTrial>,
    /// Times of concurrent reservations of worker records.
    pub registry: Option<Contention>,
    /// The rate at which processes start one after the other.
    pub spawn: Option<Rate>,
    /// The rate of connections to one socket.
    pub connections: Option<Rate>,
    /// Resources that one worker takes.
    pub cost: WorkerCost,
    /// Limits of the machine, the scarcest first.
    pub limits: Vec<Limit>,
    /// Steps in which the pool grew.
    pub steps: Vec<Step>,
}

/// A trial of one worker of a profile.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct ProfileTrial {
    /// `process` or `thread`.
    pub profile: String,
    /// Calls that it can run concurrently.
    pub slots: usize,
    /// Seconds until it was ready.
    pub start_seconds: f64,
    /// Memory of its process in bytes. `None` if not measured.
    pub memory_bytes: Option<u64>,
    /// Mean time of a call to an empty tool, in microseconds.
    pub call_us: f64,
    /// True if its interpreter has a GIL, so that one thread runs at a time. `None` if the worker
    /// does not report it.
    pub gil_enabled: Option<bool>,
}

/// A trial of concurrent reservations.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Contention {
    /// Number of reservations that were requested.
    pub reservations: usize,
    /// Number of reservations that failed.
    pub failed: usize,
    /// The first error. `None` if none failed.
    pub error: Option<String>,
    /// Seconds for all reservations together.
    pub seconds: f64,
    /// Seconds for the slowest reservation.
    pub slowest_seconds: f64,
}

/// A trial of operations, one after the other.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Rate {
    /// Number of operations.
    pub made: usize,
    /// Seconds for all operations together.
    pub seconds: f64,
    /// The error that ended the trial early. `None` if all were made.
    pub error: Option<String>,
}

impl Rate {
    /// Returns the number made per second. 0 if none was made.
    pub fn per_second(&self) -> f64 {
        if self.made == 0 || self.seconds <= 0.0 {
            return 0.0;
        }
        self.made as f64 / self.seconds
    }
}

/// One step of the trial, in which the pool grows to a number of workers.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Step {
    /// Workers that the step was to reach.
    pub workers: usize,
    /// Workers that were ready at the end.
    pub ready: usize,
    /// Workers that the step started.
    pub started: usize,
    /// Duration in seconds.
    pub seconds: f64,
    /// Number of answered calls at the end, of one concurrent call per worker.
    pub answered: usize,
    /// Memory of all workers in bytes. `None` if not measured.
    pub memory_bytes: Option<u64>,
    /// Descriptors that the host had open.
    pub open_files: Option<u64>,
    /// Reason for which the step was not made or not completed. `None` if it was completed.
    pub stop: Option<Stop>,
}

/// The reason for which a step was not made or not completed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
#[non_exhaustive]
pub enum Stop {
    /// The step would have exceeded a limit; nothing was started.
    WouldExceed {
        /// Name of the limit.
        limit: String,
    },
    /// A limit was nearly reached during the step; no further worker was started.
    Exhausted {
        /// Name of the limit.
        limit: String,
    },
    /// A worker did not start.
    Failed {
        /// The error of its start.
        error: String,
    },
    /// The step took longer than allowed.
    TooSlow,
}

impl Step {
    /// Returns whether all workers were ready and answered.
    pub const fn reached(&self) -> bool {
        self.stop.is_none() && self.ready >= self.workers && self.answered >= self.workers
    }

    /// Returns the number of workers started per second.
    pub fn per_second(&self) -> f64 {
        let rate = Rate {
            made: self.started,
            seconds: self.seconds,
            error: None,
        };
        rate.per_second()
    }
}
