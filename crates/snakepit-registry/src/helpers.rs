//! Python's helper processes, which clean up shortly after the process that started them has ended.
//!
//! The resource trackers of `multiprocessing` and loky remove the shared memory, semaphores and
//! temporary folders of a process that has ended. A tracker notices the end when a pipe closes, and
//! every descendant that inherited the pipe keeps it open. So the other processes are killed first,
//! and the trackers get a grace period.

use std::fs;
use std::time::Duration;

use crate::clock::Deadline;
use crate::pidfd::{PidFd, Scope};

/// Grace period of the helpers. They need some milliseconds, unless one was started just before.
pub(crate) const MOMENT: Duration = Duration::from_secs(2);

/// Interval between two checks whether the helpers have ended.
pub(crate) const LOOK: Duration = Duration::from_millis(2);

/// Text that the command line of every helper contains.
const TRACKERS: [&str; 2] = ["resource_tracker", "semaphore_tracker"];

/// The helpers that are in their grace period.
#[derive(Debug)]
pub(crate) struct Helpers {
    running: Vec<PidFd>,
    until: Deadline,
}

impl Helpers {
    /// Finds the helpers among these processes and kills the others. `None` if there are no
    /// helpers; then no process is killed. A process for which `belongs` returns `false` is left
    /// alone.
    pub(crate) fn among(pids: &[i32], belongs: impl Fn(i32) -> bool) -> Option<Self> {
        if !pids.iter().any(|&pid| is_helper(pid)) {
            return None;
        }
        let mut running = Vec::new();
        for &pid in pids {
            // Opened before it is examined, so that the number means this process.
            let Ok(Some(held)) = PidFd::open(pid) else {
                continue;
            };
            if !belongs(pid) {
                continue;
            }
            if is_helper(pid) {
                running.push(held);
            } else {
                // A signal that is refused (another user's process) is left to the caller.
                let _ = held.signal(Scope::Process, libc::SIGKILL);
            }
        }
        Some(Self {
            running,
            until: Deadline::after(MOMENT),
        })
    }

    /// Returns `true` if all helpers have ended or the grace period is over.
    pub(crate) fn are_done(&self) -> bool {
        self.until.passed() || self.running.iter().all(PidFd::exited)
    }
}

/// Returns `true` if a process is a helper.
pub(crate) fn is_helper(pid: i32) -> bool {
    let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let line = String::from_utf8_lossy(&line);
    TRACKERS.iter().any(|name| line.contains(name))
}
