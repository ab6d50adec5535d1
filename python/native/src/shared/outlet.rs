//! The writing side of a connection that many calls share: nobody waits for the socket.
//!
//! What the socket does not take at once stays here, and the event loop writes it as soon as there is room. Streams are held back by
//! their windows and not by the socket, so what stays is bounded by the results of the calls.

use std::io;
use std::os::fd::{AsRawFd as _, OwnedFd, RawFd};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::wake::Wake;
use crate::{fork, socket};

/// Capacity that is kept for the next frames.
const KEEP: usize = 64 << 10;

/// Bytes that wait for the end of the loop's turn at most.
const FULL: usize = 32 << 10;

/// The connection as its writers share it.
#[derive(Debug)]
pub(crate) struct Outlet {
    fd: OwnedFd,
    /// Rings when the event loop has to see to the socket.
    bell: Arc<Wake>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    bytes: Vec<u8>,
    /// So many of `bytes` are written.
    sent: usize,
    /// The socket is full: the event loop writes the rest, and what comes meanwhile.
    blocked: bool,
    error: Option<io::ErrorKind>,
}

impl Outlet {
    pub(crate) fn new(fd: OwnedFd, bell: Arc<Wake>) -> Self {
        Self {
            fd,
            bell,
            state: Mutex::default(),
        }
    }

    /// For the event loop to watch.
    pub(crate) fn socket(&self) -> RawFd {
        self.fd.as_raw_fd()
    }

    /// Takes whole frames, in parts, and writes what the socket takes.
    pub(crate) fn send(&self, mut parts: [&[u8]; 2]) -> io::Result<()> {
        let mut state = self.lock();
        state.check()?;
        if state.bytes.is_empty() {
            // As a rule all of it is taken, without a copy.
            while !(parts[0].is_empty() && parts[1].is_empty()) {
                match socket::write(&self.fd, parts, false) {
                    Ok(count) => socket::advance(&mut parts, count),
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                    Err(error) => return Err(state.fail(error)),
                }
            }
        }
        state.take(parts);
        self.flush_locked(state).map(drop)
    }

    /// Takes whole frames that may wait for the end of the loop's turn. True when nothing waited before: the caller sees to a
    /// [`Self::flush`].
    pub(crate) fn gather(&self, parts: [&[u8]; 2]) -> io::Result<bool> {
        let mut state = self.lock();
        state.check()?;
        let first = state.bytes.is_empty();
        state.take(parts);
        if state.bytes.len() >= FULL {
            return self.flush_locked(state).map(|_| false);
        }
        Ok(first)
    }

    /// Writes what the socket takes; true when nothing is left.
    pub(crate) fn flush(&self) -> io::Result<bool> {
        let mut state = self.lock();
        state.check()?;
        state.blocked = false;
        self.flush_locked(state)
    }

    /// Writes what the socket takes of what is there; nothing more is taken from now on.
    pub(crate) fn close(&self) {
        // An error is as good an end as any.
        let _ = self.flush();
        let error = io::Error::from(io::ErrorKind::BrokenPipe);
        self.lock().fail(error);
    }

    /// The event loop has to wait for room.
    pub(crate) fn is_blocked(&self) -> bool {
        self.lock().blocked
    }

    fn flush_locked(&self, mut state: MutexGuard<'_, State>) -> io::Result<bool> {
        if state.blocked {
            return Ok(false);
        }
        while state.sent < state.bytes.len() {
            match socket::write(&self.fd, [&state.bytes[state.sent..], &[]], false) {
                Ok(count) => state.sent += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    state.blocked = true;
                    let sent = std::mem::take(&mut state.sent);
                    state.bytes.drain(..sent);
                    drop(state);
                    self.bell.ring();
                    return Ok(false);
                }
                Err(error) => return Err(state.fail(error)),
            }
        }
        state.bytes.clear();
        state.bytes.shrink_to(KEEP);
        state.sent = 0;
        Ok(true)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        fork::end_child();
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn check(&self) -> io::Result<()> {
        self.error.map_or(Ok(()), |kind| Err(io::Error::from(kind)))
    }

    fn take(&mut self, parts: [&[u8]; 2]) {
        for part in parts {
            self.bytes.extend_from_slice(part);
        }
    }

    fn fail(&mut self, error: io::Error) -> io::Error {
        self.error = Some(error.kind());
        self.bytes = Vec::new();
        self.sent = 0;
        error
    }
}
