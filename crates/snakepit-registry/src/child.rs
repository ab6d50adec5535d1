//! A child of this process: its exit, its group and its death pipe.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::carriers;
use crate::clock::Deadline;
use crate::escalation::Seen;
use crate::helpers::{self, Helpers};
use crate::keeper::Kept;
use crate::pidfd::{PidFd, Scope};
use crate::procfs;
use crate::shim::Shim;
use crate::sys;

/// How long a shim may take to end what its worker has left, before it counts as left.
const SHIM_END: Duration = Duration::from_millis(500);

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
    death: Mutex<Option<Kept>>,
    exit: Mutex<Option<Exit>>,
    /// What is left in the group has its moment. The leader is not reaped before that is over.
    helpers: Mutex<Option<Helpers>>,
    /// The real parent, when that is not this process.
    shim: Option<Shim>,
    /// The process whose child it is; a copy of that process does nothing to it.
    owner: u32,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Child {
    pub(crate) fn new(pidfd: PidFd, death: Option<Kept>) -> Self {
        Self {
            pidfd,
            death: Mutex::new(death),
            exit: Mutex::new(None),
            helpers: Mutex::new(None),
            shim: None,
            owner: std::process::id(),
        }
    }

    /// Whether it is a child of this process, and not of one that this is a copy of.
    pub(crate) fn is_ours(&self) -> bool {
        self.owner == std::process::id()
    }

    /// The child of a shim.
    pub(crate) fn below(self, shim: Shim) -> Self {
        let shim = Some(shim);
        Self { shim, ..self }
    }

    pub(crate) fn pid(&self) -> i32 {
        self.pidfd.pid()
    }

    /// A descriptor that is readable when the leader has ended.
    pub(crate) fn watch(&self) -> io::Result<OwnedFd> {
        match &self.shim {
            Some(shim) => shim.watch(),
            None => Ok(self.pidfd.try_clone()?.into()),
        }
    }

    /// The exit, if it has happened. What the leader leaves behind in its group is killed before
    /// the leader is reaped, while the group's number is certainly its own; helpers of Python get
    /// a moment before that, see [`finished`](Self::finished).
    pub(crate) fn try_wait(&self) -> Option<Exit> {
        let mut exit = lock(&self.exit);
        if exit.is_some() || !self.is_ours() {
            return *exit;
        }
        if let Some(shim) = &self.shim {
            *exit = shim.look().exit;
            if exit.is_some() && !self.spare_helpers() {
                self.strike();
            }
            return *exit;
        }
        let status = match sys::wait_exit(self.pidfd.as_fd(), true) {
            Ok(None) => return None,
            Ok(Some(status)) if self.spare_helpers() => {
                *exit = Some(status);
                return *exit;
            }
            Ok(Some(_)) => {
                // Refused only for members of other users; those are reported by the sweep.
                let _ = self.pidfd.signal(Scope::Group, libc::SIGKILL);
                sys::wait_exit(self.pidfd.as_fd(), false)
            }
            Err(e) if e.raw_os_error() == Some(libc::ECHILD) && !self.pidfd.exited() => {
                return None;
            }
            Err(e) => {
                let _ = self.pidfd.signal(Scope::Group, libc::SIGKILL);
                Err(e)
            }
        };
        *exit = Some(status.ok().flatten().unwrap_or(Exit::Unknown));
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
            self.pause(deadline.left());
        }
    }

    /// Waits for the end of the leader, then of its shim, at most that long.
    pub(crate) fn pause(&self, time: Duration) {
        match &self.shim {
            None => {
                self.pidfd.wait(time);
            }
            Some(shim) if lock(&self.exit).is_none() => shim.wait_note(time),
            Some(shim) => {
                shim.wait(time);
            }
        }
    }

    /// SIGTERM to the process alone.
    pub(crate) fn terminate(&self) -> io::Result<()> {
        if !self.is_ours() {
            return Ok(());
        }
        self.pidfd.terminate()
    }

    /// SIGKILL to the whole group.
    fn strike(&self) {
        // Only who reaps the leader may use the number of its group.
        let scope = if self.shim.is_some() && !sys::has_group_signal() {
            Scope::Process
        } else {
            Scope::Group
        };
        // A signal that is refused (another user's process) leaves the death pipe.
        let _ = self.pidfd.signal(scope, libc::SIGKILL);
    }

    /// Kills what is in the group besides helpers of Python, the leader first. `false` when there
    /// are no helpers, or none any more; then nothing is killed.
    fn spare_helpers(&self) -> bool {
        let mut helpers = lock(&self.helpers);
        if let Some(helpers) = helpers.as_ref() {
            return !helpers.are_done();
        }
        let group = self.pid();
        let belongs = |pid| pgid(pid) == Some(group);
        let mut members = group_members(group);
        members.insert(0, group);
        *helpers = Helpers::among(&members, belongs);
        helpers.is_some()
    }

    /// SIGKILL to all that is in reach, without waiting. Helpers of Python get a moment, which
    /// begins with the end of the leader, or here.
    pub(crate) fn kill(&self) {
        if !self.is_ours() {
            return;
        }
        // The number of a group whose leader was reaped may be another one's by now.
        let known = lock(&self.exit).is_none() || !self.is_settled();
        if known && self.spare_helpers() {
            // Closing the death pipe would be the end of the helpers, too.
            return;
        }
        self.strike();
        match &self.shim {
            // It reports how the leader ended, so it is not killed before.
            Some(shim) if !shim.kill(lock(&self.exit).is_some()) => {}
            _ => drop(lock(&self.death).take()),
        }
    }

    /// Whether nothing of the child's shim is left, and no helper of Python has its moment. Once
    /// that is over, the rest of the group is killed here.
    pub(crate) fn finished(&self) -> bool {
        if let Some(shim) = &self.shim {
            return shim.look().gone;
        }
        // Before the other lock, as everywhere.
        let ended = lock(&self.exit).is_some();
        let mut helpers = lock(&self.helpers);
        match helpers.as_ref() {
            Some(running) if !running.are_done() => false,
            Some(_) if ended => {
                *helpers = None;
                let _ = self.pidfd.signal(Scope::Group, libc::SIGKILL);
                let _ = sys::wait_exit(self.pidfd.as_fd(), false);
                true
            }
            _ => true,
        }
    }

    /// Whether no helper of Python has its moment.
    pub(crate) fn is_settled(&self) -> bool {
        lock(&self.helpers).is_none()
    }

    /// Waits until helpers of Python have had their moment.
    pub(crate) fn settle(&self) {
        let deadline = Deadline::after(helpers::MOMENT);
        while lock(&self.helpers).is_some() && !self.finished() && !deadline.passed() {
            std::thread::sleep(helpers::LOOK);
        }
    }

    /// Whether the shim had to kill something after the leader.
    pub(crate) fn killed_by_shim(&self) -> bool {
        self.shim
            .as_ref()
            .is_some_and(|shim| shim.look().killed > 0)
    }

    /// What is left of the process and its group.
    pub(crate) fn seen(&self) -> Seen {
        let leader = self.try_wait().is_none();
        if !leader {
            self.settle();
        }
        if let (Some(shim), false) = (&self.shim, leader) {
            // It ends the rest by itself, in milliseconds.
            shim.wait(SHIM_END);
        }
        Seen {
            leader,
            group: leader || !self.finished() || !self.others().is_empty(),
        }
    }

    /// Living members of the group besides the leader; below a shim that lives, all others too.
    pub(crate) fn others(&self) -> Vec<i32> {
        let mut others = Vec::new();
        if let Some(shim) = &self.shim
            && !shim.look().gone
        {
            others = carriers::of(shim.cookie());
            others.retain(|&pid| pid != self.pid());
        }
        if lock(&self.exit).is_none() || self.pidfd.group_exists() != Some(false) {
            others.extend(group_members(self.pid()));
            others.sort_unstable();
            others.dedup();
        }
        others
    }
}

fn pgid(pid: i32) -> Option<i32> {
    procfs::stat(pid).ok().flatten().map(|stat| stat.pgid)
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
