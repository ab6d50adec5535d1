//! Start external workers and keep them under control.
//!
//! [`ProcessProfile`] implements `snakepit_core::WorkerProfile`: each worker is one Python process
//! with one slot. It finds the [`Interpreter`] and the worker runtime once, opens a socket in a
//! private directory, and starts processes that dial it. [`PythonConfig`] says how.
//!
//! # Limitations
//! Unix only. The crate does not schedule anything: that is `snakepit-core`.
#![forbid(unsafe_code)]

mod config;

mod bridge;
mod environment;
mod interpreter;

mod process;

mod child;
mod explained;
mod failure;
mod launch;
mod memory;
mod output;
mod rendezvous;
mod run;
mod worker;

pub use config::PythonConfig;
pub use interpreter::Interpreter;
pub use process::ProcessProfile;
pub use run::{DATA_DIR_VAR, Run, default_data_dir};
pub use snakepit_registry as registry;
