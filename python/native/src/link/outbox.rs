//! Writing of frames to a connection. Small frames are gathered, and never held back for long.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, TryLockError};
use std::time::{Duration, Instant};

use pyo3::prelude::*;
use snakepit_grpc::frame::{FLAG_LAST, HEADER_LEN, Header};

use crate::link::body::{Body, Tail, WHOLE};
use crate::link::outlet::Outlet;
use crate::link::renewal;
use crate::process::clock;
use crate::process::fork;
use crate::process::socket;

/// Number of gathered bytes that are written at once.
const FULL: usize = 32 << 10;

/// Longest time that a finished frame waits for the next one.
const LINGER: Duration = Duration::from_micros(500);

/// Ticks without anything to write after which the flusher sleeps.
const IDLE_TICKS: u32 = 20;

/// A frame to be sent. The lengths in its header are set when it is written.
#[derive(Debug)]
pub(crate) struct Frame {
    pub(crate) header: Header,
    pub(crate) head: Vec<u8>,
    pub(crate) body: Vec<u8>,
}

/// The writing side of a slot connection.
#[derive(Debug)]
pub(crate) struct Outbox {
    shared: Arc<Shared>,
    flusher: AtomicBool,
}

#[derive(Debug)]
struct Shared {
    to: To,
    state: Mutex<OutboxState>,
    wake: Condvar,
}

/// The destination of the frames.
#[derive(Debug)]
enum To {
    /// A connection of one slot; a writer blocks until it has room.
    Socket(OwnedFd),
    /// A connection that many calls share.
    Outlet(Arc<Outlet>),
}

#[derive(Debug, Default)]
struct OutboxState {
    bytes: Vec<u8>,
    /// The call of the frames in `bytes`; on a shared connection they all belong to one call.
    call: u64,
    /// Offset of the frame that still takes items; its length is not yet written.
    open: Option<usize>,
    /// Time at which the oldest gathered byte was added.
    since: Option<Instant>,
    /// The flusher is awake.
    armed: bool,
    error: Option<io::ErrorKind>,
}

impl Outbox {
    pub(crate) fn new(fd: OwnedFd) -> Self {
        Self::to(To::Socket(fd))
    }

    /// Creates an outbox on a connection that many calls share; writers do not block.
    pub(crate) fn shared(outlet: Arc<Outlet>) -> Self {
        Self::to(To::Outlet(outlet))
    }

    fn to(to: To) -> Self {
        Self {
            shared: Arc::new(Shared {
                to,
                state: Mutex::default(),
                wake: Condvar::new(),
            }),
            flusher: AtomicBool::new(false),
        }
    }

    /// Writes one frame and everything gathered before it. Sets the lengths in `header`.
    pub(crate) fn send(
        &self,
        py: Python<'_>,
        header: Header,
        head: &[u8],
        body: [&[u8]; 2],
    ) -> PyResult<()> {
        let mut state = self.begin(py, header.call)?;
        state.seal();
        push_header(
            &mut state.bytes,
            header,
            head,
            body[0].len() + body[1].len(),
        );
        state.bytes.extend_from_slice(body[0]);
        self.flush_locked(py, state, body[1])
    }

    /// Writes one frame whose body may be large, and everything gathered before it. On a shared
    /// connection a large body is not copied, and the writer does not block.
    pub(crate) fn send_body(
        &self,
        py: Python<'_>,
        mut header: Header,
        head: &[u8],
        body: &mut Vec<u8>,
        tail: Option<Tail>,
    ) -> PyResult<()> {
        let follows = tail.as_ref().map_or(&[][..], Tail::bytes);
        match &self.shared.to {
            To::Outlet(outlet) if body.len() + follows.len() > WHOLE => {
                self.flush(py)?;
                header.flags |= renewal::flag();
                let body = Body::new(std::mem::take(body), tail);
                outlet.gather_large(header, head.to_vec(), body)?;
                Ok(outlet.flush()?)
            }
            _ => self.send(py, header, head, [body, follows]),
        }
    }

    /// Adds a small frame that may wait for the next one; the flusher bounds the wait.
    pub(crate) fn gather(&self, py: Python<'_>, header: Header, body: &[u8]) -> PyResult<()> {
        let mut state = self.begin(py, header.call)?;
        state.seal();
        push_header(&mut state.bytes, header, &[], body.len());
        state.bytes.extend_from_slice(body);
        self.flush_later(py, state)
    }

    /// Adds one item to the open frame; opens a frame with `header` if there is none.
    pub(crate) fn gather_item(
        &self,
        py: Python<'_>,
        header: Header,
        item: &mut Vec<u8>,
    ) -> PyResult<()> {
        if item.len() > WHOLE {
            return self.send_body(py, header, &[], item, None);
        }
        let mut state = self.begin(py, header.call)?;
        if let Some(start) = state.open
            && state.bytes.len() - start + item.len() > FULL
        {
            state.seal();
        }
        if state.open.is_none() {
            state.open = Some(state.bytes.len());
            push_header(&mut state.bytes, header, &[], 0);
        }
        state.bytes.extend_from_slice(item);
        self.flush_later(py, state)
    }

    /// Marks the open frame as the last of its call and writes it. With a head, or without an open
    /// frame, an empty frame is the last one.
    pub(crate) fn finish_items(&self, py: Python<'_>, header: Header, head: &[u8]) -> PyResult<()> {
        let mut state = self.begin(py, header.call)?;
        match state.open {
            Some(start) if head.is_empty() => state.bytes[start + 1] |= FLAG_LAST | renewal::flag(),
            _ => {
                state.seal();
                let header = Header {
                    flags: FLAG_LAST,
                    ..header
                };
                push_header(&mut state.bytes, header, head, 0);
            }
        }
        self.flush_locked(py, state, &[])
    }

    /// Writes a frame, blocking, from a thread that is not attached to the interpreter. On a shared
    /// connection it does not block for a large body.
    pub(crate) fn send_detached(&self, frame: Frame) -> io::Result<()> {
        let Frame { header, head, body } = frame;
        let mut state = self.shared.lock();
        if let Some(kind) = state.error {
            return Err(io::Error::from(kind));
        }
        state.seal();
        state.since = None;
        match &self.shared.to {
            To::Socket(fd) => {
                push_header(&mut state.bytes, header, &head, body.len());
                let written = socket::write_all(fd, [&state.bytes, &body]);
                state.bytes.clear();
                written
            }
            To::Outlet(outlet) => {
                state.write_to(outlet)?;
                if body.len() > WHOLE {
                    outlet.gather_large(header, head, Body::new(body, None))?;
                    return outlet.flush();
                }
                let mut front = Vec::new();
                push_header(&mut front, header, &head, body.len());
                outlet.send(header.call, [&front, &body])
            }
        }
    }

    fn flush_later(&self, py: Python<'_>, mut state: MutexGuard<'_, OutboxState>) -> PyResult<()> {
        if state.bytes.len() >= FULL {
            return self.flush_locked(py, state, &[]);
        }
        if state.since.is_none() {
            state.since = Some(clock::now());
        }
        if !state.armed {
            state.armed = true;
            drop(state);
            self.start_flusher()?;
            self.shared.wake.notify_one();
        }
        Ok(())
    }

    /// Writes everything gathered.
    pub(crate) fn flush(&self, py: Python<'_>) -> PyResult<()> {
        let state = self.lock(py);
        self.flush_locked(py, state, &[])
    }

    fn flush_locked(
        &self,
        py: Python<'_>,
        mut state: MutexGuard<'_, OutboxState>,
        tail: &[u8],
    ) -> PyResult<()> {
        if let Some(kind) = state.error {
            return Err(io::Error::from(kind).into());
        }
        state.seal();
        state.since = None;
        let mut parts = [state.bytes.as_slice(), tail];
        // The socket usually has room; giving up the GIL for such a short write would cost more
        // than the write.
        while !(parts[0].is_empty() && parts[1].is_empty()) {
            let fd = match &self.shared.to {
                To::Socket(fd) => fd,
                To::Outlet(outlet) => {
                    outlet.send(state.call, parts)?;
                    break;
                }
            };
            match socket::write(fd, parts, false) {
                Ok(count) => socket::advance(&mut parts, count),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    py.detach(|| socket::write_all(fd, parts))?;
                    break;
                }
                Err(error) => return Err(error.into()),
            }
        }
        state.bytes.clear();
        state.bytes.shrink_to(2 * FULL);
        Ok(())
    }

    /// Locks the state to add a frame of this call.
    fn begin(&self, py: Python<'_>, call: u64) -> PyResult<MutexGuard<'_, OutboxState>> {
        let mut state = self.lock(py);
        // Frames of a call on a shared connection may have to wait for an earlier one of that call.
        // Frames of other calls must not wait with them.
        if let To::Outlet(outlet) = &self.shared.to
            && state.call != call
        {
            state.write_to(outlet)?;
            state.call = call;
        }
        Ok(state)
    }

    /// Locks the state. The flusher may hold the lock in a write that blocks, so the GIL is
    /// released while waiting for it.
    fn lock(&self, py: Python<'_>) -> MutexGuard<'_, OutboxState> {
        fork::end_child();
        match self.shared.state.try_lock() {
            Ok(state) => state,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => {
                let shared = &*self.shared;
                loop {
                    py.detach(|| drop(shared.lock()));
                    if let Ok(state) = shared.state.try_lock() {
                        return state;
                    }
                }
            }
        }
    }

    fn start_flusher(&self) -> PyResult<()> {
        if !self.flusher.swap(true, Ordering::AcqRel) {
            let shared = Arc::clone(&self.shared);
            let builder = std::thread::Builder::new()
                .name("snakepit-flush".to_owned())
                .stack_size(64 << 10);
            builder.spawn(move || shared.watch())?;
        }
        Ok(())
    }
}

impl OutboxState {
    /// Hands the gathered bytes to the shared connection.
    fn write_to(&mut self, outlet: &Arc<Outlet>) -> io::Result<()> {
        self.seal();
        self.since = None;
        let written = outlet.send(self.call, [&self.bytes, &[]]);
        self.bytes.clear();
        written
    }

    /// Closes the open frame and writes its length.
    fn seal(&mut self) {
        if let Some(start) = self.open.take() {
            let length = (self.bytes.len() - start - HEADER_LEN) as u64;
            self.bytes[start + 8..start + 16].copy_from_slice(&length.to_le_bytes());
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, OutboxState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes gathered bytes that have waited long enough: the tool may compute its next item for
    /// hours.
    fn watch(&self) {
        let mut idle = 0;
        let mut state = self.lock();
        loop {
            if !state.armed {
                idle = 0;
                state = self
                    .wake
                    .wait(state)
                    .unwrap_or_else(PoisonError::into_inner);
                continue;
            }
            state = self
                .wake
                .wait_timeout(state, LINGER)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
            let Some(since) = state.since else {
                idle += 1;
                state.armed = idle < IDLE_TICKS;
                continue;
            };
            idle = 0;
            if clock::now().duration_since(since) >= LINGER {
                state.seal();
                let written = match &self.to {
                    To::Socket(fd) => socket::write_all(fd, [&state.bytes, &[]]),
                    To::Outlet(outlet) => state.write_to(outlet),
                };
                if let Err(error) = written {
                    state.error = Some(error.kind());
                }
                state.bytes.clear();
                state.since = None;
            }
        }
    }
}

fn push_header(bytes: &mut Vec<u8>, mut header: Header, head: &[u8], body_len: usize) {
    header.head_len = u32::try_from(head.len()).expect("heads are bounded");
    header.body_len = body_len as u64;
    header.flags |= renewal::flag();
    bytes.extend_from_slice(&header.encode());
    bytes.extend_from_slice(head);
}
