//! `CommandProfile`: workers that are any executables which serve the gRPC `BridgeService`.

mod config;
mod ended_sessions;
mod failure;
mod host;
mod launch;
mod listener;
mod program;
mod ready;
mod worker;

use std::num::NonZeroU16;
use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use snakepit_core::error::StartError;
use snakepit_core::host_tools::HostState;
use snakepit_core::worker::{Containment, StartContext, Worker, WorkerProfile};
use tokio_util::task::TaskTracker;

pub use self::config::{CommandConfig, CommandRuntime, Readiness};
use self::ended_sessions::EndedSessions;
use self::host::Door;
use crate::environment::{self, Environment};
use crate::ground;
use crate::output::Log;
use crate::run::Run;

/// Starts executables that serve `BridgeService` of `proto/snakepit_bridge.proto`, in any language;
/// `docs/foreign-workers.md` describes what they must do. Cheap to clone.
#[derive(Clone, Debug)]
pub struct CommandProfile {
    shared: Arc<Shared>,
    /// The state for the workers. `None` for the state of each pool.
    state: Option<HostState>,
}

/// The settings and resources with which workers of one profile are started.
#[derive(Debug)]
struct Shared {
    config: CommandConfig,
    /// The executable, as an absolute path.
    program: PathBuf,
    working_dir: PathBuf,
    environment: Environment,
    run: Run,
    log: Log,
    tasks: TaskTracker,
    door: Door,
    sessions: EndedSessions,
}

impl CommandProfile {
    /// Finds the program. Requires a tokio runtime, which must outlive the workers. They are
    /// recorded in a run of their own in [`CommandConfig::data_dir`].
    ///
    /// # Errors
    /// [`ErrorCode::InvalidConfig`] if the program or the working directory does not exist or
    /// cannot be used, [`ErrorCode::NoContainment`] if the containment does not work here,
    /// [`ErrorCode::DataDir`] if the data directory cannot be used.
    ///
    /// [`ErrorCode::InvalidConfig`]: snakepit_core::error::ErrorCode::InvalidConfig
    /// [`ErrorCode::NoContainment`]: snakepit_core::error::ErrorCode::NoContainment
    /// [`ErrorCode::DataDir`]: snakepit_core::error::ErrorCode::DataDir
    pub async fn new(config: CommandConfig) -> Result<Self, StartError> {
        ground::check_runtime()?;
        let run = ground::open_run(config.data_dir.clone()).await?;
        Self::with_run(config, run).await
    }

    /// Creates a profile like [`new`](Self::new), but records the workers in `run`.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub async fn with_run(config: CommandConfig, run: Run) -> Result<Self, StartError> {
        ground::check_runtime()?;
        let working_dir = ground::working_dir(config.working_dir.as_deref())?;
        ground::check_containment(config.containment, config.dependent).await?;
        let environment = environment::plain(std::env::vars_os(), &config.inherit_env, &config.env);
        let program = program::find(&config.program, &working_dir, &environment)?;
        let log = ground::log(&run)?;
        let shared = Shared {
            program,
            working_dir,
            environment,
            run,
            log,
            tasks: TaskTracker::new(),
            door: Door::default(),
            sessions: EndedSessions::default(),
            config,
        };
        Ok(Self {
            shared: Arc::new(shared),
            state: None,
        })
    }

    /// Lets workers use sessions, variables, programs and host tools of `state`.
    #[must_use]
    pub fn with_state(mut self, state: HostState) -> Self {
        self.state = Some(state);
        self
    }

    /// Returns the absolute path of the program.
    pub fn program(&self) -> &std::path::Path {
        &self.shared.program
    }
}

#[async_trait]
impl WorkerProfile for CommandProfile {
    fn name(&self) -> &'static str {
        "command"
    }

    fn slots(&self) -> NonZeroU16 {
        self.shared.config.slots
    }

    fn containment(&self) -> Containment {
        ground::containment(&self.shared.run, self.shared.config.containment)
    }

    fn state(&self) -> Option<HostState> {
        self.state.clone()
    }

    async fn start(&self, context: StartContext) -> Result<Arc<dyn Worker>, StartError> {
        let state = self.state.as_ref().or(context.state.as_ref());
        let worker = launch::launch(&self.shared, state, &context).await?;
        if let Some(state) = state {
            self.shared.sessions.report(&worker, state);
        }
        Ok(worker)
    }
}
