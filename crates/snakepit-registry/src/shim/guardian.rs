//! A running shim, as its host sees it.

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

/// How long a process may take from closing its descriptors to its end.
const LAST_STEP: Duration = Duration::from_millis(500);

/// See the module. The shim is reaped here and nowhere else.
#[derive(Debug)]
pub(crate) struct Shim {
    pidfd: PidFd,
    control: OwnedFd,
    mode: Containment,
    cookie: Cookie,
    cgroup: Option<PathBuf>,
    state: Mutex<State>,
}

/// What the shim has told so far.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct State {
    /// How the worker ended.
    pub(crate) exit: Option<Exit>,
    /// How many descendants the shim killed after the worker.
    pub(crate) killed: u32,
    /// It said that nothing is left.
    empty: bool,
    /// It has ended and is reaped.
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

    /// The mark of the worker and of the shim.
    pub(crate) const fn cookie(&self) -> Cookie {
        self.cookie
    }

    /// A descriptor that is readable when the worker has ended.
    pub(crate) fn watch(&self) -> io::Result<OwnedFd> {
        self.control.try_clone()
    }

    /// Takes in what the shim has said, and reaps it. Waits only for a shim that is ending.
    pub(crate) fn look(&self) -> State {
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
            // Somebody else may have taken its status, which says nothing.
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

    /// Does what the shim has left undone: somebody has killed it, and its worker with it.
    fn replace(&self) {
        carriers::kill(self.cookie);
        if let Some(dir) = &self.cgroup {
            cgroup::end(dir, Deadline::after(LAST_STEP));
        }
    }

    /// Waits until it says something, at most that long.
    pub(crate) fn wait_note(&self, limit: Duration) {
        readable(self.control.as_fd(), limit);
    }

    /// Waits for its end, at most that long.
    pub(crate) fn wait(&self, limit: Duration) {
        self.pidfd.wait(limit);
    }

    /// Kills what it reaches. Answers whether the death pipe may be closed: in a namespace that
    /// kills the shim, which is to report the end of its worker first.
    pub(crate) fn kill(&self, reported: bool) -> bool {
        if let Some(dir) = &self.cgroup {
            // The shim does the same, and more.
            let _ = cgroup::kill(dir);
        }
        // Somebody may have stopped it.
        let _ = self.pidfd.signal(Scope::Process, libc::SIGCONT);
        if self.mode != Containment::PidNamespace {
            return true;
        }
        if reported {
            // A refusal leaves the death pipe.
            let _ = self.pidfd.signal(Scope::Group, libc::SIGKILL);
        }
        reported
    }
}
