//! The shim: a single-threaded process between host and worker, to which all descendants of the
//! worker are reparented.
//!
//! A shim is the host's own program, started again (`entry`). `process` is its main function,
//! `supervise` its life, `worker` the birth of the worker; `descend` and `namespace` reach the
//! descendants. `host` and `guardian` are the host's side. The shim's code runs before `main`,
//! where Rust's runtime is not initialised: it uses the C library, memory and files, but no
//! threads, standard streams, arguments or environment.

mod descend;
mod entry;
mod guardian;
mod host;
mod namespace;
mod process;
mod supervise;
mod wire;
mod worker;

pub(crate) use guardian::Shim;
pub(crate) use host::{Delivered, Failure, deliver, prepare, probe};
