//! `PythonProfile`: the distribution of calls over Python processes.

use std::sync::Arc;

use snakepit_core::config::ConfigError;
use snakepit_core::host_tools::HostState;
use snakepit_core::worker::WorkerProfile;
use snakepit_profiles::Run;

use crate::{ProcessProfile, PythonConfig, StartError, ThreadProfile};

/// The distribution of calls over Python processes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum PythonProfile {
    /// Each process runs one call at a time.
    #[default]
    Process,
    /// Each process runs several calls concurrently, each on its own thread. The calls share
    /// imports, models and memory. With a GIL they take turns; on a free-threaded interpreter they
    /// run in parallel. An adapter that does not declare itself thread-safe receives one call at a
    /// time.
    Thread {
        /// Concurrent calls in one process, 1 to 256.
        threads_per_worker: u16,
    },
}

impl PythonProfile {
    pub(crate) fn check(self) -> Result<(), ConfigError> {
        let Self::Thread { threads_per_worker } = self else {
            return Ok(());
        };
        let most = ThreadProfile::MAX_THREADS;
        if (1..=most).contains(&threads_per_worker) {
            return Ok(());
        }
        Err(ConfigError::new(
            "threads_per_worker",
            format!("must be between 1 and {most}, got {threads_per_worker}"),
            format!("set `threads_per_worker` to a number between 1 and {most}"),
        ))
    }

    /// Prepares the workers' profile. They are recorded in `run`, or in a run of their own.
    pub(crate) async fn make(
        self,
        python: PythonConfig,
        run: Option<Run>,
        state: HostState,
    ) -> Result<Arc<dyn WorkerProfile>, StartError> {
        Ok(match (self, run) {
            (Self::Process, Some(run)) => {
                let profile = ProcessProfile::with_run(python, run).await?;
                Arc::new(profile.with_state(state))
            }
            (Self::Process, None) => {
                let profile = ProcessProfile::new(python).await?;
                Arc::new(profile.with_state(state))
            }
            (
                Self::Thread {
                    threads_per_worker: threads,
                },
                Some(run),
            ) => {
                let profile = ThreadProfile::with_run(python, threads, run).await?;
                Arc::new(profile.with_state(state))
            }
            (
                Self::Thread {
                    threads_per_worker: threads,
                },
                None,
            ) => {
                let profile = ThreadProfile::new(python, threads).await?;
                Arc::new(profile.with_state(state))
            }
        })
    }
}
