//! A running shim, seen from its host.

use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use nix::sys::socket::{MsgFlags, recv};

use crate::carriers;
use crate::cgroup;
use crate::child::Exit;
use crate::clock::Deadline;
use crate::containment::Containment;
use crate::cookie::Cookie;
use crate::pidfd::{PidFd, Scope};
use crate::shim::host::readable;
use crate::shim::wire::{NOTE, Note};
use crate::sys;

/// Longest time that a process takes from closing its descriptors to its end.
const LAST_STEP: Duration = Duration::from_millis(500);

/// A running shim, seen from its host. Only this type reaps it.
#[derive(Debug)]
pub(crate) struct Shim {
    pidfd: PidFd,
    control: OwnedFd,
    mode: Containment,
    cookie: Cookie,
    cgroup: Option<PathBuf>,
    state: Mutex<ShimReports>,
}

/// The shim's reports so far.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct ShimReports {
    /// The exit of the worker, if it has ended.
    pub(crate) exit: Option<Exit>,
    /// Number of descendants that the shim killed after the worker.
    pub(crate) killed: u32,
    /// `true` once the shim has reported that no descendant is left.
    empty: bool,
    /// `true` once the shim has ended and is reaped.
    pub(crate) gone: bool,
}

impl Shim {
    pub(crate) fn new(
        pidfd: PidFd,
        control: OwnedFd,
        (mode, cookie): (Containment, Cookie),
        cgroup: Option<PathBuf>,
    ) -> Self {
        Self {
            pidfd,
            control,
            mode,
            cookie,
            cgroup,
            state: Mutex::default(),
        }
    }

    /// Returns the mark of the worker and the shim.
    pub(crate) const fn cookie(&self) -> Cookie {
        self.cookie
    }

    /// Returns a descriptor that becomes readable when the worker has ended.
    pub(crate) fn watch(&self) -> io::Result<OwnedFd> {
        self.control.try_clone()
    }

    /// Reads the shim's reports and reaps the shim if it has ended. Waits only for a shim that is
    /// ending.
    pub(crate) fn look(&self) -> ShimReports {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.gone {
            return *state;
        }
        let mut bytes = [0; NOTE];
        let closed = loop {
            let flags = MsgFlags::MSG_DONTWAIT;
            match recv(self.control.as_raw_fd(), &mut bytes, flags) {
                Ok(0) => break true,
                Ok(length) => match Note::decode(&bytes[..length]) {
                    Some(Note::Ended(exit)) => state.exit = Some(exit),
                    Some(Note::Empty { killed }) => (state.empty, state.killed) = (true, killed),
                    _ => {}
                },
                Err(_) => break false,
            }
        };
        if closed && self.pidfd.wait(LAST_STEP) {
            // Other code may have reaped the shim already; its status is not needed.
            let _ = sys::wait_exit(self.pidfd.as_fd(), false);
            state.gone = true;
        }
        if state.gone && !state.empty {
            self.replace();
        }
        if closed && state.exit.is_none() {
            state.exit = Some(Exit::Unknown);
        }
        *state
    }

    /// Completes the work of a shim that was killed, together with its worker.
    fn replace(&self) {
        carriers::kill(self.cookie);
        if let Some(dir) = &self.cgroup {
            cgroup::end(dir, Deadline::after(LAST_STEP));
        }
    }

    /// Waits at most `limit` for a report of the shim.
    pub(crate) fn wait_note(&self, limit: Duration) {
        readable(self.control.as_fd(), limit);
    }

    /// Waits at most `limit` for the end of the shim.
    pub(crate) fn wait(&self, limit: Duration) {
        self.pidfd.wait(limit);
    }

    /// Kills everything in reach. Returns `true` if the death pipe may be closed. In a namespace,
    /// closing it kills the shim, which must report the end of its worker (`reported`) first.
    pub(crate) fn kill(&self, reported: bool) -> bool {
        if let Some(dir) = &self.cgroup {
            // The shim does the same and kills further descendants.
            let _ = cgroup::kill(dir);
        }
        // The shim may have been stopped.
        let _ = self.pidfd.signal(Scope::Process, libc::SIGCONT);
        if self.mode != Containment::PidNamespace {
            return true;
        }
        if reported {
            // If the signal is refused, the death pipe remains.
            let _ = self.pidfd.signal(Scope::Group, libc::SIGKILL);
        }
        reported
    }
}
