//! Carries out the steps of an [`Escalation`] and confirms the death.

use std::time::Duration;

use crate::child::{Child, Exit};
use crate::clock::Deadline;
use crate::escalation::{Escalation, Step};

/// How stopping a worker went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KillOutcome {
    /// How the worker itself ended; `None` when it still lives.
    pub exit: Option<Exit>,
    /// Whether SIGKILL was needed for it or for what it left in its group.
    pub killed: bool,
    /// Process ids that did not die in time, for example in an uninterruptible wait.
    pub leftover: Vec<i32>,
}

/// Stops a child and its group; returns when they are gone or `grace + confirm` is over.
pub(crate) fn stop(child: &Child, grace: Duration, confirm: Duration) -> KillOutcome {
    if !child.is_ours() {
        return KillOutcome {
            exit: None,
            killed: false,
            leftover: Vec::new(),
        };
    }
    let clock = Deadline::after(Duration::MAX);
    let mut steps = Escalation::new(grace, confirm);
    loop {
        let seen = child.seen();
        match steps.next(clock.elapsed(), seen) {
            Step::Terminate => {
                // A process that may not be signalled is not dead; SIGKILL follows and reports it.
                let _ = child.terminate();
            }
            Step::Kill => child.kill(),
            Step::Wait(time) if seen.leader => {
                child.pause(time);
            }
            // Members of a group without leader cannot be waited for: they are not our children.
            Step::Wait(time) => std::thread::sleep(time),
            Step::Gone => {
                let exit = child.try_wait();
                return KillOutcome {
                    exit,
                    killed: steps.killed() || child.killed_by_shim(),
                    leftover: Vec::new(),
                };
            }
            Step::Leftover => {
                let exit = child.try_wait();
                let mut leftover = child.others();
                leftover.extend(exit.is_none().then(|| child.pid()));
                return KillOutcome {
                    exit,
                    killed: true,
                    leftover,
                };
            }
        }
    }
}
