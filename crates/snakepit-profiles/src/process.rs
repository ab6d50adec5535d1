//! `ProcessProfile`: one Python process, one slot.

use std::num::NonZeroU16;
use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use snakepit_core::{
    Containment, ErrorCode, HostState, StartContext, StartError, Worker, WorkerProfile,
};
use snakepit_grpc::bridge::HostBridge;
use snakepit_grpc::link::HostRequests;
use tokio_util::task::TaskTracker;

use crate::launch::{Recipe, launch};
use crate::output::Log;
use crate::rendezvous::Rendezvous;
use crate::run::Run;
use crate::{Interpreter, PythonConfig, bridge, environment};

/// Starts Python processes of one slot each. Cheap to clone.
#[derive(Clone, Debug)]
pub struct ProcessProfile {
    recipe: Arc<Recipe>,
    host: Option<Arc<dyn HostRequests>>,
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
    pub async fn new(config: PythonConfig) -> Result<Self, StartError> {
        let data_dir = config.data_dir.clone();
        let opening = tokio::task::spawn_blocking(move || Run::open(data_dir.as_deref()));
        let run = opening.await.map_err(|_| closing())??;
        Self::with_run(config, run).await
    }

    /// As [`new`](Self::new), with workers that are recorded in `run`.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub async fn with_run(config: PythonConfig, run: Run) -> Result<Self, StartError> {
        let working_dir = working_dir(&config)?;
        check_containment(&config).await?;
        let interpreter =
            Interpreter::find(&run, config.interpreter.as_deref(), &working_dir).await?;
        let bridge = bridge::find(config.bridge_path.as_deref(), &interpreter)?;
        let environment = environment::build(std::env::vars_os(), &config, bridge.as_ref());
        let rendezvous = Rendezvous::open(&run.registry().socket_dir()).map_err(|message| {
            let mut error = StartError::new(ErrorCode::StartFailed, message);
            error.help = Some("set TMPDIR to a short path that can be written to".to_owned());
            error.permanent = true;
            error
        })?;
        let log = Log::start().map_err(|error| {
            let message = format!("no thread can be started: {error}");
            StartError::new(ErrorCode::StartFailed, message)
        })?;
        let tasks = TaskTracker::new();
        let recipe = Recipe {
            config,
            interpreter,
            working_dir,
            environment,
            rendezvous,
            run,
            log,
            tasks,
        };
        Ok(Self {
            recipe: Arc::new(recipe),
            host: None,
        })
    }

    /// Lets tools use sessions, variables, programs and host tools of `state` while they run.
    #[must_use]
    pub fn with_state(self, state: HostState) -> Self {
        self.with_host(Arc::new(HostBridge::new(state)))
    }

    /// Lets `host` answer what tools ask while they run; without it they are refused.
    #[must_use]
    pub fn with_host(mut self, host: Arc<dyn HostRequests>) -> Self {
        self.host = Some(host);
        self
    }

    /// The interpreter that runs the workers.
    pub fn interpreter(&self) -> &Interpreter {
        &self.recipe.interpreter
    }
}

/// The runtime takes no more work.
fn closing() -> StartError {
    StartError::new(ErrorCode::StartFailed, "the host is shutting down")
}

/// A mode that does not work here is refused before anything is started.
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
            "choose another mode; `snakepit doctor` lists those that work",
        )
    })
}

/// The workers' directory, absolute.
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

#[async_trait]
impl WorkerProfile for ProcessProfile {
    fn slots(&self) -> NonZeroU16 {
        NonZeroU16::MIN
    }

    fn containment(&self) -> Containment {
        let run = &self.recipe.run;
        let mut containment = Containment::default();
        containment.tier = Some(run.containment());
        containment.mode = Some(self.recipe.config.containment.name());
        containment.degraded = run.degraded();
        containment
    }

    async fn start(&self, context: StartContext) -> Result<Arc<dyn Worker>, StartError> {
        let worker = launch(&self.recipe, self.host.as_ref(), &context).await?;
        Ok(Arc::new(worker))
    }
}
