//! `ProcessProfile`: one Python process, one slot.

use std::num::NonZeroU16;
use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use snakepit_core::{Containment, ErrorCode, StartContext, StartError, Worker, WorkerProfile};
use tokio_util::task::TaskTracker;

use crate::launch::{Recipe, launch};
use crate::rendezvous::Rendezvous;
use crate::run::Run;
use crate::{Interpreter, PythonConfig, bridge, environment};

/// Starts Python processes of one slot each. Cheap to clone.
#[derive(Clone, Debug)]
pub struct ProcessProfile {
    recipe: Arc<Recipe>,
}

impl ProcessProfile {
    /// Finds the interpreter and the worker runtime and opens the socket that workers dial. It
    /// needs a tokio runtime, which must live as long as the workers. They are recorded in a run
    /// of their own in [`PythonConfig::data_dir`].
    ///
    /// # Errors
    /// [`ErrorCode::NoInterpreter`] and [`ErrorCode::NoBridge`] when one of them cannot be found,
    /// [`ErrorCode::InvalidConfig`] when the working directory does not exist,
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
        let tasks = TaskTracker::new();
        let recipe = Recipe {
            config,
            interpreter,
            working_dir,
            environment,
            rendezvous,
            run,
            tasks,
        };
        Ok(Self {
            recipe: Arc::new(recipe),
        })
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
        containment.degraded = run.degraded();
        containment
    }

    async fn start(&self, context: StartContext) -> Result<Arc<dyn Worker>, StartError> {
        let worker = launch(&self.recipe, &context).await?;
        Ok(Arc::new(worker))
    }
}
