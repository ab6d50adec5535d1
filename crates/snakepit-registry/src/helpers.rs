//! Helpers of Python: processes that tidy up after the one that started them, a moment after its end.
//!
//! The resource trackers of `multiprocessing` and loky remove shared memory, semaphores and
//! temporary folders of a process that has ended. They see its end as the end of a pipe, which
//! every process has that inherited it. So the others are killed first, and the trackers are given
//! a moment.

use std::fs;
use std::time::Duration;

use crate::clock::Deadline;
use crate::pidfd::{PidFd, Scope};

/// How long helpers may take. They need some milliseconds, unless one has only just been started.
pub(crate) const MOMENT: Duration = Duration::from_secs(2);

/// How often it is looked whether they have ended.
pub(crate) const LOOK: Duration = Duration::from_millis(2);

/// In the command line of each of them.
const TRACKERS: [&str; 2] = ["resource_tracker", "semaphore_tracker"];

/// Helpers that have their moment.
#[derive(Debug)]
pub(crate) struct Helpers {
    running: Vec<PidFd>,
    until: Deadline,
}

impl Helpers {
    /// The helpers among these processes, of which the others are killed; `None` when there are
    /// none, and then nobody is. A process that belongs there no more is left alone.
    pub(crate) fn among(pids: &[i32], belongs: impl Fn(i32) -> bool) -> Option<Self> {
        if !pids.iter().any(|&pid| is_helper(pid)) {
            return None;
        }
        let mut running = Vec::new();
        for &pid in pids {
            // Held before it is looked at, so that the number means this process.
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

    /// All have ended, or have had their moment.
    pub(crate) fn are_done(&self) -> bool {
        self.until.passed() || self.running.iter().all(PidFd::exited)
    }
}

/// Whether a process is one of them.
pub(crate) fn is_helper(pid: i32) -> bool {
    let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let line = String::from_utf8_lossy(&line);
    TRACKERS.iter().any(|name| line.contains(name))
}
