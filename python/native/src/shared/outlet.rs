//! The writing side of a connection that many calls share: nobody waits for the socket.
//!
//! What the socket does not take at once stays here, and the event loop writes it as soon as there is room. Streams are held back by
//! their windows and not by the socket, so what stays is bounded by the results of the calls.

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsRawFd as _, OwnedFd, RawFd};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::wake::Wake;
use crate::{fork, socket};

/// Capacity of a buffer for small frames.
const KEEP: usize = 4 << 10;

/// Bytes that are written in one turn of the loop at most.
const TURN: usize = 1 << 20;

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
    /// What is to be written. Nothing is moved when a part of it is.
    parts: VecDeque<Vec<u8>>,
    /// So many bytes of the first part are written.
    sent: usize,
    /// Large answers: each goes when nothing else waits, so that a small one waits for the rest of one of them at most.
    large: VecDeque<[Vec<u8>; 2]>,
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
        if state.parts.is_empty() {
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
        let first = state.parts.is_empty() && state.large.is_empty();
        state.take(parts);
        if state.is_full() {
            return self.flush_locked(state).map(|_| false);
        }
        Ok(first)
    }

    /// Takes the only frame of a call's answer, without a copy of its body. As [`Self::gather`], it waits for the end of the loop's turn.
    pub(crate) fn gather_large(&self, header: &[u8], body: Vec<u8>) -> io::Result<bool> {
        let mut state = self.lock();
        state.check()?;
        let first = state.parts.is_empty() && state.large.is_empty();
        state.large.push_back([header.to_vec(), body]);
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

    /// Returns whether all that was taken is written.
    pub(crate) fn is_empty(&self) -> bool {
        let state = self.lock();
        state.parts.is_empty() && state.large.is_empty()
    }

    /// The event loop has to wait for room.
    pub(crate) fn is_blocked(&self) -> bool {
        self.lock().blocked
    }

    fn flush_locked(&self, mut state: MutexGuard<'_, State>) -> io::Result<bool> {
        if state.blocked {
            return Ok(false);
        }
        // The loop has other things to do: a reader that keeps up must not keep it here.
        let mut turn = TURN;
        state.refill();
        while let Some(first) = state.parts.front() {
            if turn == 0 {
                state.blocked = true;
                drop(state);
                self.bell.ring();
                return Ok(false);
            }
            let second = state.parts.get(1).map_or(&[][..], Vec::as_slice);
            match socket::write(&self.fd, [&first[state.sent..], second], false) {
                Ok(count) => {
                    turn = turn.saturating_sub(count);
                    state.written(count);
                    state.refill();
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    state.blocked = true;
                    drop(state);
                    self.bell.ring();
                    return Ok(false);
                }
                Err(error) => return Err(state.fail(error)),
            }
        }
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
        for part in parts.into_iter().filter(|part| !part.is_empty()) {
            match self.parts.back_mut() {
                // Small frames share a buffer, which grows no further once it is full.
                Some(last) if last.len() + part.len() <= FULL => last.extend_from_slice(part),
                _ => {
                    let mut last = Vec::with_capacity(part.len().max(KEEP));
                    last.extend_from_slice(part);
                    self.parts.push_back(last);
                }
            }
        }
    }

    /// The next large answer goes once nothing else waits.
    fn refill(&mut self) {
        if self.parts.is_empty()
            && let Some(frame) = self.large.pop_front()
        {
            self.parts.extend(frame);
        }
    }

    /// Whether there is more than should wait for the end of the loop's turn.
    fn is_full(&self) -> bool {
        self.parts.len() > 1 || self.parts.front().is_some_and(|first| first.len() >= FULL)
    }

    /// The socket has taken so many bytes.
    fn written(&mut self, mut count: usize) {
        while let Some(first) = self.parts.front_mut() {
            let left = first.len() - self.sent;
            if count < left {
                self.sent += count;
                return;
            }
            count -= left;
            self.sent = 0;
            self.parts.pop_front();
        }
    }

    fn fail(&mut self, error: io::Error) -> io::Error {
        self.error = Some(error.kind());
        self.parts.clear();
        self.large.clear();
        self.sent = 0;
        error
    }
}
