//! What stopped a cancelled call.

use std::time::Duration;

use serde::Serialize;

/// How a cancelled call came to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stopped {
    /// What did it.
    pub step: StopStep,
    /// Time from the cancellation to the end of the tool.
    pub after: Duration,
}

/// The steps that are taken one after the other to stop the tool of a cancelled call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum StopStep {
    /// The tool saw that it was cancelled, or came to its end by itself.
    Flag,
    /// Its asyncio task was cancelled.
    Task,
    /// An exception was raised in it while it ran.
    Exception,
    /// The same, while it waited in the system: the wait was interrupted.
    Interrupt,
    /// It did not end after the first exception, and a second one was raised.
    Again,
    /// Nothing helped: its worker was killed.
    Kill,
}

impl StopStep {
    /// One word for it.
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
