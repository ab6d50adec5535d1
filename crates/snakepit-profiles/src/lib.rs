//! Starts external workers and controls their lifetimes.
//!
//! [`ProcessProfile`] and [`ThreadProfile`] implement `snakepit_core::worker::WorkerProfile`: each
//! worker is one Python process, with one slot or with several threads. A profile finds the
//! [`Interpreter`] and the worker runtime once, opens a socket in a private directory, and starts
//! processes that connect to it. [`PythonConfig`] holds the settings.
//!
//! A [`ProfileFactory`] creates a profile of an application with the [`ProfileContext`] of its
//! host, which starts recorded and contained [`Process`]es.
//!
//! `CommandProfile` (feature `command`) starts any executable that serves the gRPC `BridgeService`.
//!
//! [`Compatibility`] lists the libraries that several threads of one worker may use, [`Installed`]
//! the versions that an interpreter has, and [`recommend_profile`] draws the conclusion.
//!
//! # Limitations
//! Unix only. Scheduling is in `snakepit-core`.
#![forbid(unsafe_code)]

mod config;

mod ask;
mod bridge;
#[cfg(feature = "command")]
mod command;
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
mod factory;
mod failure;
mod ground;
mod launch;
mod masking;
mod memory;
mod oom;
mod output;
mod recipe;
mod rendezvous;
mod run;
mod shadowed;
mod stacks;
mod telemetry;
mod tree;
mod worker;
mod worker_dir;
mod wrapper;

pub use child::Process;
#[cfg(feature = "command")]
pub use command::{CommandConfig, CommandProfile, CommandRuntime, Readiness};
pub use compatibility::{
    Compatibility, CompatibilityReport, Library, LibraryCheck, Safety, Suitability, Threading,
};
pub use config::{EventLoop, PythonConfig, ThreadSafetyChecks};
pub use factory::{ProfileContext, ProfileFactory};
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
pub use worker_dir::WorkerDir;
