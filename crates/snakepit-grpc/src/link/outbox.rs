//! The writing half of a connection: frames go out whole and in order.

use std::collections::VecDeque;
use std::io::{ErrorKind, IoSlice};
use std::os::fd::AsFd as _;
use std::sync::Mutex;

use bytes::{Buf as _, Bytes};
use tokio::net::UnixStream;
use tokio::net::unix::OwnedWriteHalf;
use tokio::sync::Notify;

use crate::frame::{HEADER_LEN, Header};

/// A body up to this size is copied behind its head and goes out in one plain write.
const COPY_LIMIT: usize = 4096;

/// Writes frames. Many tasks may send; each frame is put in its place at once.
#[derive(Debug)]
pub(super) struct Outbox {
    stream: OwnedWriteHalf,
    state: Mutex<State>,
    wake: Notify,
}

#[derive(Debug, Default)]
struct State {
    /// Header, head and small body of the frame being sent; reused.
    scratch: Vec<u8>,
    /// What the socket did not take yet. While there is any, new frames queue behind it.
    backlog: VecDeque<Bytes>,
    broken: bool,
}

/// The connection does not take bytes any more, and not one of this frame was taken.
#[derive(Debug)]
pub(super) struct Broken;

impl Outbox {
    pub(super) fn new(stream: OwnedWriteHalf) -> Self {
        Self {
            stream,
            state: Mutex::default(),
            wake: Notify::new(),
        }
    }

    /// Sends one frame; `write_head` appends the head. It never blocks: what the socket does not
    /// take is left to [`Outbox::flush_forever`].
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
                    // When the peer has part of it, the call fails as one that was sent.
                    return if written == 0 { Err(Broken) } else { Ok(()) };
                }
            }
        } else {
            0
        };
        let front = scratch.len();
        if written < front {
            state
                .backlog
                .push_back(Bytes::copy_from_slice(&scratch[written..]));
        }
        let rest = body.slice(written.saturating_sub(front).min(body.len())..);
        if !rest.is_empty() {
            state.backlog.push_back(rest);
        }
        if !state.backlog.is_empty() {
            self.wake.notify_one();
        }
        Ok(())
    }

    /// Pieces that the peer did not take yet.
    pub(super) fn unread(&self) -> usize {
        let state = self.state.lock();
        state
            .expect("nothing panics while it is locked")
            .backlog
            .len()
    }

    /// Ends the connection in both directions, whoever holds its other end. What has arrived by now
    /// can still be read; nothing arrives later.
    pub(super) fn cut(&self) {
        let stream: &UnixStream = self.stream.as_ref();
        let copy = stream.as_fd().try_clone_to_owned();
        let ended = copy.and_then(|copy| {
            std::os::unix::net::UnixStream::from(copy).shutdown(std::net::Shutdown::Both)
        });
        if ended.is_err() {
            // Without a free descriptor what has arrived is lost as well.
            self.give_up();
        }
    }

    /// Takes the connection for broken from now on.
    pub(super) fn give_up(&self) {
        self.state
            .lock()
            .expect("nothing panics while it is locked")
            .broken = true;
        self.wake.notify_one();
    }

    /// Finishes what [`Outbox::send`] could not. Ends when the connection is broken.
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
                if self.stream.writable().await.is_err() {
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

    /// Writes what the socket takes; true when nothing is left.
    fn flush_some(&self) -> Result<bool, Broken> {
        let mut state = self
            .state
            .lock()
            .expect("nothing panics while it is locked");
        loop {
            let Some(front) = state.backlog.front_mut() else {
                return Ok(true);
            };
            match self.stream.try_write(front) {
                Ok(written) => front.advance(written),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(_) => {
                    state.broken = true;
                    state.backlog.clear();
                    return Err(Broken);
                }
            }
            if front.is_empty() {
                state.backlog.pop_front();
            }
        }
    }
}

/// The connection broke after so many bytes.
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
