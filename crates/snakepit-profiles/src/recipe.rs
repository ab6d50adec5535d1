//! The common part of all workers of a profile, prepared once.

use std::num::NonZeroU16;
use std::path::PathBuf;
use std::sync::Arc;

use snakepit_core::error::{ErrorCode, StartError};
use snakepit_core::host_tools::HostState;
use snakepit_core::worker::{Containment, StartContext, Worker};
use snakepit_grpc::bridge::HostBridge;
use snakepit_grpc::link::HostRequests;
use snakepit_redact::Known;
use tokio_util::task::TaskTracker;

use crate::environment::{self, Environment};
use crate::launch::launch;
use crate::output::Log;
use crate::rendezvous::Rendezvous;
use crate::run::Run;
use crate::telemetry::Telemetry;
use crate::{Interpreter, PythonConfig, bridge, ground};

/// The settings and resources with which workers of one profile are started.
#[derive(Debug)]
pub(crate) struct Recipe {
    pub(crate) config: PythonConfig,
    /// Slots of each worker.
    pub(crate) slots: NonZeroU16,
    pub(crate) interpreter: Interpreter,
    pub(crate) working_dir: PathBuf,
    pub(crate) environment: Environment,
    /// The values in it that are known to be secret.
    pub(crate) secrets: Arc<Known>,
    pub(crate) rendezvous: Rendezvous,
    pub(crate) run: Run,
    pub(crate) log: Log,
    pub(crate) telemetry: Telemetry,
    pub(crate) tasks: TaskTracker,
}

impl Recipe {
    /// Finds the interpreter and the worker runtime, and opens the socket to which workers connect.
    pub(crate) async fn prepare(
        config: PythonConfig,
        slots: NonZeroU16,
        run: Run,
    ) -> Result<Self, StartError> {
        let working_dir = ground::working_dir(config.working_dir.as_deref())?;
        ground::check_containment(config.containment, config.dependent).await?;
        let interpreter =
            Interpreter::find(&run, config.interpreter.as_deref(), &working_dir).await?;
        let bridge = bridge::find(config.bridge_path.as_deref(), &interpreter)?.dir;
        let environment = environment::build(std::env::vars_os(), &config, bridge.as_ref());
        environment::warn_of_ignored(&environment);
        let secrets = Arc::new(environment::secrets(&environment));
        let rendezvous = Rendezvous::open(&run.registry().socket_dir()).map_err(|message| {
            let mut error = StartError::new(ErrorCode::StartFailed, message);
            error.help = Some("set TMPDIR to a short, writable path".to_owned());
            error.permanent = true;
            error
        })?;
        let log = ground::log(&run)?;
        let telemetry = Telemetry::start(run.last_lines().clone()).map_err(ground::no_thread)?;
        Ok(Self {
            config,
            slots,
            interpreter,
            working_dir,
            environment,
            secrets,
            rendezvous,
            run,
            log,
            telemetry,
            tasks: TaskTracker::new(),
        })
    }
}

impl Recipe {
    /// Returns the number of concurrent calls of one worker.
    pub(crate) fn capacity(&self) -> NonZeroU16 {
        self.config.concurrency.unwrap_or(self.slots)
    }

    /// Returns the number of connections for calls: one for each slot, or one that all calls share.
    pub(crate) fn connections(&self) -> NonZeroU16 {
        self.config
            .concurrency
            .map_or(self.slots, |_| NonZeroU16::MIN)
    }
}

/// The implementation of the profiles of Python workers. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Python {
    pub(crate) recipe: Arc<Recipe>,
    host: Option<Arc<dyn HostRequests>>,
    /// The state from which `host` answers. `None` if `host` is not the state of a host.
    pub(crate) state: Option<HostState>,
}

impl Python {
    /// Prepares workers that are recorded in `run`, or in a run of their own.
    pub(crate) async fn new(
        config: PythonConfig,
        slots: NonZeroU16,
        run: Option<Run>,
    ) -> Result<Self, StartError> {
        ground::check_runtime()?;
        let run = match run {
            Some(run) => run,
            None => ground::open_run(config.data_dir.clone()).await?,
        };
        let recipe = Recipe::prepare(config, slots, run).await?;
        Ok(Self {
            recipe: Arc::new(recipe),
            host: None,
            state: None,
        })
    }

    pub(crate) fn with_state(self, state: HostState) -> Self {
        let mut python = self.with_host(Arc::new(HostBridge::new(state.clone())));
        python.state = Some(state);
        python
    }

    pub(crate) fn with_host(mut self, host: Arc<dyn HostRequests>) -> Self {
        self.host = Some(host);
        self.state = None;
        self
    }

    pub(crate) fn containment(&self) -> Containment {
        ground::containment(&self.recipe.run, self.recipe.config.containment)
    }

    pub(crate) async fn start(
        &self,
        context: &StartContext,
    ) -> Result<Arc<dyn Worker>, StartError> {
        let host = self.host.clone().or_else(|| {
            let state = context.state.clone()?;
            Some(Arc::new(HostBridge::new(state)) as Arc<dyn HostRequests>)
        });
        let worker = launch(&self.recipe, host.as_ref(), context).await?;
        Ok(Arc::new(worker))
    }
}
