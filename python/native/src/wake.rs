//! Waiting for a connection, with a bell that ends the wait.
#![expect(unsafe_code, reason = "eventfd and poll")]

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::time::Duration;

use crate::socket::milliseconds;

/// A bell: it stays rung until it is heard.
#[derive(Debug)]
pub(crate) struct Wake(OwnedFd);

/// Why a wait ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ready {
    /// The connection can be read, or has ended.
    Socket,
    /// The bell rang; it is silent again.
    Woken,
    /// Time is up.
    Late,
    /// A signal came.
    Interrupted,
}

impl Wake {
    pub(crate) fn new() -> io::Result<Self> {
        // SAFETY: it takes numbers and returns a new descriptor.
        let fd = unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the descriptor is new and nobody else's.
        Ok(Self(unsafe { OwnedFd::from_raw_fd(fd) }))
    }

    /// For an event loop to watch.
    pub(crate) fn fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }

    /// To wait for it.
    pub(crate) const fn descriptor(&self) -> &OwnedFd {
        &self.0
    }

    /// Rings. It never blocks.
    pub(crate) fn ring(&self) {
        let one = 1_u64;
        // SAFETY: the pointer is to 8 bytes. A bell that cannot be rung any louder is rung.
        unsafe { libc::write(self.fd(), (&raw const one).cast(), 8) };
    }

    /// Silences the bell.
    pub(crate) fn hear(&self) {
        let mut count = 0_u64;
        // SAFETY: the pointer is to 8 bytes that may be written. A silent bell is left alone.
        unsafe { libc::read(self.fd(), (&raw mut count).cast(), 8) };
    }

    /// Waits until the connection can be read, the bell rings or time is up.
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
            self.hear();
            return Ok(Ready::Woken);
        }
        Ok(if fds[0].revents != 0 {
            Ready::Socket
        } else {
            Ready::Late
        })
    }
}
