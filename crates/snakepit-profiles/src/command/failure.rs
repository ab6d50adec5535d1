//! One error for each way in which the start of a command fails: what happened, the last output,
//! one thing to do.

use snakepit_core::error::{ErrorCode, StartError};
use snakepit_core::worker::{StartContext, WorkerExit};
use snakepit_grpc::service::ConnectError;
use snakepit_registry::SpawnProblem;

use super::Shared;
use super::ready::Signs;
use crate::child::{NotStarted, Process};
use crate::failure::{common, ended_early, with_output};

/// Parts of output that name a missing library or another known cause, and the remedy.
const HINTS: [(&str, &str); 7] = [
    ("EADDRINUSE", PORT),
    ("ddress already in use", PORT),
    (
        "Cannot find module",
        "install its packages (`npm install`) where the worker runs",
    ),
    (
        "ERR_MODULE_NOT_FOUND",
        "install its packages (`npm install`) where the worker runs",
    ),
    (
        "No module named",
        "install the module for the interpreter that runs the worker",
    ),
    (
        "cannot load such file",
        "install the gem for the interpreter that runs the worker",
    ),
    (
        "command not found",
        "install the command, or add its directory to the PATH of the workers",
    ),
];

const PORT: &str = "let each worker listen on a port of its own (0 takes a free one), or on the \
                    socket that SNAKEPIT_WORKER_SOCKET names";

/// The sources of an error's details.
pub(super) struct Failure<'a> {
    pub(super) shared: &'a Shared,
    pub(super) context: &'a StartContext,
    pub(super) process: &'a Process,
}

/// Returns the error of a process that could not be created.
pub(super) fn not_spawned(shared: &Shared, reason: &NotStarted) -> StartError {
    let program = shared.program.display();
    let problem = match common(&program.to_string(), &shared.working_dir, reason) {
        Ok(problem) => problem,
        Err(error) => return error,
    };
    let message = format!("{program} cannot be started: {problem}");
    let mut start = StartError::new(ErrorCode::StartFailed, message);
    let (help, permanent) = match problem {
        SpawnProblem::NotFound => (
            "the program existed when the pool was created; restore it, or set another one",
            true,
        ),
        SpawnProblem::NotExecutable => ("make the file executable (chmod +x)", true),
        SpawnProblem::BadFormat => (
            "name the program that runs it (`[\"node\", \"worker.js\"]`), or begin a script with \
             `#!` and the path of an interpreter that exists",
            true,
        ),
        _ => ("check the limits on processes and memory", false),
    };
    start.help = Some(help.to_owned());
    start.permanent = permanent;
    start
}

impl Failure<'_> {
    /// Returns the error of a process that ended before it was ready.
    pub(super) fn exited(&self, exit: &WorkerExit) -> StartError {
        let worker = &self.context.worker;
        let message = ended_early(worker, exit);
        let mut error = self.error(ErrorCode::StartFailed, message);
        let hint = HINTS.iter().find(|(part, _)| {
            let mut lines = error.output.iter();
            lines.any(|line| line.contains(part))
        });
        let otherwise = "read its output above; a worker serves until it receives SIGTERM";
        error.help = Some(hint.map_or(otherwise, |(_, help)| help).to_owned());
        error
    }

    /// Returns the error of a worker that gave no sign in time.
    pub(super) fn not_ready(&self, signs: &Signs) -> StartError {
        let worker = &self.context.worker;
        let after = self.context.timeout;
        let expected = signs.expected();
        let message = format!("worker `{worker}` was not ready within {after:?}: {expected}");
        let help =
            "let the worker give one of these signs once it serves, or raise `start_timeout`";
        self.with_help(ErrorCode::StartFailed, message, help)
    }

    /// Returns the error of a worker that serves, but did not describe itself in time.
    pub(super) fn not_described(&self, address: &str) -> StartError {
        let worker = &self.context.worker;
        let after = self.context.timeout;
        let message = format!(
            "worker `{worker}` listens at {address}, but did not answer `Ping` and `Describe` \
             within {after:?}"
        );
        let help = "let the worker answer these requests while it starts, or raise `start_timeout`";
        self.with_help(ErrorCode::StartFailed, message, help)
    }

    /// Returns the error of a sign that cannot be used.
    pub(super) fn bad_sign(&self, reason: &str) -> StartError {
        let worker = &self.context.worker;
        let message = format!("worker `{worker}` {reason}");
        let help = "let the worker announce its address once: a port, or `unix:` and a path";
        self.with_help(ErrorCode::Protocol, message, help)
    }

    /// Returns the error of a worker that has fewer slots than the pool gives it calls.
    pub(super) fn few_slots(&self, slots: u16) -> StartError {
        let worker = &self.context.worker;
        let wanted = self.shared.config.slots;
        let message = format!(
            "worker `{worker}` serves {slots} calls at a time, and the pool has `slots = {wanted}`"
        );
        let help = format!("set `slots = {slots}`, or let the worker read SNAKEPIT_WORKER_SLOTS");
        let mut error = self.with_help(ErrorCode::InvalidConfig, message, &help);
        error.permanent = true;
        error
    }

    /// Returns the error of a worker that cannot be used from the beginning.
    pub(super) fn unusable(&self, reason: ConnectError) -> StartError {
        let worker = &self.context.worker;
        let mut error = match &reason {
            ConnectError::Stranger(what) => {
                let message =
                    format!("worker `{worker}` is not the process at its address: {what}");
                self.with_help(ErrorCode::StartFailed, message, PORT)
            }
            ConnectError::Unreachable { .. } => {
                let message = format!("worker `{worker}` was ready, but {reason}");
                let help = "let the worker announce its readiness after it listens";
                self.with_help(ErrorCode::StartFailed, message, help)
            }
            ConnectError::Refused(tool) => {
                let code = match tool.code {
                    ErrorCode::NoTools => ErrorCode::NoTools,
                    _ => ErrorCode::AdapterFailed,
                };
                let mut error = self.with_help(code, tool.to_string(), &tool.help);
                error.permanent = true;
                error
            }
            ConnectError::Description(tool) => {
                self.with_help(ErrorCode::Protocol, tool.message.clone(), &tool.help)
            }
            _ => {
                let message = format!("worker `{worker}` does not serve the contract: {reason}");
                let help = "let `snakepit conform` check the worker";
                self.with_help(ErrorCode::Protocol, message, help)
            }
        };
        if let ConnectError::Refused(tool) = reason {
            error.tool_error = Some(tool);
        }
        error
    }

    fn with_help(&self, code: ErrorCode, message: String, help: &str) -> StartError {
        let mut error = self.error(code, message);
        error.help = Some(help.to_owned()).filter(|help| !help.is_empty());
        error
    }

    fn error(&self, code: ErrorCode, message: String) -> StartError {
        with_output(self.process, code, message)
    }
}
