//! What to start, and how.

use std::ffi::OsString;
use std::path::PathBuf;

use crate::containment::Containment;

/// Where an output of a child goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Output {
    /// Into a pipe whose read end is in [`Spawned`](crate::Spawned). Somebody has to read it.
    #[default]
    Pipe,
    /// Nowhere.
    Null,
    /// Where the host's own output goes.
    Inherit,
}

/// A program with its arguments and environment.
///
/// Nothing of the host's environment is passed on unless it is named here; the registry adds
/// [`COOKIES_VAR`](crate::COOKIES_VAR), [`HOST_PID_VAR`](crate::HOST_PID_VAR) and
/// [`ORIGIN_VAR`](crate::ORIGIN_VAR).
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct CommandSpec {
    /// Absolute path of the program.
    pub program: PathBuf,
    /// Arguments, without the program's name.
    pub args: Vec<OsString>,
    /// The whole environment.
    pub env: Vec<(OsString, OsString)>,
    /// Working directory; the host's by default.
    pub cwd: Option<PathBuf>,
    /// Where standard output goes.
    pub stdout: Output,
    /// Where standard error goes.
    pub stderr: Output,
    /// Whether the process dies with its host; `true` by default. Otherwise it keeps running
    /// and later hosts only report it.
    pub dependent: bool,
    /// Whether the process begins with SIGTERM, SIGINT and SIGHUP blocked; `false` by default. Such
    /// a signal waits until the process lets it through, which it does once it has handlers. What
    /// the process starts before that begins with them blocked as well.
    pub hold_signals: bool,
    /// How far the registry reaches for what this process starts; by default as far as for
    /// all. An independent process cannot be contained.
    pub containment: Option<Containment>,
}

impl CommandSpec {
    /// A program without arguments and with an empty environment.
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

    /// Sets how far the registry reaches for what this process starts.
    #[must_use]
    pub const fn containment(mut self, mode: Containment) -> Self {
        self.containment = Some(mode);
        self
    }

    /// Sets where both outputs go.
    #[must_use]
    pub const fn output(mut self, output: Output) -> Self {
        self.stdout = output;
        self.stderr = output;
        self
    }
}
