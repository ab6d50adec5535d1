//! The description of a program to start.

use std::ffi::OsString;
use std::path::PathBuf;

use crate::containment::Containment;

/// The destination of one output stream of a child.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Output {
    /// A pipe whose read end is in [`Spawned`](crate::Spawned). The caller must read from it.
    #[default]
    Pipe,
    /// `/dev/null`.
    Null,
    /// The host's own stream.
    Inherit,
}

/// A program with its arguments and environment.
///
/// The child inherits no environment variable of the host; only `env` is passed on. The registry
/// adds [`COOKIES_VAR`](crate::COOKIES_VAR), [`HOST_PID_VAR`](crate::HOST_PID_VAR) and
/// [`ORIGIN_VAR`](crate::ORIGIN_VAR).
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct CommandSpec {
    /// Absolute path of the program.
    pub program: PathBuf,
    /// Arguments, without the program's name.
    pub args: Vec<OsString>,
    /// The whole environment of the child.
    pub env: Vec<(OsString, OsString)>,
    /// Working directory; the host's by default.
    pub cwd: Option<PathBuf>,
    /// Destination of standard output.
    pub stdout: Output,
    /// Destination of standard error.
    pub stderr: Output,
    /// `true` (the default) if the process dies with its host. Otherwise it keeps running, and
    /// later hosts only report it.
    pub dependent: bool,
    /// `true` if the process starts with SIGTERM, SIGINT and SIGHUP blocked; `false` by default.
    /// Such a signal stays pending until the process unblocks it, usually once its handlers are
    /// installed. Processes that it starts before that also begin with these signals blocked.
    pub hold_signals: bool,
    /// Containment of this process and its descendants. `None` uses the registry's containment. An
    /// independent process cannot be contained.
    pub containment: Option<Containment>,
}

impl CommandSpec {
    /// Creates a spec without arguments and with an empty environment.
    pub fn new(program: impl Into<PathBuf>) -> Self {
        Self {
            program: program.into(),
            args: Vec::new(),
            env: Vec::new(),
            cwd: None,
            stdout: Output::default(),
            stderr: Output::default(),
            dependent: true,
            hold_signals: false,
            containment: None,
        }
    }

    /// Adds an argument.
    #[must_use]
    pub fn arg(mut self, arg: impl Into<OsString>) -> Self {
        self.args.push(arg.into());
        self
    }

    /// Adds an environment variable.
    #[must_use]
    pub fn env(mut self, name: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        self.env.push((name.into(), value.into()));
        self
    }

    /// Sets the containment of the process and its descendants.
    #[must_use]
    pub const fn containment(mut self, mode: Containment) -> Self {
        self.containment = Some(mode);
        self
    }

    /// Sets the destination of both outputs.
    #[must_use]
    pub const fn output(mut self, output: Output) -> Self {
        self.stdout = output;
        self.stderr = output;
        self
    }
}
