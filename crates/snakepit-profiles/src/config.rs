//! What a caller may say about a Python worker.

use std::collections::BTreeMap;
use std::num::NonZeroU16;
use std::path::PathBuf;

use serde::Deserialize;
use snakepit_registry::Containment;

/// How to start Python workers. Everything but the adapter has a default.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PythonConfig {
    /// The adapter: `path/to/tools.py`, `path/to/tools.py:fn`, `package.module`,
    /// `package.module:Class` or `package.module.Class`.
    pub adapter: String,
    /// The interpreter; found as [`Interpreter::find`](crate::Interpreter::find) tells when absent.
    pub interpreter: Option<PathBuf>,
    /// Working directory of the workers; the current one when absent.
    pub working_dir: Option<PathBuf>,
    /// Directories to put in front of Python's module search path.
    pub python_path: Vec<PathBuf>,
    /// Environment variables for the workers. They win over everything else.
    pub env: BTreeMap<String, String>,
    /// Further variables to pass on from this process: names, or prefixes as `PREFIX*`.
    pub inherit_env: Vec<String>,
    /// Threads that numeric libraries may use in each worker for one call (`OMP_NUM_THREADS` and
    /// its like); one by default, so that a worker uses as many cores as it has calls.
    pub threads: usize,
    /// What to do about an adapter that does not say that it is thread-safe, in workers with
    /// several slots.
    pub thread_safety_checks: ThreadSafetyChecks,
    /// Calls that one worker runs at once on one event loop; without it one for each slot. Tools that are not asynchronous run on threads
    /// beside the loop, as many as there are slots.
    pub concurrency: Option<NonZeroU16>,
    /// The event loop of workers with a [`concurrency`](Self::concurrency).
    pub event_loop: EventLoop,
    /// Directory that holds the `snakepit_bridge` package; looked for when absent.
    pub bridge_path: Option<PathBuf>,
    /// Whether workers end when this process does, however it ends; they do by default. Otherwise a
    /// worker goes on with what it does, and later hosts report it and leave it alone. An orderly
    /// shutdown ends it all the same.
    pub dependent: bool,
    /// How what workers start is kept together. [`Containment::Group`] reaches what stays in the
    /// process group, the others all descendants; they cost some memory and start-up time.
    pub containment: Containment,
    /// Directory where the workers are recorded; found as [`Run::open`](crate::Run::open) tells when
    /// absent.
    pub data_dir: Option<PathBuf>,
}

/// Which event loop runs asynchronous tools side by side.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EventLoop {
    /// uvloop where the workers can import it, else that of asyncio.
    #[default]
    Auto,
    /// That of asyncio.
    Asyncio,
    /// uvloop; a worker that cannot import it does not start.
    Uvloop,
}

impl EventLoop {
    /// Its name in the configuration.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Asyncio => "asyncio",
            Self::Uvloop => "uvloop",
        }
    }
}

impl PythonConfig {
    /// Workers with this adapter, everything else at its default.
    pub fn new(adapter: impl Into<String>) -> Self {
        Self {
            adapter: adapter.into(),
            interpreter: None,
            working_dir: None,
            python_path: Vec::new(),
            env: BTreeMap::new(),
            inherit_env: Vec::new(),
            threads: 1,
            thread_safety_checks: ThreadSafetyChecks::default(),
            concurrency: None,
            event_loop: EventLoop::default(),
            bridge_path: None,
            dependent: true,
            containment: Containment::default(),
            data_dir: None,
        }
    }
}

/// What to do about an adapter that several slots share although it does not say
/// `__thread_safe__ = True`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ThreadSafetyChecks {
    /// Its calls run at the same time all the same.
    Off,
    /// It gets one call at a time, and the worker's log says so once.
    #[default]
    Warn,
    /// The same, and a checker is told of every call: what it finds is in the log at once, and its report, with calls, threads, overlaps
    /// and waits for locks, when the worker is shut down. It makes calls dearer.
    Report,
    /// The worker does not start.
    Strict,
}

impl ThreadSafetyChecks {
    /// One word for it: `off`, `warn`, `report` or `strict`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Warn => "warn",
            Self::Report => "report",
            Self::Strict => "strict",
        }
    }
}

impl std::str::FromStr for ThreadSafetyChecks {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let all = [Self::Off, Self::Warn, Self::Report, Self::Strict];
        let found = all.into_iter().find(|checks| checks.name() == text);
        found.ok_or_else(|| {
            format!("must be \"off\", \"warn\", \"report\" or \"strict\", got {text:?}")
        })
    }
}
