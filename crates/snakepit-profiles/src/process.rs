//! `ProcessProfile`: one Python process, one slot.

use std::num::NonZeroU16;
use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use snakepit_core::{ErrorCode, StartContext, StartError, Worker, WorkerProfile};
use tokio_util::task::TaskTracker;

use crate::launch::{Recipe, launch};
use crate::rendezvous::Rendezvous;
use crate::{Interpreter, PythonConfig, bridge, environment};

/// Starts Python processes of one slot each. Cheap to clone.
#[derive(Clone, Debug)]
pub struct ProcessProfile {
    recipe: Arc<Recipe>,
}

impl ProcessProfile {
    /// Finds the interpreter and the worker runtime and opens the socket that workers dial. It
    /// needs a tokio runtime, which must live as long as the workers.
    ///
    /// # Errors
    /// [`ErrorCode::NoInterpreter`] and [`ErrorCode::NoBridge`] when one of them cannot be found,
    /// [`ErrorCode::InvalidConfig`] when the working directory does not exist,
    /// [`ErrorCode::StartFailed`] when the socket cannot be opened.
    pub async fn new(config: PythonConfig) -> Result<Self, StartError> {
        let working_dir = working_dir(&config)?;
        let interpreter = Interpreter::find(config.interpreter.as_deref(), &working_dir).await?;
        let bridge = bridge::find(config.bridge_path.as_deref(), &interpreter)?;
        let environment = environment::build(std::env::vars_os(), &config, bridge.as_ref());
        let rendezvous = Rendezvous::open().map_err(|message| {
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

    async fn start(&self, context: StartContext) -> Result<Arc<dyn Worker>, StartError> {
        let worker = launch(&self.recipe, &context).await?;
        Ok(Arc::new(worker))
    }
}
