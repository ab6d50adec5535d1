//! A scripted worker, controlled by a test and without any process.

mod ahead;
mod chunks;
mod handle;
mod worker;

pub use crate::schedule::{
    Acquire, Added, Grant, Lost, Patience, Released, Rules, Scheduler, SlotRequest, Ticket,
    WorkerKey,
};
pub use handle::{Script, ScriptedProfile};
pub use worker::ScriptedWorker;
