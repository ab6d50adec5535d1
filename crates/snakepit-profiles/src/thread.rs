//! `ThreadProfile`: Python processes with several slots each.

use std::num::NonZeroU16;
use std::sync::Arc;

use async_trait::async_trait;
use snakepit_core::error::{ErrorCode, StartError};
use snakepit_core::host_tools::HostState;
use snakepit_core::worker::{Containment, StartContext, Worker, WorkerProfile};
use snakepit_grpc::link::HostRequests;

use crate::recipe::Python;
use crate::run::Run;
use crate::{Interpreter, PythonConfig};

/// Starts Python processes with several slots each: every slot is a thread, and all share the
/// process's memory and one adapter. Cheap to clone.
///
/// With a GIL the slots take turns; on a free-threaded interpreter they run in parallel. An adapter
/// that does not declare itself thread-safe receives one call at a time.
#[derive(Clone, Debug)]
pub struct ThreadProfile {
    python: Python,
}

impl ThreadProfile {
    /// Maximum number of slots of a worker.
    pub const MAX_THREADS: u16 = 256;

    /// Creates a profile like [`ProcessProfile::new`](crate::ProcessProfile::new), with
    /// `threads_per_worker` slots in each process, 1 to [`MAX_THREADS`](Self::MAX_THREADS).
    ///
    /// # Errors
    /// As [`ProcessProfile::new`](crate::ProcessProfile::new), and `InvalidConfig` for any other
    /// number of threads.
    pub async fn new(config: PythonConfig, threads_per_worker: u16) -> Result<Self, StartError> {
        let python = Python::new(config, slots(threads_per_worker)?, None).await?;
        Ok(Self { python })
    }

    /// Creates a profile like [`new`](Self::new), but records the workers in `run`.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub async fn with_run(
        config: PythonConfig,
        threads_per_worker: u16,
        run: Run,
    ) -> Result<Self, StartError> {
        let python = Python::new(config, slots(threads_per_worker)?, Some(run)).await?;
        Ok(Self { python })
    }

    /// Lets running tools use sessions, variables, programs and host tools of `state`.
    #[must_use]
    pub fn with_state(self, state: HostState) -> Self {
        let python = self.python.with_state(state);
        Self { python }
    }

    /// Lets `host` answer the requests of running tools. Without it the requests are rejected.
    #[must_use]
    pub fn with_host(self, host: Arc<dyn HostRequests>) -> Self {
        let python = self.python.with_host(host);
        Self { python }
    }

    /// Returns the interpreter that runs the workers.
    pub fn interpreter(&self) -> &Interpreter {
        &self.python.recipe.interpreter
    }
}

fn slots(threads: u16) -> Result<NonZeroU16, StartError> {
    let allowed = NonZeroU16::new(threads).filter(|_| threads <= ThreadProfile::MAX_THREADS);
    allowed.ok_or_else(|| {
        let most = ThreadProfile::MAX_THREADS;
        let message = format!("`threads_per_worker` must be between 1 and {most}, got {threads}");
        let mut error = StartError::new(ErrorCode::InvalidConfig, message);
        error.help = Some(format!("set it to a number between 1 and {most}"));
        error.permanent = true;
        error
    })
}

#[async_trait]
impl WorkerProfile for ThreadProfile {
    fn name(&self) -> &'static str {
        "thread"
    }

    fn slots(&self) -> NonZeroU16 {
        self.python.recipe.capacity()
    }

    fn containment(&self) -> Containment {
        self.python.containment()
    }

    fn state(&self) -> Option<HostState> {
        self.python.state.clone()
    }

    async fn start(&self, context: StartContext) -> Result<Arc<dyn Worker>, StartError> {
        self.python.start(&context).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_of_threads_has_its_limits() {
        for wrong in [0, 257, u16::MAX] {
            let error = slots(wrong).expect_err("it is out of range");
            assert_eq!(error.code, ErrorCode::InvalidConfig);
            assert!(error.permanent && error.message.contains(&wrong.to_string()));
        }
        for right in [1, 16, 256] {
            assert_eq!(slots(right).map(NonZeroU16::get).ok(), Some(right));
        }
    }
}
