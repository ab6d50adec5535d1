//! Reports of the worker to its host, on the control connection.

use std::io;
use std::os::fd::{OwnedFd, RawFd};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use prost::Message as _;
use snakepit_grpc::frame::{Header, Kind};
use snakepit_grpc::pb;

use crate::cancel::escalation::CancelStep;
use crate::link::wake::Wake;
use crate::process::fork;
use crate::process::socket;

/// Largest number of unread bytes in the control connection at which a long frame is still sent.
/// Records of Python code use a part of them.
const UNREAD: usize = 96 << 10;

/// Largest number of bytes that wait behind a frame that was written in part.
const MAX_REST: usize = 64 << 10;

/// Longest name of an adapter in a report, in bytes.
const MAX_NAME: usize = 200;

/// The writing side of the control connection, for all threads. Writers never block.
#[derive(Debug)]
pub(crate) struct Reports {
    control: Mutex<Control>,
    /// Wakes the control thread.
    wake: Wake,
}

#[derive(Debug)]
struct Control {
    fd: OwnedFd,
    /// The rest of a frame that was written in part, and the frames after it. The control thread
    /// writes them when the socket has room.
    rest: Vec<u8>,
}

/// The result of [`Reports::offer`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Offered {
    Sent,
    /// There is nothing to send.
    Nothing,
    /// The socket has no room until the host reads.
    Full,
}

impl Reports {
    pub(crate) fn new(fd: OwnedFd) -> io::Result<Self> {
        let rest = Vec::new();
        Ok(Self {
            control: Mutex::new(Control { fd, rest }),
            wake: Wake::new()?,
        })
    }

    /// Reports what stopped a cancelled call, and how long that took.
    pub(crate) fn stopped(&self, call: u64, (step, after): (CancelStep, Duration)) {
        let head = pb::Stopped {
            step: step as u32,
            after_us: u64::try_from(after.as_micros()).unwrap_or(u64::MAX),
        };
        let head = head.encode_to_vec();
        let mut header = Header::new(Kind::Stopped, call);
        header.head_len = u32::try_from(head.len()).expect("two numbers are short");
        self.send(&[&header.encode()[..], &head].concat());
    }

    /// Reports whether a call was taken back.
    pub(crate) fn recalled(&self, call: u64, back: bool) {
        let head = pb::Recalled { back }.encode_to_vec();
        let mut header = Header::new(Kind::Recalled, call);
        header.head_len = u32::try_from(head.len()).expect("one bit is short");
        self.send(&[&header.encode()[..], &head].concat());
    }

    /// Reports that an adapter begins to clean up; an empty name reports that all adapters have
    /// ended.
    pub(crate) fn cleaning(&self, adapter: &str) {
        let end = (0..=adapter.len().min(MAX_NAME)).rev();
        let end = end.into_iter().find(|end| adapter.is_char_boundary(*end));
        let head = pb::Cleaning {
            adapter: adapter[..end.unwrap_or(0)].to_owned(),
        };
        let head = head.encode_to_vec();
        let mut header = Header::new(Kind::Cleaning, 0);
        header.head_len = u32::try_from(head.len()).expect("the name is bounded");
        self.send(&[&header.encode()[..], &head].concat());
    }

    /// Sends a short frame without blocking. A host that does not read loses the whole frame.
    pub(crate) fn send(&self, frame: &[u8]) {
        if fork::in_child() {
            return;
        }
        // The reader of the connection notices its end.
        let _ = self.lock().send(frame);
    }

    /// Sends a frame of up to 64 KiB. A host that has left too many bytes unread loses it.
    pub(crate) fn send_long(&self, frame: &[u8]) {
        let mut control = self.lock();
        if socket::unread(&control.fd).is_ok_and(|bytes| bytes <= UNREAD) {
            let _ = control.send(frame);
        }
        let left = !control.rest.is_empty();
        drop(control);
        if left {
            self.notify();
        }
    }

    /// Sends the frame that `make` returns. Calls `make` only if the socket has room.
    pub(crate) fn offer(&self, make: impl FnOnce() -> Option<Vec<u8>>) -> Offered {
        let mut control = self.lock();
        if !control.flush() || !socket::writable(&control.fd, Some(Duration::ZERO)) {
            return Offered::Full;
        }
        let Some(frame) = make() else {
            return Offered::Nothing;
        };
        // The reader of the connection notices its end; here the frame counts as sent.
        let _ = control.send(&frame);
        Offered::Sent
    }

    /// Writes the rest of earlier frames. Returns `false` if the socket has no room for it yet.
    pub(crate) fn flush(&self) -> bool {
        self.lock().flush()
    }

    /// Waits until the socket has room, for at most `patience`.
    pub(crate) fn wait_for_room(&self, patience: Duration) {
        let copy = self.lock().fd.try_clone();
        if let Ok(copy) = copy {
            socket::writable(&copy, Some(patience));
        }
    }

    /// Wakes the control thread.
    pub(crate) fn notify(&self) {
        self.wake.notify();
    }

    /// Clears the wake-up, after the control thread has woken.
    pub(crate) fn clear(&self) {
        self.wake.clear();
    }

    /// Returns the descriptor of the wake-up, for the control thread to watch.
    pub(crate) fn wake(&self) -> RawFd {
        self.wake.fd()
    }

    /// Locks the connection, so that frames of two threads do not mix.
    fn lock(&self) -> MutexGuard<'_, Control> {
        self.control.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Control {
    /// Writes a frame, or queues its rest. Drops the whole frame if the queue is full.
    fn send(&mut self, frame: &[u8]) -> io::Result<()> {
        if !self.flush() {
            if self.rest.len() + frame.len() <= MAX_REST {
                self.rest.extend_from_slice(frame);
            }
            return Ok(());
        }
        let written = socket::write(&self.fd, [frame, &[]], false)?;
        self.rest.extend_from_slice(&frame[written..]);
        Ok(())
    }

    /// Writes the rest; returns `false` if some of it is left.
    fn flush(&mut self) -> bool {
        while !self.rest.is_empty() {
            match socket::write(&self.fd, [&self.rest, &[]], false) {
                Ok(written) => drop(self.rest.drain(..written)),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return false,
                // The connection has ended.
                Err(_) => self.rest.clear(),
            }
        }
        true
    }
}
