//! The cause of a worker's end, derived from the known facts.

/// The exit status of a worker's process, as the operating system reports it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ExitStatus {
    /// The process exited with this code.
    Code(i32),
    /// The process was ended by the signal of this number.
    Signal(i32),
    /// The status is unknown, or there is no process.
    #[default]
    Unknown,
}

/// The cause of a worker's end.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Death {
    /// A signal that the host had not sent, for example 11 for SIGSEGV. The sender of 9 is unknown:
    /// it is no evidence for a lack of memory.
    Signal(i32),
    /// The worker exited with this code. During a call, even code 0 is a failure.
    Exited(i32),
    /// The operating system killed the worker for lack of memory; there is evidence for that.
    OutOfMemory,
    /// The host killed the worker for this fault.
    KilledByHost(String),
    /// The host stopped the worker: it was not needed any more, or a cancelled call in it did not
    /// end.
    Stopped,
    /// The cause is unknown.
    #[default]
    Unknown,
}

impl Death {
    /// Returns the cause as one word.
    pub(crate) const fn word(&self) -> &'static str {
        match self {
            Self::Signal(_) => "signal",
            Self::Exited(_) => "exited",
            Self::OutOfMemory => "out_of_memory",
            Self::KilledByHost(_) => "killed_by_host",
            Self::Stopped => "stopped",
            Self::Unknown => "unknown",
        }
    }
}
