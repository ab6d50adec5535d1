//! Reads the Python stacks of a process from its memory, without its cooperation: no GIL, no
//! signal, no pause.
//!
//! The threads continue while they are read, so every word may be any 64 bits: freed, reused, half
//! written. Nothing that is read is dereferenced, all arithmetic is checked, all lengths and chains
//! are bounded, and a stack counts only if two reads of it agree.
//!
//! # Contents
//! - [`Memory`] copies bytes of the process; an address without memory is a failed copy and not a
//!   crash.
//! - [`Layout`] has the offsets of CPython's structures: tables for 3.10 to 3.12, the interpreter's
//!   own `_Py_DebugOffsets` from 3.13 on.
//! - [`threads`] lists the threads, [`StackReader`] reads the stack of one, [`Codes`] names the
//!   functions and lines.
//!
//! # Limitations
//! CPython 3.10 to 3.14 on 64-bit machines; 3.10 to 3.12 on x86-64 only. Before relying on the
//! result, compare it with a known stack: a build with other options may have another layout.
#![forbid(unsafe_code)]

mod chunks;
mod code;
mod debug_offsets;
mod frame;
pub mod fuzzing;
mod layout;
mod lines;
mod memory;
mod stack;
mod steps;
mod tables;
mod text;
mod thread;

pub use code::{Code, Codes};
pub use frame::Frame;
pub use layout::{Layout, Python, Unknown};
pub use memory::{Memory, Piece};
pub use stack::{Outcome, StackReader};
pub use thread::{MAX_THREADS, ThreadState, threads};
