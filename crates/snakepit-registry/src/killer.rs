//! Executes the steps of an [`Escalation`] and confirms the death.

use std::time::Duration;

use crate::child::{Child, Exit};
use crate::clock::Deadline;
use crate::escalation::{Escalation, Step};

/// The result of stopping a worker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KillOutcome {
    /// The exit of the worker itself. `None` if it still lives.
    pub exit: Option<Exit>,
    /// `true` if SIGKILL was needed for the worker or for the rest of its group.
    pub killed: bool,
    /// Ids of processes that did not die in time, for example in an uninterruptible wait.
    pub leftover: Vec<i32>,
}

/// Stops a child and its group. Returns when they are gone or `grace + confirm` is over.
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
                // A refused SIGTERM is not reported here; SIGKILL follows and its failure is.
                let _ = child.terminate();
            }
            Step::Kill => child.kill(),
            Step::Wait(time) if seen.leader => {
                child.pause(time);
            }
            // The members of a group without its leader are not our children, so they cannot be
            // waited for.
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
