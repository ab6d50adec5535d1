//! Profiles of applications: `ProfileContext` has what the profiles of this crate have, too.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use snakepit_core::error::{ErrorCode, StartError};
use snakepit_core::host_tools::HostState;
use snakepit_core::worker::{Containment, StartContext, WorkerProfile};
use snakepit_redact::Known;
use snakepit_registry::{CommandSpec, Containment as Mode, Output};
use tokio_util::task::TaskTracker;

use crate::child::Process;
use crate::environment;
use crate::failure::common;
use crate::ground;
use crate::output::Log;
use crate::run::Run;
use crate::worker_dir::WorkerDir;

/// Creates the profile of a pool once its host exists.
#[async_trait]
pub trait ProfileFactory: fmt::Debug + Send + Sync + 'static {
    /// Creates the profile.
    ///
    /// # Errors
    /// The reason why workers can never be started this way.
    async fn make(&self, context: ProfileContext) -> Result<Arc<dyn WorkerProfile>, StartError>;
}

/// The resources of a host for one profile: the run that records workers, the state of sessions and
/// host tools, and the log of the workers' output. Cheap to clone.
#[derive(Clone, Debug)]
pub struct ProfileContext {
    run: Run,
    state: HostState,
    log: Log,
    tasks: TaskTracker,
}

impl ProfileContext {
    /// Collects the resources for one profile. Requires a tokio runtime, which must outlive the
    /// workers.
    ///
    /// # Errors
    /// [`ErrorCode::NoRuntime`] without such a runtime, [`ErrorCode::StartFailed`] if the thread
    /// that logs output cannot be started.
    pub fn new(run: Run, state: HostState) -> Result<Self, StartError> {
        ground::check_runtime()?;
        Ok(Self {
            log: ground::log(&run)?,
            run,
            state,
            tasks: TaskTracker::new(),
        })
    }

    /// Returns the run of the host, which records the workers.
    pub const fn run(&self) -> &Run {
        &self.run
    }

    /// Returns the sessions and host tools of the host.
    pub const fn state(&self) -> &HostState {
        &self.state
    }

    /// Describes what keeps processes with this containment from outliving the host; for
    /// [`WorkerProfile::containment`].
    pub fn containment(&self, mode: Mode) -> Containment {
        ground::containment(&self.run, mode)
    }

    /// Returns the variables that a worker gets from this process: an allow-list, the names and
    /// prefixes in `inherit`, and `own`, which overrides both.
    pub fn environment(
        &self,
        inherit: &[String],
        own: &BTreeMap<String, String>,
    ) -> Vec<(OsString, OsString)> {
        environment::plain(std::env::vars_os(), inherit, own)
            .into_iter()
            .collect()
    }

    /// Creates the private directory of a worker, for example for its socket.
    ///
    /// # Errors
    /// [`ErrorCode::StartFailed`] if it cannot be created.
    pub async fn worker_dir(&self) -> Result<WorkerDir, StartError> {
        WorkerDir::create(&self.run).await
    }

    /// Starts the process of a worker: recorded, contained, watched, and with its output in the
    /// log. Its standard input is the pipe that ends it together with this process, so it must not
    /// read it. It receives the environment of `command` and nothing else; see
    /// [`environment`](Self::environment).
    ///
    /// # Errors
    /// [`ErrorCode::InvalidConfig`] if the working directory does not exist,
    /// [`ErrorCode::StartFailed`] if the process cannot be recorded or started.
    ///
    /// # Cancel safety
    /// Dropping the future kills the process if it was started.
    pub async fn spawn(
        &self,
        mut command: CommandSpec,
        start: &StartContext,
    ) -> Result<Process, StartError> {
        (command.stdout, command.stderr) = (Output::Pipe, Output::Pipe);
        let variables = command.env.iter();
        let variables =
            variables.filter_map(|(name, value)| Some((name.to_str()?, value.to_str()?)));
        let known = Arc::new(Known::of_variables(variables));
        let program = command.program.display().to_string();
        let dir = command.cwd.clone().unwrap_or_else(|| ".".into());
        let output = (&self.log, &known);
        let spawned = Process::spawn(&self.run, command, &start.worker, output, &self.tasks).await;
        spawned.map_err(|reason| match common(&program, &dir, &reason) {
            Ok(problem) => {
                let message = format!("{program} cannot be started: {problem}");
                StartError::new(ErrorCode::StartFailed, message)
            }
            Err(error) => error,
        })
    }
}
