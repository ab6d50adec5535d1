//! `PythonProfile`: which of the profiles of Python workers a pool has.

use std::sync::Arc;

use snakepit_core::{ConfigError, HostState, WorkerProfile};
use snakepit_profiles::Run;

use crate::{ProcessProfile, PythonConfig, StartError, ThreadProfile};

/// How calls and Python processes go together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum PythonProfile {
    /// Each process has one call at a time.
    #[default]
    Process,
    /// Each process has several calls at a time, every one on a thread of its own. They share imports, models and memory; they take turns
    /// where the interpreter has a global lock and run in parallel where it has none. An adapter that does not say that it is thread-safe
    /// gets one call at a time.
    Thread {
        /// Calls at the same time in one process, 1 to 256.
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

    /// Finds out what the workers need, recorded in `run` or in a run of their own.
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
