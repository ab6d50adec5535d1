//! Wake-ups, and waiting for a connection with a wake-up that ends the wait.
#![expect(unsafe_code, reason = "eventfd and poll")]

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::time::Duration;

use crate::process::socket::milliseconds;

/// A wake-up: stays set until it is cleared.
#[derive(Debug)]
pub(crate) struct Wake(OwnedFd);

/// The reason why a wait ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ready {
    /// The connection is readable, or has ended.
    Socket,
    /// The wake-up was set and was cleared.
    Woken,
    /// The time is up.
    Late,
    /// A signal arrived.
    Interrupted,
}

impl Wake {
    pub(crate) fn new() -> io::Result<Self> {
        // SAFETY: it takes numbers and returns a new descriptor.
        let fd = unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the descriptor is new and not owned elsewhere.
        Ok(Self(unsafe { OwnedFd::from_raw_fd(fd) }))
    }

    /// Returns the descriptor for an event loop to watch.
    pub(crate) fn fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }

    /// Returns the descriptor to wait for.
    pub(crate) const fn descriptor(&self) -> &OwnedFd {
        &self.0
    }

    /// Sets the wake-up without blocking.
    pub(crate) fn notify(&self) {
        let one = 1_u64;
        // SAFETY: the pointer refers to 8 bytes. If the counter is full, the wake-up is set
        // already.
        unsafe { libc::write(self.fd(), (&raw const one).cast(), 8) };
    }

    /// Clears the wake-up.
    pub(crate) fn clear(&self) {
        let mut count = 0_u64;
        // SAFETY: the pointer refers to 8 bytes that may be written. Reading a wake-up that is not
        // set changes nothing.
        unsafe { libc::read(self.fd(), (&raw mut count).cast(), 8) };
    }

    /// Waits until the connection is readable, the wake-up is set or the time is up.
    pub(crate) fn wait(&self, socket: &OwnedFd, patience: Option<Duration>) -> io::Result<Ready> {
        let watch = |fd| libc::pollfd {
            fd,
            events: libc::POLLIN,
            revents: 0,
        };
        let mut fds = [watch(socket.as_raw_fd()), watch(self.fd())];
        let milliseconds = milliseconds(patience);
        // SAFETY: the pointer and the length describe `fds`.
        let count = unsafe { libc::poll(fds.as_mut_ptr(), 2, milliseconds) };
        if count < 0 {
            let error = io::Error::last_os_error();
            return match error.kind() {
                io::ErrorKind::Interrupted => Ok(Ready::Interrupted),
                _ => Err(error),
            };
        }
        if fds[1].revents != 0 {
            self.clear();
            return Ok(Ready::Woken);
        }
        Ok(if fds[0].revents != 0 {
            Ready::Socket
        } else {
            Ready::Late
        })
    }
}
