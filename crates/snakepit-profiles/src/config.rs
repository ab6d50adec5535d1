//! Settings of Python workers.

use std::collections::BTreeMap;
use std::num::NonZeroU16;
use std::path::PathBuf;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use snakepit_registry::Containment;

/// Settings of Python workers. Everything but the adapter has a default.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default = "PythonConfig::without_adapter", deny_unknown_fields)]
#[non_exhaustive]
pub struct PythonConfig {
    /// The adapter: `path/to/tools.py`, `path/to/tools.py:fn`, `package.module`,
    /// `package.module:Class` or `package.module.Class`.
    pub adapter: String,
    /// The interpreter. `None` to search for it as [`Interpreter::find`](crate::Interpreter::find)
    /// does.
    #[serde(rename = "python")]
    pub interpreter: Option<PathBuf>,
    /// Working directory of the workers. `None` for the current one.
    pub working_dir: Option<PathBuf>,
    /// Directories to put in front of Python's module search path.
    pub python_path: Vec<PathBuf>,
    /// Environment variables for the workers. They override all others.
    pub env: BTreeMap<String, String>,
    /// Additional variables to pass on from this process: names, or prefixes as `PREFIX*`.
    pub inherit_env: Vec<String>,
    /// Threads that numeric libraries may use in each worker for one call (`OMP_NUM_THREADS` and
    /// similar). Default: 1, so that a worker uses as many cores as it has calls.
    pub threads: usize,
    /// Treatment of an adapter that does not declare itself thread-safe, in workers with several
    /// slots.
    pub thread_safety_checks: ThreadSafetyChecks,
    /// True if a worker fails to start when a type hint of its adapter is not checked. `None` to
    /// follow the variable `SNAKEPIT_STRICT_HINTS`. Without strict hints, the worker's log names
    /// such hints.
    pub strict_hints: Option<bool>,
    /// Concurrent calls of one worker on one event loop. `None` for one call per slot. Tools that
    /// are not asynchronous run on threads beside the loop, as many as there are slots.
    pub concurrency: Option<NonZeroU16>,
    /// The event loop of workers with a [`concurrency`](Self::concurrency).
    pub event_loop: EventLoop,
    /// Directory that contains the `snakepit_bridge` package. `None` to search for it.
    #[serde(skip)]
    pub bridge_path: Option<PathBuf>,
    /// True if workers end when this process ends, in whatever way (the default). If false, a
    /// worker continues its work, and later hosts report it and leave it alone. An orderly shutdown
    /// ends it in either case.
    pub dependent: bool,
    /// Containment of the processes that workers start. [`Containment::Group`] covers those that
    /// stay in the process group; the other modes cover all descendants, at the cost of some memory
    /// and start-up time.
    #[schemars(schema_with = "containment")]
    pub containment: Containment,
    /// Directory where the workers are recorded. `None` for the one that
    /// [`Run::open`](crate::Run::open) selects.
    #[serde(skip)]
    pub data_dir: Option<PathBuf>,
}

/// The event loop that runs asynchronous tools concurrently.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum EventLoop {
    /// uvloop if the workers can import it, else asyncio's loop.
    #[default]
    Auto,
    /// asyncio's loop.
    Asyncio,
    /// uvloop. A worker that cannot import it does not start.
    Uvloop,
}

impl EventLoop {
    /// Returns its name in the configuration.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Asyncio => "asyncio",
            Self::Uvloop => "uvloop",
        }
    }
}

impl PythonConfig {
    /// Creates settings with this adapter and defaults for everything else.
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
            strict_hints: None,
            concurrency: None,
            event_loop: EventLoop::default(),
            bridge_path: None,
            dependent: true,
            containment: Containment::default(),
            data_dir: None,
        }
    }

    /// The defaults for settings that are read.
    fn without_adapter() -> Self {
        Self::new("")
    }
}

/// The schema of a containment: its names.
pub(crate) fn containment(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "string", "enum": Containment::ALL.map(Containment::name) })
}

/// Treatment of an adapter that several slots share although it does not declare `__thread_safe__ =
/// True`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum ThreadSafetyChecks {
    /// Calls of the adapter run concurrently nevertheless.
    Off,
    /// The adapter receives one call at a time, and the worker logs that once.
    #[default]
    Warn,
    /// As `Warn`, and a checker observes every call. The worker logs its findings at once, and at
    /// shutdown a report with calls, threads, overlaps and waits for locks. Calls become slower.
    Report,
    /// The worker does not start.
    Strict,
}

impl ThreadSafetyChecks {
    /// Returns its name: `off`, `warn`, `report` or `strict`.
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
