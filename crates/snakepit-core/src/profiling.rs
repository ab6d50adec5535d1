//! Profiles of workers: where the time of their Python code goes, by samples of all stacks.

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

use crate::CallId;

/// Samples in a second at most.
pub const MAX_HZ: u32 = 1000;

/// A profile to be made: how, and of what. Fields are checked by the worker, which brings them into its bounds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Profile {
    /// Samples in a second, at most 1000.
    pub hz: u32,
    /// Time after which the sampling ends by itself, at most an hour.
    pub duration: Duration,
    /// Which samples count.
    pub threads: ProfiledThreads,
    /// Tells stacks apart by their lines, and not by their functions alone.
    pub lines: bool,
    /// Different stacks that a worker keeps; what finds no room is counted.
    pub max_stacks: u32,
    /// Samples the thread that runs this call alone, until the call is over: the number of its [attempt](crate::SentCall::attempt).
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

/// Which samples count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ProfiledThreads {
    /// All threads that run Python code, also those that wait.
    #[default]
    All,
    /// Those that have the GIL.
    Gil,
    /// Those that use a CPU.
    OnCpu,
}
