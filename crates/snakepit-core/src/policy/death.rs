//! The cause of a worker's end, derived from the known facts.

use crate::WorkerExit;

/// SIGKILL, with which the host kills workers, and SIGTERM, with which it asks them to exit: the
/// same numbers on every Unix.
const HOST_SIGNALS: [i32; 2] = [9, 15];

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
    /// Derives the cause from the facts. If the host was about to end a worker, but the worker
    /// crashed first, the crash is the cause.
    pub fn of(exit: &WorkerExit) -> Self {
        let own = match exit.status {
            ExitStatus::Signal(signal) => Self::Signal(signal),
            ExitStatus::Code(code) => Self::Exited(code),
            ExitStatus::Unknown => Self::Unknown,
        };
        let crashed = matches!(own, Self::Signal(signal) if !HOST_SIGNALS.contains(&signal));
        match &exit.killed_for {
            _ if exit.out_of_memory => Self::OutOfMemory,
            _ if crashed => own,
            Some(fault) => Self::KilledByHost(fault.clone()),
            None if exit.expected => Self::Stopped,
            None => own,
        }
    }

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

    /// Returns true if a call that ran in the worker may be the cause. It is not if the host
    /// stopped the worker.
    pub(crate) fn is_suspicious(exit: &WorkerExit) -> bool {
        Self::of(exit) != Self::Stopped
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exit(status: ExitStatus) -> WorkerExit {
        WorkerExit {
            status,
            ..WorkerExit::default()
        }
    }

    #[test]
    fn a_death_of_its_own_is_told_by_its_status() {
        for signal in [4, 6, 7, 8, 9, 11, 15] {
            assert_eq!(
                Death::of(&exit(ExitStatus::Signal(signal))),
                Death::Signal(signal)
            );
        }
        for code in [0, 1, 137] {
            assert_eq!(
                Death::of(&exit(ExitStatus::Code(code))),
                Death::Exited(code)
            );
        }
        assert_eq!(Death::of(&WorkerExit::default()), Death::Unknown);
    }

    #[test]
    fn a_lack_of_memory_needs_evidence() {
        let mut exit = exit(ExitStatus::Signal(9));
        assert_eq!(Death::of(&exit), Death::Signal(9));
        exit.out_of_memory = true;
        assert_eq!(Death::of(&exit), Death::OutOfMemory);
    }

    #[test]
    fn the_host_is_the_cause_only_of_what_it_did() {
        let mut fault = exit(ExitStatus::Signal(9));
        fault.killed_for = Some("broke the protocol".into());
        assert_eq!(
            Death::of(&fault),
            Death::KilledByHost("broke the protocol".into())
        );
        assert!(Death::is_suspicious(&fault));
        fault.status = ExitStatus::Signal(11);
        assert_eq!(Death::of(&fault), Death::Signal(11));

        for status in [
            ExitStatus::Signal(9),
            ExitStatus::Signal(15),
            ExitStatus::Code(0),
        ] {
            let mut stopped = exit(status);
            stopped.expected = true;
            assert_eq!(Death::of(&stopped), Death::Stopped);
            assert!(!Death::is_suspicious(&stopped));
        }
        let mut crashed = exit(ExitStatus::Signal(6));
        crashed.expected = true;
        assert_eq!(Death::of(&crashed), Death::Signal(6));
        assert!(Death::is_suspicious(&crashed));
    }
}
