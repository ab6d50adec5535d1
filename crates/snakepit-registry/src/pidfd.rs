//! A process handle that the kernel never lets refer to another process.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::clock::Deadline;
use crate::sys;

/// A descriptor of one process. A signal sent through it reaches that process or none.
#[derive(Debug)]
pub struct PidFd {
    fd: OwnedFd,
    pid: i32,
}

/// The value sent with the SIGTERM by which this crate stops a process. A handler that checks it
/// (`si_code` is `SI_QUEUE`, `si_value` is this) can distinguish this signal from one that a
/// service manager or a user sends to all processes of a service.
pub const TERMINATE_VALUE: usize = 0x736e_616b;

/// The receiver of a signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// The process alone.
    Process,
    /// The process group that it leads.
    Group,
}

impl PidFd {
    /// Opens a process. `None` if no process has this id.
    ///
    /// # Errors
    /// The kernel refuses, for example because there is no free descriptor.
    pub fn open(pid: i32) -> io::Result<Option<Self>> {
        match sys::pidfd_open(pid) {
            Ok(fd) => Ok(Some(Self { fd, pid })),
            // Linux returns EINVAL for an id that names only a thread or a group.
            Err(e)
                if matches!(
                    e.raw_os_error(),
                    Some(libc::ESRCH | libc::EINVAL | libc::ENOENT)
                ) =>
            {
                Ok(None)
            }
            Err(e) => Err(e),
        }
    }

    /// Returns the process id.
    pub const fn pid(&self) -> i32 {
        self.pid
    }

    /// Duplicates the descriptor, for example to wait on it elsewhere.
    ///
    /// # Errors
    /// There is no free descriptor.
    pub fn try_clone(&self) -> io::Result<Self> {
        Ok(Self {
            fd: self.fd.try_clone()?,
            pid: self.pid,
        })
    }

    /// Returns the number that identifies this process until the next boot. `None` before Linux
    /// 6.9.
    pub fn inode(&self) -> Option<u64> {
        sys::pidfs_inode(self.fd.as_fd())
    }

    /// Returns `true` if the process has exited, even if it has not been reaped yet.
    pub fn exited(&self) -> bool {
        self.wait(Duration::ZERO)
    }

    /// Waits for the exit. `false` if `timeout` passes first.
    pub fn wait(&self, timeout: Duration) -> bool {
        let deadline = Deadline::after(timeout);
        loop {
            // Rounded up, so that the last round does not spin.
            let left = deadline.left().as_micros().div_ceil(1000);
            let limit = PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX);
            let mut fds = [PollFd::new(self.fd.as_fd(), PollFlags::POLLIN)];
            match poll(&mut fds, limit) {
                Ok(0) if deadline.passed() => return false,
                Ok(0) | Err(Errno::EINTR | Errno::EAGAIN) => {}
                Ok(_) => return true,
                // poll fails only for lack of memory; the state of the process is unknown then.
                Err(_) => return false,
            }
        }
    }

    /// Sends a signal. Succeeds if the process or group is gone.
    ///
    /// # Errors
    /// The kernel refuses, for example because the process belongs to another user.
    pub fn signal(&self, scope: Scope, signal: i32) -> io::Result<()> {
        let result = match scope {
            Scope::Process => sys::pidfd_signal(self.fd.as_fd(), signal),
            Scope::Group if sys::has_group_signal() => {
                sys::pidfd_signal_group(self.fd.as_fd(), signal)
            }
            Scope::Group => self.signal_group_by_number(signal),
        };
        match result {
            Err(e) if e.raw_os_error() == Some(libc::ESRCH) => Ok(()),
            other => other,
        }
    }

    /// Requests the process to end: sends SIGTERM with [`TERMINATE_VALUE`]. Succeeds if the process
    /// is gone.
    ///
    /// # Errors
    /// The kernel refuses, for example because the process belongs to another user.
    pub fn terminate(&self) -> io::Result<()> {
        match sys::pidfd_queue(self.fd.as_fd(), libc::SIGTERM, TERMINATE_VALUE) {
            Err(e) if e.raw_os_error() == Some(libc::ESRCH) => Ok(()),
            // The process has too many queued signals, or the kernel does not support values.
            Err(_) => self.signal(Scope::Process, libc::SIGTERM),
            sent => sent,
        }
    }

    /// Signals the group by its number. The number is valid at least until the leader is reaped;
    /// signal 0 through the pidfd checks that, because it fails with ESRCH afterwards.
    fn signal_group_by_number(&self, signal: i32) -> io::Result<()> {
        sys::pidfd_signal(self.fd.as_fd(), 0)?;
        let signal = nix::sys::signal::Signal::try_from(signal)?;
        Ok(nix::sys::signal::killpg(
            nix::unistd::Pid::from_raw(self.pid),
            signal,
        )?)
    }

    /// Returns `true` if the group led by this process has a member that has not been reaped.
    /// `None` if the kernel does not support the query.
    pub(crate) fn group_exists(&self) -> Option<bool> {
        sys::has_group_signal().then(|| sys::pidfd_signal_group(self.fd.as_fd(), 0).is_ok())
    }
}

impl AsFd for PidFd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl From<PidFd> for OwnedFd {
    fn from(pidfd: PidFd) -> Self {
        pidfd.fd
    }
}
