//! The end of a process: waiting, cleaning up, and notifying.

use std::os::fd::OwnedFd;
use std::sync::Arc;

use nix::sys::signal::Signal;
use snakepit_core::error::{Death, ExitStatus};
use snakepit_core::worker::WorkerExit;
use snakepit_registry::{Exit, Registration};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::sync::watch;
use tokio_util::task::TaskTracker;

use super::{Cause, Group, LAST_OUTPUT, lock};
use crate::output::Tail;

/// Registers a pidfd, which becomes readable when its process ends.
#[expect(
    deprecated,
    reason = "it is unsound only for types that close their descriptor behind our back"
)]
pub(super) fn watched(pidfd: OwnedFd) -> std::io::Result<AsyncFd<OwnedFd>> {
    AsyncFd::with_interest(pidfd, Interest::READABLE)
}

/// The channels that report the stages of the end.
#[derive(Debug)]
pub(super) struct EndSenders {
    pub(super) ended: watch::Sender<bool>,
    pub(super) exit: watch::Sender<Option<WorkerExit>>,
    pub(super) gone: watch::Sender<bool>,
}

/// Waits for the leader, kills the rest of the group, and reports each stage.
pub(super) async fn watch_child(
    pidfd: AsyncFd<OwnedFd>,
    group: Arc<Group>,
    mut drains: tokio::task::JoinSet<()>,
    tail: Tail,
    senders: EndSenders,
    tasks: TaskTracker,
) {
    let status = {
        let overdue = group.overdue();
        tokio::pin!(overdue);
        loop {
            if let Some(exit) = group.try_wait() {
                break Some(exit);
            }
            tokio::select! {
                biased;
                ready = pidfd.readable() => match ready {
                    Ok(mut guard) => {
                        if let Some(exit) = group.try_wait() {
                            break Some(exit);
                        }
                        guard.clear_ready();
                    }
                    // The runtime is shutting down, with everything that it runs.
                    Err(_) => break Some(Exit::Unknown),
                },
                () = &mut overdue => break None,
            }
        }
    };
    drop(pidfd);
    senders.ended.send_replace(true);
    let mut exit = WorkerExit::default();
    // Before the registration is released, which may remove the control group.
    exit.out_of_memory = group.ran_out_of_memory(status);
    if status.is_some() {
        if let Some(registration) = lock(&group.registration).take() {
            let settled = registration.is_settled();
            let gone = senders.gone.clone();
            // The row is not waited for; if it stays, the next sweep finds no process for it.
            tasks.spawn_blocking(move || {
                registration.settle();
                gone.send_replace(true);
                let released = Arc::into_inner(registration).map(Registration::release);
                if let Some(Err(error)) = released {
                    tracing::debug!(%error, "the record of an ended worker could not be removed");
                }
            });
            if settled {
                senders.gone.send_replace(true);
            }
        }
    } else {
        senders.gone.send_replace(true);
    }
    let drained = async { while drains.join_next().await.is_some() {} };
    let _ = tokio::time::timeout(LAST_OUTPUT, drained).await;
    let cause = lock(&group.cause).clone();
    exit.status = match status {
        Some(Exit::Code(code)) => ExitStatus::Code(code),
        Some(Exit::Signal(signal)) => ExitStatus::Signal(signal),
        Some(Exit::Unknown) | None => ExitStatus::Unknown,
    };
    let status = match status {
        Some(_) if exit.out_of_memory => {
            "killed by the kernel for lack of memory (SIGKILL)".to_owned()
        }
        Some(status) => describe(status),
        None => "was killed but has not ended".to_owned(),
    };
    if let Some(Cause::Fault(fault)) = &cause {
        exit.killed_for = Some(fault.clone());
    }
    exit.expected = matches!(cause, Some(Cause::Stopped));
    // A crash during a planned end is reported as a crash.
    let orderly = Death::of(&exit) == Death::Stopped;
    let why = lock(&group.why).clone().filter(|_| orderly);
    exit.reason = match cause {
        Some(Cause::Fault(fault)) => format!("{fault}, and was killed"),
        Some(Cause::Stopped) if why.is_some() => why.unwrap_or_default(),
        _ => status,
    };
    exit.output = tail.lines();
    senders.exit.send_replace(Some(exit));
}

/// Describes the end of a process in a phrase.
pub(crate) fn describe(exit: Exit) -> String {
    match exit {
        Exit::Code(code) => format!("exited with status {code}"),
        Exit::Signal(signal) => match Signal::try_from(signal) {
            Ok(name) => format!("killed by signal {signal} ({name})"),
            Err(_) => format!("killed by signal {signal}"),
        },
        Exit::Unknown => "its exit status is unknown".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_read_well() {
        assert_eq!(describe(Exit::Code(1)), "exited with status 1");
        assert_eq!(describe(Exit::Signal(11)), "killed by signal 11 (SIGSEGV)");
        assert_eq!(describe(Exit::Signal(64)), "killed by signal 64");
        assert_eq!(describe(Exit::Unknown), "its exit status is unknown");
    }
}
