//! The profiler: samples the stacks of all Python threads of this process, whatever they do.
//!
//! A native thread reads them out of the process's own memory ([`snakepit_walker`]): without the
//! GIL, a signal or a pause, also while C code holds the GIL. Before anything is believed,
//! [`check`] compares a stack with what the interpreter says of it.

mod check;
mod cpu;
mod marks;
mod own;
mod parts;
mod sampler;
mod session;
mod stacks;
mod symbols;
mod table;
mod task;
mod titles;

pub(crate) use own::Walker;
pub(crate) use stacks::stacks;
pub(crate) use task::Profiler;
