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
use crate::{Interpreter, PythonConfig, bridge};

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
        let working_dir = working_dir(&config)?;
        check_containment(&config).await?;
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
        let no_thread = |error: std::io::Error| {
            let message = format!("no thread can be started: {error}");
            StartError::new(ErrorCode::StartFailed, message)
        };
        let log = Log::start(run.last_lines().clone()).map_err(no_thread)?;
        let telemetry = Telemetry::start(run.last_lines().clone()).map_err(no_thread)?;
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
        check_runtime()?;
        let run = match run {
            Some(run) => run,
            None => {
                let dir = config.data_dir.clone();
                let opening = tokio::task::spawn_blocking(move || Run::open(dir.as_deref()));
                opening.await.map_err(|_| closing())??
            }
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
        let run = &self.recipe.run;
        let mut containment = Containment::default();
        containment.tier = Some(run.containment());
        containment.mode = Some(self.recipe.config.containment.name());
        containment.degraded = run.degraded();
        containment
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

/// Checks for a tokio runtime with timers and I/O, which workers need.
fn check_runtime() -> Result<(), StartError> {
    let refuse = |code, message: String, help: String| {
        let mut error = StartError::new(code, message);
        error.help = Some(help);
        error.permanent = true;
        error
    };
    snakepit_core::runtime::current_runtime()
        .map_err(|error| refuse(error.code, error.to_string(), error.help))?;
    // tokio has no other check: creating a socket panics without an I/O driver.
    let socket = std::panic::catch_unwind(|| drop(tokio::net::UnixDatagram::unbound()));
    socket.map_err(|_| {
        let help = "build the runtime with `enable_all()`".to_owned();
        let message = "the tokio runtime has no I/O".to_owned();
        refuse(ErrorCode::NoRuntime, message, help)
    })
}

/// Returns the error of a runtime that is shutting down.
fn closing() -> StartError {
    StartError::new(ErrorCode::StartFailed, "the host is shutting down")
}

/// Rejects a mode of containment that does not work here, before anything is started.
async fn check_containment(config: &PythonConfig) -> Result<(), StartError> {
    let mode = config.containment;
    if !mode.is_strict() {
        return Ok(());
    }
    let refuse = |reason: String, help: &str| {
        let message = format!("containment `{mode}` does not work: {reason}");
        let mut error = StartError::new(ErrorCode::NoContainment, message);
        error.help = Some(help.to_owned());
        error.permanent = true;
        error
    };
    if !config.dependent {
        return Err(refuse(
            "workers with `dependent = false` outlive what would contain them".to_owned(),
            "leave one of the two settings out",
        ));
    }
    let probed = tokio::task::spawn_blocking(move || mode.probe()).await;
    probed.map_err(|_| closing())?.map_err(|refusal| {
        refuse(
            refusal.to_string(),
            "choose another mode; `Containment::probe` reports whether one works",
        )
    })
}

/// Returns the absolute path of the workers' directory.
fn working_dir(config: &PythonConfig) -> Result<PathBuf, StartError> {
    let dir = config
        .working_dir
        .clone()
        .unwrap_or_else(|| PathBuf::from("."));
    let reason = match dir.canonicalize() {
        Ok(dir) if dir.is_dir() => return Ok(dir),
        Ok(_) => "it is not a directory".to_owned(),
        Err(error) => error.to_string(),
    };
    let message = format!(
        "the working directory {} cannot be used: {reason}",
        dir.display()
    );
    let mut error = StartError::new(ErrorCode::InvalidConfig, message);
    error.help = Some("create it, or set another `working_dir`".to_owned());
    error.permanent = true;
    Err(error)
}
