//! The seam between decisions and the system: what processes there are, and signals to them.

use std::io;
use std::time::Duration;

use crate::cookie::Cookie;
use crate::identity::Observation;
use crate::pidfd::{PidFd, Scope};
use crate::procfs;
use crate::stamp::{self, Stamp};

/// A process that carries cookies or a stamp.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tagged {
    /// Process id.
    pub pid: i32,
    /// Its cookies, outermost first.
    pub cookies: Vec<Cookie>,
    /// Its stamp, that of the innermost worker that it descends from.
    pub stamp: Option<Stamp>,
}

impl Tagged {
    /// Whether it descends from the worker with this cookie, or is it.
    pub(crate) fn is_of(&self, cookie: Cookie) -> bool {
        self.cookies.contains(&cookie) || self.stamp == Some(Stamp::of(cookie))
    }
}

/// All processes that can be seen.
pub trait ProcessTable {
    /// The processes that carry cookies or a stamp.
    ///
    /// # Errors
    /// The table cannot be read.
    fn tagged(&self) -> io::Result<Vec<Tagged>>;

    /// Takes hold of a process; `None` when there is none with this id.
    ///
    /// # Errors
    /// The system refuses.
    fn hold(&self, pid: i32) -> io::Result<Option<Box<dyn Held>>>;
}

/// A process that cannot be mistaken for another one while it is held.
pub trait Held: std::fmt::Debug {
    /// Its process id.
    fn pid(&self) -> i32;

    /// Looks at it; `None` when it has exited.
    ///
    /// # Errors
    /// It cannot be looked at.
    fn observe(&self) -> io::Result<Option<Observation>>;

    /// Kills it, or the group that it leads.
    ///
    /// # Errors
    /// The system refuses.
    fn kill(&self, scope: Scope) -> io::Result<()>;

    /// Waits for its exit; `false` when the time is over first.
    fn wait(&self, timeout: Duration) -> bool;
}

/// The table of this system, from `/proc`.
#[derive(Clone, Copy, Debug)]
pub struct HostTable;

impl ProcessTable for HostTable {
    fn tagged(&self) -> io::Result<Vec<Tagged>> {
        let tagged = |pid| {
            // The environment of other users' processes is not ours to read, and those that have
            // just ended have none.
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
