//! The writing half of a connection: frames are sent whole and in order.

use std::collections::VecDeque;
use std::future::{Future as _, poll_fn};
use std::io::{self, ErrorKind, IoSlice};
use std::os::fd::AsFd as _;
use std::pin::pin;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Poll;

use bytes::{Buf as _, Bytes};
use tokio::net::UnixStream;
use tokio::net::unix::OwnedWriteHalf;
use tokio::sync::Notify;
use tokio::sync::futures::Notified;

use crate::frame::{HEADER_LEN, Header, Kind};

/// A body up to this size is copied behind its head and sent in one plain write.
const COPY_LIMIT: usize = 4096;

/// Writes frames. Several tasks may send concurrently; each frame gets its place at once.
#[derive(Debug)]
pub(super) struct Outbox {
    stream: OwnedWriteHalf,
    state: Mutex<OutboxState>,
    wake: Notify,
    /// Notified when the peer has taken bytes or the connection is broken.
    taken: Notify,
}

#[derive(Debug, Default)]
struct OutboxState {
    /// Header, head and small body of the frame being sent; reused.
    scratch: Vec<u8>,
    /// Bytes that the socket has not taken yet. New frames queue behind them.
    backlog: VecDeque<Piece>,
    /// Size of the answers in the backlog.
    answers: Held,
    broken: bool,
}

/// A part of a frame.
#[derive(Debug)]
struct Piece {
    bytes: Bytes,
    /// `true` if the piece belongs to an answer to the peer's own request.
    answer: bool,
}

/// Total size in bytes of the answers that wait in the backlogs of all connections of this process.
static ALL_ANSWERS: AtomicUsize = AtomicUsize::new(0);

/// The share of one connection in [`ALL_ANSWERS`].
#[derive(Debug, Default)]
struct Held(usize);

impl Held {
    fn add(&mut self, bytes: usize) {
        self.0 += bytes;
        ALL_ANSWERS.fetch_add(bytes, Ordering::Relaxed);
    }

    fn remove(&mut self, bytes: usize) {
        self.0 -= bytes;
        ALL_ANSWERS.fetch_sub(bytes, Ordering::Relaxed);
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.remove(self.0);
    }
}

/// The amount of data that a peer has not read yet.
#[derive(Clone, Copy, Debug)]
pub(super) struct Unread {
    /// Number of pieces of frames.
    pub(super) pieces: usize,
    /// Bytes of answers to the peer's requests.
    pub(super) answers: usize,
    /// Bytes of answers on all connections of this process.
    pub(super) all: usize,
}

/// The connection takes no more bytes, and it has taken none of this frame.
#[derive(Debug)]
pub(super) struct Broken;

impl Outbox {
    pub(super) fn new(stream: OwnedWriteHalf) -> Self {
        Self {
            stream,
            state: Mutex::default(),
            wake: Notify::new(),
            taken: Notify::new(),
        }
    }

    /// Sends one frame; `write_head` appends the head. Never blocks: [`Outbox::flush_forever`]
    /// writes the bytes that the socket does not take.
    pub(super) fn send(
        &self,
        mut header: Header,
        write_head: impl FnOnce(&mut Vec<u8>),
        body: &Bytes,
    ) -> Result<(), Broken> {
        let mut guard = self
            .state
            .lock()
            .expect("nothing panics while it is locked");
        let state = &mut *guard;
        if state.broken {
            return Err(Broken);
        }
        let scratch = &mut state.scratch;
        scratch.clear();
        scratch.extend_from_slice(&[0; HEADER_LEN]);
        write_head(scratch);
        header.head_len = u32::try_from(scratch.len() - HEADER_LEN).map_err(|_| Broken)?;
        header.body_len = body.len() as u64;
        scratch[..HEADER_LEN].copy_from_slice(&header.encode());
        let body = if body.len() <= COPY_LIMIT {
            scratch.extend_from_slice(body);
            Bytes::new()
        } else {
            body.clone()
        };
        let written = if state.backlog.is_empty() {
            match write_now(&self.stream, scratch, &body) {
                Ok(written) => written,
                Err(Stopped { written }) => {
                    state.broken = true;
                    self.wake.notify_one();
                    // If the peer has a part of the frame, the call fails as one that was sent.
                    return if written == 0 { Err(Broken) } else { Ok(()) };
                }
            }
        } else {
            0
        };
        let front = scratch.len();
        let answer = header.kind == Kind::HostReply;
        let rest = body.slice(written.saturating_sub(front).min(body.len())..);
        if answer && written < front + body.len() {
            state.answers.add(front + body.len() - written);
        }
        if written < front {
            let bytes = Bytes::copy_from_slice(&scratch[written..]);
            state.backlog.push_back(Piece { bytes, answer });
        }
        if !rest.is_empty() {
            let bytes = rest;
            state.backlog.push_back(Piece { bytes, answer });
        }
        if !state.backlog.is_empty() {
            self.wake.notify_one();
        }
        Ok(())
    }

    /// Returns the amount of data that the peer has not taken yet.
    pub(super) fn unread(&self) -> Unread {
        let state = self.state.lock();
        let state = state.expect("nothing panics while it is locked");
        Unread {
            pieces: state.backlog.len(),
            answers: state.answers.0,
            all: ALL_ANSWERS.load(Ordering::Relaxed),
        }
    }

    /// Resolves when the peer takes bytes after this call, or when the connection breaks.
    pub(super) fn taken(&self) -> Notified<'_> {
        self.taken.notified()
    }

    /// Ends the connection in both directions, even if another process holds the other end. Bytes
    /// that have arrived can still be read; no further bytes arrive.
    pub(super) fn cut(&self) {
        let stream: &UnixStream = self.stream.as_ref();
        let copy = stream.as_fd().try_clone_to_owned();
        let ended = copy.and_then(|copy| {
            std::os::unix::net::UnixStream::from(copy).shutdown(std::net::Shutdown::Both)
        });
        if ended.is_err() {
            // Without a free descriptor the bytes that have arrived are lost as well.
            self.give_up();
        }
    }

    /// Treats the connection as broken from now on.
    pub(super) fn give_up(&self) {
        self.state
            .lock()
            .expect("nothing panics while it is locked")
            .broken = true;
        self.wake.notify_one();
        self.taken.notify_waiters();
    }

    /// Writes the backlog of [`Outbox::send`]. Returns when the connection is broken.
    pub(super) async fn flush_forever(&self) {
        loop {
            self.wake.notified().await;
            loop {
                if self
                    .state
                    .lock()
                    .expect("nothing panics while it is locked")
                    .broken
                {
                    return;
                }
                if self.writable().await.is_err() {
                    return;
                }
                match self.flush_some() {
                    Ok(true) => break,
                    Ok(false) => {}
                    Err(Broken) => return,
                }
            }
        }
    }

    /// Resolves when the socket may take bytes, or when the connection was given up.
    async fn writable(&self) -> io::Result<()> {
        let mut woken = pin!(self.wake.notified());
        let mut writable = pin!(self.stream.writable());
        poll_fn(|context| match woken.as_mut().poll(context) {
            Poll::Ready(()) => Poll::Ready(Ok(())),
            Poll::Pending => writable.as_mut().poll(context),
        })
        .await
    }

    /// Writes as much as the socket takes. Returns `true` if the backlog is empty.
    fn flush_some(&self) -> Result<bool, Broken> {
        let mut guard = self
            .state
            .lock()
            .expect("nothing panics while it is locked");
        let state = &mut *guard;
        let before = state.answers.0;
        let outcome = loop {
            let Some(front) = state.backlog.front_mut() else {
                break Ok(true);
            };
            match self.stream.try_write(&front.bytes) {
                Ok(written) => {
                    front.bytes.advance(written);
                    if front.answer {
                        state.answers.remove(written);
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => break Ok(false),
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(_) => {
                    state.broken = true;
                    state.backlog.clear();
                    state.answers = Held::default();
                    break Err(Broken);
                }
            }
            if front.bytes.is_empty() {
                state.backlog.pop_front();
            }
        };
        if state.answers.0 < before {
            self.taken.notify_waiters();
        }
        outcome
    }
}

/// The connection broke after `written` bytes.
struct Stopped {
    written: usize,
}

/// Writes as much of both parts as the socket takes now.
fn write_now(stream: &OwnedWriteHalf, front: &[u8], body: &[u8]) -> Result<usize, Stopped> {
    let total = front.len() + body.len();
    let mut written = 0;
    while written < total {
        let result = if written >= front.len() {
            stream.try_write(&body[written - front.len()..])
        } else if body.is_empty() {
            stream.try_write(&front[written..])
        } else {
            stream.try_write_vectored(&[IoSlice::new(&front[written..]), IoSlice::new(body)])
        };
        match result {
            Ok(more) => written += more,
            Err(error) if error.kind() == ErrorKind::WouldBlock => break,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(_) => return Err(Stopped { written }),
        }
    }
    Ok(written)
}
