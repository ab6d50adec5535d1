//! The step that stopped a cancelled call.

use std::time::Duration;

use serde::Serialize;

/// The end of a cancelled call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stopped {
    /// Step that ended it.
    pub step: CancelStep,
    /// Time from the cancellation to the end of the tool.
    pub after: Duration,
}

/// The steps by which the tool of a cancelled call is stopped, in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum CancelStep {
    /// The tool saw that it was cancelled, or ended on its own.
    Flag,
    /// The call's asyncio task was cancelled.
    Task,
    /// An exception was raised in the tool while it ran.
    Exception,
    /// An exception was raised in the tool while it waited in a system call, which was interrupted.
    Interrupt,
    /// A second exception was raised, because it did not end after the first.
    Again,
    /// The worker was killed, because no other step had an effect.
    Kill,
}

impl CancelStep {
    /// Returns the step as one word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Flag => "flag",
            Self::Task => "task",
            Self::Exception => "exception",
            Self::Interrupt => "interrupt",
            Self::Again => "again",
            Self::Kill => "kill",
        }
    }
}
