//! Start external workers and keep them under control.
//!
//! [`ProcessProfile`] and [`ThreadProfile`] implement `snakepit_core::WorkerProfile`: each worker is
//! one Python process, with one slot or with several threads. They find the [`Interpreter`] and the worker runtime once, open a socket
//! in a private directory, and start processes that dial it. [`PythonConfig`] says how.
//!
//! [`Compatibility`] knows which libraries may be used by several threads of one worker,
//! [`Installed`] which of them an interpreter has, and [`recommend_profile`] draws the conclusion.
//!
//! # Limitations
//! Unix only. The crate does not schedule anything: that is `snakepit-core`.
#![forbid(unsafe_code)]

mod config;

mod ask;
mod bridge;
mod environment;
mod interpreter;
pub mod variables;

mod compatibility;
mod installed;
mod recommend;
mod validate;
mod version;

mod process;
mod thread;

mod child;
mod cpu;
mod explained;
mod failure;
mod launch;
mod memory;
mod oom;
mod output;
mod recipe;
mod redact;
mod rendezvous;
mod run;
mod shadowed;
mod stacks;
mod telemetry;
mod tree;
mod worker;
mod wrapper;

pub use compatibility::{
    Compatibility, CompatibilityReport, Library, LibraryCheck, Safety, Threading, Verdict,
};
pub use config::{EventLoop, PythonConfig, ThreadSafetyChecks};
pub use installed::Installed;
pub use interpreter::Interpreter;
pub use process::ProcessProfile;
pub use recommend::{ProfileKind, Recommendation, UnknownName, Workload, recommend_profile};
pub use run::{Run, default_data_dir};
pub use snakepit_registry as registry;
pub use snakepit_registry::Containment as ContainmentMode;
pub use thread::ThreadProfile;
pub use validate::Validation;
pub use variables::DATA_DIR as DATA_DIR_VAR;
