//! `ProcessProfile`: one Python process, one slot; with an event loop that runs many calls at once, many slots on one connection.

use std::num::NonZeroU16;
use std::sync::Arc;

use async_trait::async_trait;
use snakepit_core::{Containment, HostState, StartContext, StartError, Worker, WorkerProfile};
use snakepit_grpc::link::HostRequests;

use crate::recipe::Python;
use crate::run::Run;
use crate::{Interpreter, PythonConfig};

/// Starts Python processes of one slot each, or with as many slots as [`PythonConfig::concurrency`] says. Cheap to clone.
#[derive(Clone, Debug)]
pub struct ProcessProfile {
    python: Python,
}

impl ProcessProfile {
    /// Finds the interpreter and the worker runtime and opens the socket that workers dial. It
    /// needs a tokio runtime, which must live as long as the workers. They are recorded in a run
    /// of their own in [`PythonConfig::data_dir`].
    ///
    /// # Errors
    /// [`ErrorCode::NoInterpreter`] and [`ErrorCode::NoBridge`] when one of them cannot be found,
    /// [`ErrorCode::InvalidConfig`] when the working directory does not exist,
    /// [`ErrorCode::NoContainment`] when the containment does not work here,
    /// [`ErrorCode::StartFailed`] when the socket or the data directory cannot be used.
    ///
    /// [`ErrorCode::NoInterpreter`]: snakepit_core::ErrorCode::NoInterpreter
    /// [`ErrorCode::NoBridge`]: snakepit_core::ErrorCode::NoBridge
    /// [`ErrorCode::InvalidConfig`]: snakepit_core::ErrorCode::InvalidConfig
    /// [`ErrorCode::NoContainment`]: snakepit_core::ErrorCode::NoContainment
    /// [`ErrorCode::StartFailed`]: snakepit_core::ErrorCode::StartFailed
    pub async fn new(config: PythonConfig) -> Result<Self, StartError> {
        let python = Python::new(config, NonZeroU16::MIN, None).await?;
        Ok(Self { python })
    }

    /// As [`new`](Self::new), with workers that are recorded in `run`.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub async fn with_run(config: PythonConfig, run: Run) -> Result<Self, StartError> {
        let python = Python::new(config, NonZeroU16::MIN, Some(run)).await?;
        Ok(Self { python })
    }

    /// Lets tools use sessions, variables, programs and host tools of `state` while they run.
    #[must_use]
    pub fn with_state(self, state: HostState) -> Self {
        let python = self.python.with_state(state);
        Self { python }
    }

    /// Lets `host` answer what tools ask while they run; without it they are refused.
    #[must_use]
    pub fn with_host(self, host: Arc<dyn HostRequests>) -> Self {
        let python = self.python.with_host(host);
        Self { python }
    }

    /// The interpreter that runs the workers.
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
