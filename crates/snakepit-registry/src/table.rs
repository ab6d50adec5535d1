//! The boundary between decisions and the system: a view of the processes, and signals to them.

use std::io;
use std::time::Duration;

use crate::cookie::Cookie;
use crate::identity::Observation;
use crate::pidfd::{PidFd, Scope};
use crate::procfs;
use crate::run_id::RunId;
use crate::stamp::{self, Stamp};

/// A process that carries cookies or a stamp.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tagged {
    /// Process id.
    pub pid: i32,
    /// The process's cookies, outermost first.
    pub cookies: Vec<Cookie>,
    /// The stamp of the innermost worker that the process descends from.
    pub stamp: Option<Stamp>,
}

impl Tagged {
    /// Returns `true` if the process belongs to a run.
    pub(crate) fn is_in(&self, run: RunId) -> bool {
        let stamped = self.stamp.is_some_and(|stamp| stamp.is_of(run));
        stamped || self.cookies.iter().any(|cookie| cookie.run() == run)
    }

    /// Returns `true` if the process is the worker with this cookie or descends from it.
    pub(crate) fn is_of(&self, cookie: Cookie) -> bool {
        self.cookies.contains(&cookie) || self.stamp == Some(Stamp::of(cookie))
    }
}

/// The processes visible to this one.
pub trait ProcessTable {
    /// Returns the processes that carry cookies or a stamp.
    ///
    /// # Errors
    /// The table cannot be read.
    fn tagged(&self) -> io::Result<Vec<Tagged>>;

    /// Opens a process. `None` if no process has this id.
    ///
    /// # Errors
    /// The system refuses access.
    fn hold(&self, pid: i32) -> io::Result<Option<Box<dyn Held>>>;
}

/// A process that cannot be mistaken for another one while it is held.
pub trait Held: std::fmt::Debug {
    /// Returns the process id.
    fn pid(&self) -> i32;

    /// Observes the process. `None` if it has exited.
    ///
    /// # Errors
    /// The process cannot be examined.
    fn observe(&self) -> io::Result<Option<Observation>>;

    /// Kills the process, or the group that it leads.
    ///
    /// # Errors
    /// The system refuses the signal.
    fn kill(&self, scope: Scope) -> io::Result<()>;

    /// Waits for the exit. `false` if `timeout` passes first.
    fn wait(&self, timeout: Duration) -> bool;
}

/// The processes of this system, read from `/proc`.
#[derive(Clone, Copy, Debug)]
pub struct HostTable;

impl ProcessTable for HostTable {
    fn tagged(&self) -> io::Result<Vec<Tagged>> {
        let tagged = |pid| {
            // The environment of another user's process is unreadable, and a process that has just
            // ended has none.
            let cookies = procfs::cookies(pid).ok().flatten().unwrap_or_default();
            let stamp = stamp::of_process(pid).ok().flatten();
            (!cookies.is_empty() || stamp.is_some()).then_some(Tagged {
                pid,
                cookies,
                stamp,
            })
        };
        Ok(procfs::pids()?.into_iter().filter_map(tagged).collect())
    }

    fn hold(&self, pid: i32) -> io::Result<Option<Box<dyn Held>>> {
        Ok(PidFd::open(pid)?.map(|held| Box::new(held) as Box<dyn Held>))
    }
}

impl Held for PidFd {
    fn pid(&self) -> i32 {
        Self::pid(self)
    }

    fn observe(&self) -> io::Result<Option<Observation>> {
        if self.exited() {
            Ok(None)
        } else {
            Observation::of(self)
        }
    }

    fn kill(&self, scope: Scope) -> io::Result<()> {
        self.signal(scope, libc::SIGKILL)
    }

    fn wait(&self, timeout: Duration) -> bool {
        Self::wait(self, timeout)
    }
}
