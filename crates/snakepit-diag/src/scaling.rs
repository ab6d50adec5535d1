//! How many workers a machine can have: what each of them takes, what was tried, and what runs out first.
//!
//! The figures are gathered by a program that can start workers; what follows from them is pure.

mod limits;
mod render;
mod usage;
mod verdict;

#[cfg(test)]
mod tests;

use serde::Serialize;

use crate::Machine;
pub use limits::{Limit, Usage, WorkerCost};
pub use render::render_scaling;
pub use verdict::Breakpoint;

/// Figures of a machine, and of what was tried on it.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Scaling {
    /// The machine before anything was started.
    pub machine: Machine,
    /// One worker of each profile.
    pub profiles: Vec<ProfileTrial>,
    /// Many reservations of worker records at the same time.
    pub registry: Option<Contention>,
    /// Processes that were started one after the other.
    pub spawn: Option<Rate>,
    /// Connections to one socket.
    pub connections: Option<Rate>,
    /// What a worker takes.
    pub cost: WorkerCost,
    /// What the machine allows, the scarcest first.
    pub limits: Vec<Limit>,
    /// The stepped start.
    pub steps: Vec<Step>,
}

/// One worker of a profile.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct ProfileTrial {
    /// `process` or `thread`.
    pub profile: String,
    /// Calls that it can run at a time.
    pub slots: usize,
    /// Seconds until it was ready.
    pub start_seconds: f64,
    /// Bytes of its process.
    pub memory_bytes: Option<u64>,
    /// Microseconds that a call of an empty tool took, on average.
    pub call_us: f64,
    /// Whether a GIL lets one of its threads run at a time. `None` if it does not say.
    pub gil_enabled: Option<bool>,
}

/// Reservations that were made at the same time.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Contention {
    /// Reservations that were asked for.
    pub reservations: usize,
    /// Those that were not made.
    pub failed: usize,
    /// The first error.
    pub error: Option<String>,
    /// Seconds for all of them.
    pub seconds: f64,
    /// Seconds of the slowest one.
    pub slowest_seconds: f64,
}

/// Things that were made one after the other.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Rate {
    /// How many were made.
    pub made: usize,
    /// Seconds for all of them.
    pub seconds: f64,
    /// Why there are no more of them. `None` if all that were wanted are there.
    pub error: Option<String>,
}

impl Rate {
    /// How many a second. 0 if none was made.
    pub fn per_second(&self) -> f64 {
        if self.made == 0 || self.seconds <= 0.0 {
            return 0.0;
        }
        self.made as f64 / self.seconds
    }
}

/// A step of the start: the pool grows to so many workers.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Step {
    /// Workers that were wanted.
    pub workers: usize,
    /// Workers that were ready at its end.
    pub ready: usize,
    /// Workers that it started.
    pub started: usize,
    /// Seconds that it took.
    pub seconds: f64,
    /// Calls that were answered at its end, of as many at the same time as there were workers.
    pub answered: usize,
    /// Bytes of all workers.
    pub memory_bytes: Option<u64>,
    /// Descriptors that the host had open.
    pub open_files: Option<u64>,
    /// Why it was not made, or did not reach its end. `None` if it did.
    pub stop: Option<Stop>,
}

/// Why a step was not made, or did not reach its end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
#[non_exhaustive]
pub enum Stop {
    /// It would have exceeded a limit; nothing was started.
    WouldExceed {
        /// Name of the limit.
        limit: String,
    },
    /// A limit was nearly reached while it ran; no further worker was started.
    Exhausted {
        /// Name of the limit.
        limit: String,
    },
    /// A worker did not start.
    Failed {
        /// Why.
        error: String,
    },
    /// It took longer than allowed.
    TooSlow,
}

impl Step {
    /// Whether all of its workers were ready and answered.
    pub const fn reached(&self) -> bool {
        self.stop.is_none() && self.ready >= self.workers && self.answered >= self.workers
    }

    /// Workers that were started in a second.
    pub fn per_second(&self) -> f64 {
        let rate = Rate {
            made: self.started,
            seconds: self.seconds,
            error: None,
        };
        rate.per_second()
    }
}
