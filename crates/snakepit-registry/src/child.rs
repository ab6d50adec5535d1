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

/// Longest time that a shim may take to end its worker's leftovers before they count as left over.
const SHIM_END: Duration = Duration::from_millis(500);

/// The way a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// The process exited with this code.
    Code(i32),
    /// A signal with this number killed the process.
    Signal(i32),
    /// The process ended, but other code took its status (`SIGCHLD` ignored, or a foreign
    /// `waitpid`).
    Unknown,
}

/// A child of this process. Only this type reaps it.
#[derive(Debug)]
pub(crate) struct Child {
    pidfd: PidFd,
    /// The host's end of the death pipe. Closing it makes the kernel kill the group.
    death: Mutex<Option<Kept>>,
    exit: Mutex<Option<Exit>>,
    /// Helpers in their grace period. The leader is not reaped before the period is over.
    helpers: Mutex<Option<Helpers>>,
    /// The shim that is the real parent, if there is one.
    shim: Option<Shim>,
    /// The process that started the child. In a forked copy of that process, all operations are
    /// no-ops.
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

    /// Returns `true` if this process started the child; `false` in a forked copy.
    pub(crate) fn is_ours(&self) -> bool {
        self.owner == std::process::id()
    }

    /// Marks the child as the child of a shim.
    pub(crate) fn below(self, shim: Shim) -> Self {
        let shim = Some(shim);
        Self { shim, ..self }
    }

    pub(crate) fn pid(&self) -> i32 {
        self.pidfd.pid()
    }

    /// Returns a descriptor that becomes readable when the leader has ended.
    pub(crate) fn watch(&self) -> io::Result<OwnedFd> {
        match &self.shim {
            Some(shim) => shim.watch(),
            None => Ok(self.pidfd.try_clone()?.into()),
        }
    }

    /// Returns the exit. `None` if the child has not ended. The rest of its group is killed before
    /// the leader is reaped, while the group's id certainly belongs to it. Python's helpers get a
    /// grace period before that: see [`finished`](Self::finished).
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
                // Refused only for members that belong to other users; the sweep reports those.
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

    /// Waits for the exit. `None` if `timeout` passes first.
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

    /// Waits at most `time` for the end of the leader or, once that has ended, of its shim.
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

    /// Sends SIGTERM to the process alone.
    pub(crate) fn terminate(&self) -> io::Result<()> {
        if !self.is_ours() {
            return Ok(());
        }
        self.pidfd.terminate()
    }

    /// Sends SIGKILL to the whole group.
    fn strike(&self) {
        // Only the process that reaps the leader may use the number of its group.
        let scope = if self.shim.is_some() && !sys::has_group_signal() {
            Scope::Process
        } else {
            Scope::Group
        };
        // If the signal is refused (another user's process), the death pipe remains.
        let _ = self.pidfd.signal(scope, libc::SIGKILL);
    }

    /// Kills the members of the group that are not Python's helpers, the leader first. Returns
    /// `false` if no helper is left; then nothing is killed.
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

    /// Sends SIGKILL to everything in reach without waiting. Python's helpers get a grace period,
    /// which begins when the leader ends, or here.
    pub(crate) fn kill(&self) {
        if !self.is_ours() {
            return;
        }
        // The id of a group whose leader was reaped may belong to another group by now.
        let known = lock(&self.exit).is_none() || !self.is_settled();
        if known && self.spare_helpers() {
            // Closing the death pipe would kill the helpers as well.
            return;
        }
        self.strike();
        match &self.shim {
            // The shim reports the end of the leader, so it must not be killed before that.
            Some(shim) if !shim.kill(lock(&self.exit).is_some()) => {}
            _ => drop(lock(&self.death).take()),
        }
    }

    /// Returns `true` if the shim is gone and no helper is in its grace period. Kills the rest of
    /// the group once that period is over.
    pub(crate) fn finished(&self) -> bool {
        if let Some(shim) = &self.shim {
            return shim.look().gone;
        }
        // `exit` is locked before `helpers`, as everywhere.
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

    /// Returns `true` if no helper is in its grace period.
    pub(crate) fn is_settled(&self) -> bool {
        lock(&self.helpers).is_none()
    }

    /// Waits until the grace period of the helpers is over.
    pub(crate) fn settle(&self) {
        let deadline = Deadline::after(helpers::MOMENT);
        while lock(&self.helpers).is_some() && !self.finished() && !deadline.passed() {
            std::thread::sleep(helpers::LOOK);
        }
    }

    /// Returns `true` if the shim killed descendants after the leader had ended.
    pub(crate) fn killed_by_shim(&self) -> bool {
        self.shim
            .as_ref()
            .is_some_and(|shim| shim.look().killed > 0)
    }

    /// Returns what is left of the process and its group.
    pub(crate) fn seen(&self) -> Seen {
        let leader = self.try_wait().is_none();
        if !leader {
            self.settle();
        }
        if let (Some(shim), false) = (&self.shim, leader) {
            // The shim ends the rest by itself within milliseconds.
            shim.wait(SHIM_END);
        }
        Seen {
            leader,
            group: leader || !self.finished() || !self.others().is_empty(),
        }
    }

    /// Returns the living members of the group without the leader. While a shim lives, its other
    /// descendants are included.
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

/// Returns the living members of a group without its leader.
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
