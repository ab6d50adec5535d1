//! `ProcessProfile`: Python processes with one slot each, or with many slots on one event loop and
//! connection.

use std::num::NonZeroU16;
use std::sync::Arc;

use async_trait::async_trait;
use snakepit_core::error::StartError;
use snakepit_core::host_tools::HostState;
use snakepit_core::worker::{Containment, StartContext, Worker, WorkerProfile};
use snakepit_grpc::link::HostRequests;

use crate::recipe::Python;
use crate::run::Run;
use crate::{Interpreter, PythonConfig};

/// Starts Python processes with one slot each, or with [`PythonConfig::concurrency`] slots. Cheap
/// to clone.
#[derive(Clone, Debug)]
pub struct ProcessProfile {
    python: Python,
}

impl ProcessProfile {
    /// Finds the interpreter and the worker runtime and opens the socket to which workers connect.
    /// Requires a tokio runtime, which must outlive the workers. They are recorded in a run of
    /// their own in [`PythonConfig::data_dir`].
    ///
    /// # Errors
    /// [`ErrorCode::NoInterpreter`] and [`ErrorCode::NoBridge`] if one of them cannot be found,
    /// [`ErrorCode::InvalidConfig`] if the working directory does not exist,
    /// [`ErrorCode::NoContainment`] if the containment does not work here,
    /// [`ErrorCode::StartFailed`] if the socket or the data directory cannot be used.
    ///
    /// [`ErrorCode::NoInterpreter`]: snakepit_core::error::ErrorCode::NoInterpreter
    /// [`ErrorCode::NoBridge`]: snakepit_core::error::ErrorCode::NoBridge
    /// [`ErrorCode::InvalidConfig`]: snakepit_core::error::ErrorCode::InvalidConfig
    /// [`ErrorCode::NoContainment`]: snakepit_core::error::ErrorCode::NoContainment
    /// [`ErrorCode::StartFailed`]: snakepit_core::error::ErrorCode::StartFailed
    pub async fn new(config: PythonConfig) -> Result<Self, StartError> {
        let python = Python::new(config, NonZeroU16::MIN, None).await?;
        Ok(Self { python })
    }

    /// Creates a profile like [`new`](Self::new), but records the workers in `run`.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub async fn with_run(config: PythonConfig, run: Run) -> Result<Self, StartError> {
        let python = Python::new(config, NonZeroU16::MIN, Some(run)).await?;
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

#[async_trait]
impl WorkerProfile for ProcessProfile {
    fn name(&self) -> &'static str {
        "process"
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
