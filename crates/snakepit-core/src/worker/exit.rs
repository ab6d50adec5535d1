//! The exit of a worker, and its cause as far as it is known.

use crate::error::{Death, ExitStatus};

/// SIGKILL, with which the host kills workers, and SIGTERM, with which it asks them to exit: the
/// same numbers on every Unix.
const HOST_SIGNALS: [i32; 2] = [9, 15];

/// The exit of a worker.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct WorkerExit {
    /// One phrase, for example `killed by signal 9 (SIGKILL)`.
    pub reason: String,
    /// The last lines that it wrote to stderr, oldest first.
    pub output: Vec<String>,
    /// The host ended it on purpose.
    pub expected: bool,
    /// Exit status of its process.
    pub status: ExitStatus,
    /// Fault for which the host killed it. `None` if it did not.
    pub killed_for: Option<String>,
    /// There is evidence that the operating system ended it for lack of memory; a SIGKILL is none.
    pub out_of_memory: bool,
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
