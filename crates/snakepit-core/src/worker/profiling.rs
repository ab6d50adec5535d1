//! Profiles of workers: samples of all stacks show where their Python code spends its time.

mod functions;
mod handle;
mod report;
mod tool;
mod written;

use std::time::Duration;

pub use functions::ProfiledFunction;
pub use handle::{ProfileError, ProfileHandle, Profiling};
pub use report::{
    Marks, ProfileReport, ProfiledFrame, ProfiledStack, ProfiledThread, UnprofiledWorker,
};

use crate::id::CallId;

/// Largest number of samples a second.
pub const MAX_HZ: u32 = 1000;

/// A request for a profile. The worker adjusts values that are out of its bounds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Profile {
    /// Samples a second, at most 1000.
    pub hz: u32,
    /// Time after which the sampling ends, at most an hour.
    pub duration: Duration,
    /// The threads that are sampled.
    pub threads: ProfiledThreads,
    /// Distinguishes stacks by their lines, not only by their functions.
    pub lines: bool,
    /// Largest number of distinct stacks that a worker keeps; samples of further stacks are only
    /// counted.
    pub max_stacks: u32,
    /// Number of an [attempt](crate::call::SentCall::attempt). If set, only the thread that runs
    /// this call is sampled, until the call is over.
    pub call: Option<CallId>,
}

impl Default for Profile {
    fn default() -> Self {
        Self {
            hz: 100,
            duration: Duration::from_secs(10),
            threads: ProfiledThreads::All,
            lines: true,
            max_stacks: 65_536,
            call: None,
        }
    }
}

/// A choice of threads to sample.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ProfiledThreads {
    /// All threads that run Python code, including those that wait.
    #[default]
    All,
    /// Threads that hold the GIL.
    Gil,
    /// Threads that use a CPU.
    OnCpu,
}
