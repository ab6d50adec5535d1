//! The shared mode: many calls at once on one connection, which an event loop on the main thread
//! serves.
//!
//! A call of an asynchronous tool is a task of the loop. Other tools would block it, so they run on
//! threads beside it, one call at a time on each. The loop reads the connection for all of them.

mod parts;
mod reading;
mod server;
pub(crate) mod table;
mod tasks;
mod threads;
pub(crate) mod window;

pub(crate) use parts::Parts;
pub(crate) use server::serve;
