//! One error for each way in which a start fails: what happened, the last output, one thing to do.

use std::path::Path;

use snakepit_core::error::{ErrorCode, StartError, ToolError};
use snakepit_core::id::WorkerId;
use snakepit_core::worker::{StartContext, WorkerExit};
use snakepit_registry::{Error, SpawnProblem};

use crate::child::{NotStarted, Process};
use crate::launch::Stage;
use crate::recipe::Recipe;
use crate::shadowed::Shadow;

/// Maximum number of lines of output in an error.
const LINES: usize = 40;

/// The sources of an error's details.
pub(crate) struct Failure<'a> {
    pub(crate) recipe: &'a Recipe,
    pub(crate) context: &'a StartContext,
    pub(crate) process: &'a Process,
}

/// Returns the problem of the program itself.
///
/// # Errors
/// The error of a process that could not be created for any other reason.
pub(crate) fn common<'a>(
    program: &str,
    working_dir: &Path,
    reason: &'a NotStarted,
) -> Result<&'a SpawnProblem, StartError> {
    let problem = match reason {
        NotStarted::Registry(Error::Spawn { problem, .. }) => problem,
        NotStarted::Registry(error) => {
            let message = format!("no worker can be recorded ({}): {error}", error.code());
            let mut start = StartError::new(ErrorCode::StartFailed, message);
            start.help = Some(error.help().to_owned());
            return Err(start);
        }
        NotStarted::System(error) => {
            let message = format!("{program} cannot be watched: {error}");
            let mut start = StartError::new(ErrorCode::StartFailed, message);
            start.help = Some("check the limits on open files and memory".to_owned());
            return Err(start);
        }
    };
    if !working_dir.is_dir() || matches!(problem, SpawnProblem::WorkingDir(_)) {
        let dir = working_dir.display();
        let message = format!("the working directory {dir} does not exist");
        let mut error = StartError::new(ErrorCode::InvalidConfig, message);
        error.help = Some("create it, or set another `working_dir`".to_owned());
        error.permanent = true;
        return Err(error);
    }
    Ok(problem)
}

/// Creates an error with the last output of the process, and its exit.
pub(crate) fn with_output(process: &Process, code: ErrorCode, message: String) -> StartError {
    let mut error = StartError::new(code, message);
    let exit = process.exit();
    let output = exit
        .as_ref()
        .map_or_else(|| process.output(), |exit| exit.output.clone());
    let first = output.len().saturating_sub(LINES);
    error.output = output[first..].to_vec();
    error.exit = exit.map(|exit| exit.reason);
    error
}

/// Describes a process that ended before it was ready.
pub(crate) fn ended_early(worker: &WorkerId, exit: &WorkerExit) -> String {
    let phrase = phrase(&exit.reason);
    format!("worker `{worker}` {phrase} before it was ready")
}

/// Returns the error of a process that could not be created.
pub(crate) fn not_spawned(recipe: &Recipe, reason: &NotStarted) -> StartError {
    let executable = recipe.interpreter.executable.display();
    let problem = match common(&executable.to_string(), &recipe.working_dir, reason) {
        Ok(problem) => problem,
        Err(error) => return error,
    };
    let message = format!("{executable} cannot be started: {problem}");
    let gone = matches!(problem, SpawnProblem::NotFound);
    let code = if gone {
        ErrorCode::NoInterpreter
    } else {
        ErrorCode::StartFailed
    };
    let mut start = StartError::new(code, message);
    start.help = Some(if gone {
        "the interpreter existed when the pool started; restore it, or set another one".to_owned()
    } else {
        "check the permissions of the file and the limits on processes and memory".to_owned()
    });
    start.permanent = gone;
    start
}

impl Failure<'_> {
    /// Returns the error of a process that ended before it was ready.
    pub(crate) fn exited(&self, exit: &WorkerExit) -> StartError {
        let message = ended_early(&self.context.worker, exit);
        let mut error = self.error(ErrorCode::StartFailed, message);
        let hint = self.hint(&error.output);
        error.permanent = hint.permanent;
        if hint.code != ErrorCode::StartFailed {
            error.code = hint.code;
        }
        error.help = Some(hint.text.unwrap_or_else(|| {
            if exit.reason.contains("SIGKILL") {
                "it was killed by another process or the kernel; check whether the system is out of memory".to_owned()
            } else {
                "read its output above; the adapter or a library it imports ended the process"
                    .to_owned()
            }
        }));
        error
    }

    /// Returns the error of a process in which Python could not start.
    pub(crate) fn shadowed(&self, shadow: &Shadow) -> StartError {
        let own = shadow.error();
        let mut error = self.error(own.code, own.message);
        error.help = own.help;
        error.permanent = true;
        error
    }

    /// Returns the error of a worker that reported that its adapter cannot be loaded.
    pub(crate) fn refused(&self, tool: Box<ToolError>) -> StartError {
        let code = match tool.code {
            ErrorCode::NoTools => ErrorCode::NoTools,
            ErrorCode::InvalidConfig => ErrorCode::InvalidConfig,
            ErrorCode::NoBridge => ErrorCode::NoBridge,
            _ => ErrorCode::AdapterFailed,
        };
        let mut error = self.error(code, tool.to_string());
        let hint = || {
            self.hint(&[tool.message.clone(), tool.traceback.clone()])
                .text
        };
        let own = Some(tool.help.clone()).filter(|help| !help.is_empty());
        error.help = own.or_else(hint).or_else(|| {
            Some(format!(
                "correct the adapter `{}` and start again",
                self.recipe.config.adapter
            ))
        });
        error.tool_error = Some(tool);
        // The worker gave the reason; the exit of its process adds nothing.
        error.exit = None;
        error.permanent = true;
        error
    }

    /// Returns the error of a start that took too long.
    pub(crate) fn timed_out(&self, stage: Stage) -> StartError {
        let worker = &self.context.worker;
        let after = self.context.timeout;
        let adapter = &self.recipe.config.adapter;
        let trouble = self.recipe.rendezvous.trouble();
        let (what, help) = match (stage, trouble) {
            (Stage::Connecting, Some(trouble)) => (
                format!(
                    "worker `{worker}` did not connect within {after:?}: this program cannot accept \
                     its connection: {}",
                    trouble.error
                ),
                if trouble.no_descriptor {
                    "raise the limit of open files (`ulimit -n`), or have fewer workers".to_owned()
                } else {
                    "remove the cause and try again".to_owned()
                },
            ),
            (Stage::Connecting, None) => (
                format!("worker `{worker}` did not connect within {after:?}"),
                "raise `start_timeout` if the machine is busy, and check what Python runs when \
                 it starts (`sitecustomize`, a slow file system)"
                    .to_owned(),
            ),
            (Stage::Loading, _) => (
                format!("worker `{worker}` did not load `{adapter}` within {after:?}"),
                "raise `start_timeout`, or import and load less at the start of the adapter"
                    .to_owned(),
            ),
        };
        let mut error = self.error(ErrorCode::StartFailed, what);
        error.help = Some(help);
        error
    }

    /// Returns the error of a runtime with another version of the link.
    pub(crate) fn other_version(&self, version: u32) -> StartError {
        let message = format!(
            "`snakepit_bridge` speaks link version {version}, which this program does not support"
        );
        let mut error = self.error(ErrorCode::NoBridge, message);
        error.help = Some("install the `snakepit-bridge` that belongs to this program".to_owned());
        error.permanent = true;
        error
    }

    /// Returns the error of a lost connection whose process still runs.
    pub(crate) fn lost(&self, reason: &str) -> StartError {
        let code = if reason.contains("protocol") {
            ErrorCode::Protocol
        } else {
            ErrorCode::StartFailed
        };
        let worker = &self.context.worker;
        let mut error = self.error(code, format!("worker `{worker}` failed: {reason}"));
        error.help = Some("install the `snakepit-bridge` that belongs to this program".to_owned());
        error
    }

    fn error(&self, code: ErrorCode, message: String) -> StartError {
        with_output(self.process, code, message)
    }

    /// Derives code and help from the output.
    fn hint(&self, output: &[String]) -> Hint {
        let executable = self.recipe.interpreter.executable.display();
        let lines = || output.iter().flat_map(|text| text.lines()).rev();
        let missing = lines().find_map(|line| {
            line.split_once("No module named '")?
                .1
                .split_once('\'')
                .map(|(name, _)| name)
        });
        if let Some(name) = missing {
            if matches!(name, "snakepit_bridge" | "snakepit_bridge._native") {
                return Hint::bridge();
            }
            let text = match name.rsplit_once('.') {
                // Python has found the package, but not the module in it.
                Some((parent, _)) => format!(
                    "correct the name of the module, or install the version of `{parent}` that has it"
                ),
                None => format!(
                    "install what provides `{name}` with `{executable} -m pip install …`, or \
                     choose the interpreter that has it"
                ),
            };
            return Hint {
                code: ErrorCode::StartFailed,
                text: Some(text),
                permanent: true,
            };
        }
        let native = |line: &str| line.contains("ImportError") && line.contains("_native");
        if lines().any(native) {
            return Hint::bridge();
        }
        if let Some(line) = lines().find(|line| line.starts_with("SyntaxError")) {
            let version = self.recipe.interpreter.version_text();
            return Hint {
                code: ErrorCode::StartFailed,
                text: Some(format!(
                    "correct the {line}; the interpreter is Python {version}"
                )),
                permanent: true,
            };
        }
        Hint {
            code: ErrorCode::StartFailed,
            text: None,
            permanent: false,
        }
    }
}

struct Hint {
    code: ErrorCode,
    text: Option<String>,
    permanent: bool,
}

impl Hint {
    fn bridge() -> Self {
        let text = "run `cargo xtask python` in a checkout, or pip install snakepit-bridge";
        Self {
            code: ErrorCode::NoBridge,
            text: Some(text.to_owned()),
            permanent: true,
        }
    }
}

/// Converts an exit reason into a predicate.
fn phrase(reason: &str) -> String {
    if reason.starts_with("killed") {
        format!("was {reason}")
    } else {
        reason.to_owned()
    }
}
