//! What a caller may say about a Python worker.

use std::collections::BTreeMap;
use std::path::PathBuf;

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
    /// Threads that numeric libraries may use in each worker (`OMP_NUM_THREADS` and its like).
    pub threads: usize,
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
            bridge_path: None,
            dependent: true,
            containment: Containment::default(),
            data_dir: None,
        }
    }
}
