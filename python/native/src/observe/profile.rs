//! The profiler: samples the stacks of all Python threads of this process, whatever they do.
//!
//! A native thread reads them from the process's own memory ([`snakepit_walker`]): without the GIL,
//! a signal or a pause, also while C code holds the GIL. Before any stack is trusted, [`check`]
//! compares one with what the interpreter reports.

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
