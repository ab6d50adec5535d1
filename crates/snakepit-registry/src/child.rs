//! A child of this process: its exit, its group and its death pipe.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid};

use crate::clock::Deadline;
use crate::escalation::Seen;
use crate::pidfd::{PidFd, Scope};
use crate::procfs;

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// It exited with this code.
    Code(i32),
    /// A signal with this number killed it.
    Signal(i32),
    /// It ended, but somebody else took its status (`SIGCHLD` ignored, or a foreign `waitpid`).
    Unknown,
}

/// See the module. The leader is reaped here and nowhere else.
#[derive(Debug)]
pub(crate) struct Child {
    pidfd: PidFd,
    /// Closing it makes the kernel kill the group.
    death: Mutex<Option<OwnedFd>>,
    exit: Mutex<Option<Exit>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Child {
    pub(crate) fn new(pidfd: PidFd, death: Option<OwnedFd>) -> Self {
        Self {
            pidfd,
            death: Mutex::new(death),
            exit: Mutex::new(None),
        }
    }

    pub(crate) fn pid(&self) -> i32 {
        self.pidfd.pid()
    }

    pub(crate) fn pidfd(&self) -> &PidFd {
        &self.pidfd
    }

    /// The exit, if it has happened. What the leader leaves behind in its group is killed before
    /// the leader is reaped, while the group's number is certainly its own.
    pub(crate) fn try_wait(&self) -> Option<Exit> {
        let mut exit = lock(&self.exit);
        if exit.is_some() {
            return *exit;
        }
        let id = || Id::PIDFd(self.pidfd.as_fd());
        let peek = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
        let status = match waitid(id(), peek) {
            Ok(WaitStatus::StillAlive) => return None,
            Ok(_) => {
                // Refused only for members of other users; those are reported by the sweep.
                let _ = self.pidfd.signal(Scope::Group, libc::SIGKILL);
                waitid(id(), WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG)
            }
            Err(Errno::ECHILD) if !self.pidfd.exited() => return None,
            Err(e) => {
                let _ = self.pidfd.signal(Scope::Group, libc::SIGKILL);
                Err(e)
            }
        };
        *exit = Some(match status {
            Ok(WaitStatus::Exited(_, code)) => Exit::Code(code),
            Ok(WaitStatus::Signaled(_, signal, _)) => Exit::Signal(signal as i32),
            _ => Exit::Unknown,
        });
        *exit
    }

    /// Waits for the exit; `None` when the time is over first.
    pub(crate) fn wait(&self, timeout: Duration) -> Option<Exit> {
        let deadline = Deadline::after(timeout);
        loop {
            if let Some(exit) = self.try_wait() {
                return Some(exit);
            }
            if deadline.passed() {
                return None;
            }
            self.pidfd.wait(deadline.left());
        }
    }

    /// SIGTERM to the process alone.
    pub(crate) fn terminate(&self) -> io::Result<()> {
        self.pidfd.signal(Scope::Process, libc::SIGTERM)
    }

    /// SIGKILL to the whole group, without waiting.
    pub(crate) fn kill(&self) {
        // A signal that is refused (another user's process) leaves the death pipe.
        let _ = self.pidfd.signal(Scope::Group, libc::SIGKILL);
        lock(&self.death).take();
    }

    /// What is left of the process and its group.
    pub(crate) fn seen(&self) -> Seen {
        let leader = self.try_wait().is_none();
        Seen {
            leader,
            group: leader || !self.others().is_empty(),
        }
    }

    /// Living members of the group besides the leader.
    pub(crate) fn others(&self) -> Vec<i32> {
        if lock(&self.exit).is_some() && self.pidfd.group_exists() == Some(false) {
            return Vec::new();
        }
        group_members(self.pid())
    }
}

/// Living members of a group besides its leader.
fn group_members(pgid: i32) -> Vec<i32> {
    let living = |pid: &i32| {
        *pid != pgid
            && procfs::stat(*pid)
                .ok()
                .flatten()
                .is_some_and(|stat| stat.pgid == pgid && !matches!(stat.state, 'Z' | 'X'))
    };
    procfs::pids()
        .unwrap_or_default()
        .into_iter()
        .filter(living)
        .collect()
}
