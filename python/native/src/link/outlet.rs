//! The writing side of a connection that many calls share; writers never block on the socket.
//!
//! Bytes that the socket does not take at once, and all large bodies, go to a thread, which writes
//! until nothing is left. It cuts a large body into parts and sends small frames of other calls
//! between them. Streams are held back by their windows and not by the socket, so the bytes that
//! wait are bounded by the results of the calls.

use std::collections::VecDeque;
use std::io;
use std::ops::Range;
use std::os::fd::{AsRawFd as _, OwnedFd, RawFd};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use snakepit_grpc::frame::{FLAG_PART, Header};

use super::body::{Body, Large, WHOLE};
use crate::link::wake::Wake;
use crate::process::fork;
use crate::process::socket;

/// Initial capacity of a buffer for small frames.
const KEEP: usize = 4 << 10;

/// Largest number of bytes that wait for the end of the event loop's iteration.
const FULL: usize = 32 << 10;

/// The writing side of the connection.
#[derive(Debug)]
pub(crate) struct Outlet {
    fd: OwnedFd,
    /// Rings when the thread has written everything, and when it has finished with an object.
    wake: Arc<Wake>,
    state: Mutex<OutletState>,
    work: Condvar,
}

#[derive(Debug, Default)]
struct OutletState {
    /// Buffers of small frames. A partly written buffer is not moved.
    small: VecDeque<Vec<u8>>,
    /// Number of bytes of the first buffer that are written.
    sent: usize,
    /// Frames with large bodies, sent one after the other.
    large: VecDeque<Large>,
    /// The thread was started.
    has_thread: bool,
    /// The thread writes; other threads do not write until it has written everything.
    busy: bool,
    /// Bodies that are written and still hold an object.
    written: Vec<Arc<Body>>,
    /// The error that ended the connection; no more frames are accepted.
    ended: Option<io::ErrorKind>,
}

impl Outlet {
    pub(crate) fn new(fd: OwnedFd, wake: Arc<Wake>) -> Self {
        Self {
            fd,
            wake,
            state: Mutex::default(),
            work: Condvar::new(),
        }
    }

    /// Returns the socket for the event loop to watch.
    pub(crate) fn socket(&self) -> RawFd {
        self.fd.as_raw_fd()
    }

    /// Accepts complete frames of a call, in pieces, and writes what the socket takes.
    pub(crate) fn send(self: &Arc<Self>, call: u64, mut pieces: [&[u8]; 2]) -> io::Result<()> {
        let mut state = self.lock();
        state.check()?;
        if state.is_empty() && !state.busy {
            // The socket usually takes everything, without a copy.
            while !(pieces[0].is_empty() && pieces[1].is_empty()) {
                match socket::write(&self.fd, pieces, false) {
                    Ok(count) => socket::advance(&mut pieces, count),
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                    Err(error) => return Err(state.fail(error)),
                }
            }
        }
        state.take(call, pieces);
        self.flush_locked(state)
    }

    /// Accepts complete frames of a call that may wait for the end of the loop's iteration. Returns
    /// whether nothing waited before; then the caller must schedule a [`Self::flush`].
    pub(crate) fn gather(self: &Arc<Self>, call: u64, pieces: [&[u8]; 2]) -> io::Result<bool> {
        let mut state = self.lock();
        state.check()?;
        let first = state.is_empty() && !state.busy;
        state.take(call, pieces);
        if state.is_full() {
            return self.flush_locked(state).map(|()| false);
        }
        Ok(first)
    }

    /// Accepts a frame without copying its body. Waiting and return value are as for
    /// [`Self::gather`].
    pub(crate) fn gather_large(
        self: &Arc<Self>,
        mut header: Header,
        head: Vec<u8>,
        body: Body,
    ) -> io::Result<bool> {
        header.head_len = u32::try_from(head.len()).expect("heads are bounded");
        let mut state = self.lock();
        state.check()?;
        let first = state.is_empty() && !state.busy;
        let body = Arc::new(body);
        state.large.push_back(Large {
            header,
            head,
            body,
            at: 0,
            behind: Vec::new(),
        });
        Ok(first)
    }

    /// Writes what the socket takes, and leaves the rest to the thread.
    pub(crate) fn flush(self: &Arc<Self>) -> io::Result<()> {
        let state = self.lock();
        state.check()?;
        self.flush_locked(state)
    }

    /// Writes what was accepted, and accepts nothing more.
    pub(crate) fn close(self: &Arc<Self>) {
        // A connection that fails is closed, too.
        let _ = self.flush();
        let mut state = self.lock();
        state.ended.get_or_insert(io::ErrorKind::BrokenPipe);
    }

    /// Returns whether everything that was accepted is written.
    pub(crate) fn is_empty(&self) -> bool {
        let state = self.lock();
        state.is_empty() && !state.busy
    }

    /// Drops the objects whose bytes are written.
    ///
    /// # Errors
    /// The connection has failed or is closed.
    pub(crate) fn settle(&self) -> io::Result<()> {
        let mut state = self.lock();
        let written = std::mem::take(&mut state.written);
        let ended = state.check();
        drop(state);
        drop(written);
        ended
    }

    fn flush_locked(self: &Arc<Self>, mut state: MutexGuard<'_, OutletState>) -> io::Result<()> {
        if state.busy {
            return Ok(());
        }
        loop {
            if state.small.is_empty() && !state.take_large() {
                if !state.large.is_empty() {
                    break;
                }
                return Ok(());
            }
            let first = &state.small[0][state.sent..];
            let second = state.small.get(1).map_or(&[][..], Vec::as_slice);
            match socket::write(&self.fd, [first, second], false) {
                Ok(count) => state.advance(count),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(state.fail(error)),
            }
        }
        self.hand_over(state)
    }

    /// Leaves the queued frames to the thread, which is started if necessary.
    fn hand_over(self: &Arc<Self>, mut state: MutexGuard<'_, OutletState>) -> io::Result<()> {
        state.busy = true;
        if !state.has_thread {
            let outlet = Arc::clone(self);
            let builder = std::thread::Builder::new()
                .name("snakepit-write".to_owned())
                .stack_size(64 << 10);
            if builder.spawn(move || outlet.write_for_ever()).is_err() {
                // The thread cannot be started: this thread writes, blocking.
                drop(self.write_all(state));
                return Ok(());
            }
            state.has_thread = true;
        }
        self.work.notify_one();
        Ok(())
    }

    fn write_for_ever(&self) {
        let mut state = self.lock();
        loop {
            if state.busy {
                state = self.write_all(state);
            }
            state = self
                .work
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Writes, blocking, until nothing is left.
    fn write_all<'a>(
        &'a self,
        mut state: MutexGuard<'a, OutletState>,
    ) -> MutexGuard<'a, OutletState> {
        while !state.is_empty() {
            if !state.small.is_empty() {
                let small = std::mem::take(&mut state.small);
                let mut sent = std::mem::take(&mut state.sent);
                drop(state);
                let mut bytes = small.iter().map(|it| &it[std::mem::take(&mut sent)..]);
                let written = bytes.try_for_each(|it| socket::write_all(&self.fd, [it, &[]]));
                state = self.lock();
                if let Err(error) = written {
                    state.fail(error);
                }
            }
            // Small frames go first, and do not delay a large body indefinitely.
            if let Some((front, body, part)) = state.next_part() {
                drop(state);
                let written = self.write(&front, body.part(part.start, part.len()));
                state = self.lock();
                let done = state.part_written(body);
                if let Err(error) = written {
                    state.fail(error);
                }
                match done {
                    Some(body) if body.has_object() => {
                        state.written.push(body);
                        self.wake.notify();
                    }
                    done => {
                        // Freeing a large body takes time.
                        drop(state);
                        drop(done);
                        state = self.lock();
                    }
                }
            }
        }
        state.busy = false;
        // The event loop may wait for this.
        self.wake.notify();
        state
    }

    fn write(&self, front: &[u8], pieces: [&[u8]; 2]) -> io::Result<()> {
        // Usually at most two pieces: the first one is empty beyond the beginning of a body.
        if pieces[0].is_empty() {
            return socket::write_all(&self.fd, [front, pieces[1]]);
        }
        socket::write_all(&self.fd, [front, pieces[0]])?;
        socket::write_all(&self.fd, [pieces[1], &[]])
    }

    fn lock(&self) -> MutexGuard<'_, OutletState> {
        fork::end_child();
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl OutletState {
    fn check(&self) -> io::Result<()> {
        self.ended.map_or(Ok(()), |kind| Err(io::Error::from(kind)))
    }

    fn is_empty(&self) -> bool {
        self.small.is_empty() && self.large.is_empty()
    }

    fn take(&mut self, call: u64, pieces: [&[u8]; 2]) {
        // Frames of one call stay in order.
        let mut large = self.large.iter_mut().rev();
        if let Some(before) = large.find(|it| it.header.call == call) {
            for piece in pieces {
                before.behind.extend_from_slice(piece);
            }
            return;
        }
        for piece in pieces.into_iter().filter(|piece| !piece.is_empty()) {
            match self.small.back_mut() {
                // Small frames share a buffer until it is full.
                Some(last) if last.len() + piece.len() <= FULL => last.extend_from_slice(piece),
                _ => {
                    let mut last = Vec::with_capacity(piece.len().max(KEEP));
                    last.extend_from_slice(piece);
                    self.small.push_back(last);
                }
            }
        }
    }

    /// Moves the next frame with a large body to the small ones, if it needs no parts and holds no
    /// object. Returns whether it did.
    fn take_large(&mut self) -> bool {
        let Some(next) = self.large.front() else {
            return false;
        };
        if next.at > 0 || next.body.len() > WHOLE || next.body.has_object() {
            return false;
        }
        let next = self.large.pop_front().expect("it was just there");
        let mut header = next.header;
        header.body_len = next.body.len() as u64;
        let body = Arc::into_inner(next.body).map(Body::into_bytes);
        let front = [&header.encode()[..], &next.head].concat();
        let pieces = [front, body.unwrap_or_default(), next.behind];
        self.small
            .extend(pieces.into_iter().filter(|it| !it.is_empty()));
        true
    }

    /// Returns the bytes before the next part of a large body, the body, and the range of the part.
    fn next_part(&self) -> Option<(Vec<u8>, Arc<Body>, Range<usize>)> {
        let next = self.large.front()?;
        let end = next.body.len().min(next.at + next.step());
        let mut header = next.header;
        header.body_len = (end - next.at) as u64;
        let mut front = Vec::new();
        if end < next.body.len() {
            header.flags |= FLAG_PART;
            header.head_len = 0;
            front.extend_from_slice(&header.encode());
        } else {
            front.extend_from_slice(&header.encode());
            front.extend_from_slice(&next.head);
        }
        Some((front, Arc::clone(&next.body), next.at..end))
    }

    /// Records that the next part is written. Returns the body if that was its last part.
    fn part_written(&mut self, body: Arc<Body>) -> Option<Arc<Body>> {
        let next = self.large.front_mut()?;
        next.at += next.step();
        if next.at < body.len() {
            return None;
        }
        let next = self.large.pop_front()?;
        if !next.behind.is_empty() {
            self.small.push_back(next.behind);
        }
        Some(body)
    }

    /// Returns whether more bytes wait than should wait for the end of the loop's iteration.
    fn is_full(&self) -> bool {
        self.small.len() > 1 || self.small.front().is_some_and(|first| first.len() >= FULL)
    }

    /// Removes bytes of the small frames that the socket has taken.
    fn advance(&mut self, mut count: usize) {
        while let Some(first) = self.small.front_mut() {
            let left = first.len() - self.sent;
            if count < left {
                self.sent += count;
                return;
            }
            count -= left;
            self.sent = 0;
            self.small.pop_front();
        }
    }

    fn fail(&mut self, error: io::Error) -> io::Error {
        self.ended = Some(error.kind());
        self.small.clear();
        self.sent = 0;
        // This thread may not hold the interpreter's lock, which dropping an object requires.
        let large = self.large.drain(..).map(|it| it.body);
        self.written.extend(large.filter(|body| body.has_object()));
        error
    }
}
