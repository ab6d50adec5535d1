//! The shim: a process of one thread between host and worker, to which everything falls that the
//! worker starts.
//!
//! It is this very program, started again (`entry`). `process` is its main function, `supervise`
//! its life, `worker` the birth of the worker, `descend` and `namespace` its reach. `host` and
//! `guardian` are the other side. Code of the shim runs before `main`, where Rust's runtime has set
//! nothing up yet: it uses the C library, memory and files, and no threads, standard streams,
//! arguments or environment.

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
