//! The chunks of one stream, passed on in batches.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures_core::Stream;
use prost::Message as _;
use snakepit_core::value::Payload;
use snakepit_core::worker::CallError;
use tokio::sync::{mpsc, watch};

use super::ending::LinkEnd;
use super::gathered::{Gathered, Rest};
use super::outbox::Outbox;
use super::pending::died;
use crate::frame::{HEADER_LEN, Header, Kind, STREAM_WINDOW};
use crate::pb;

/// Number of batches that may wait for a slow consumer. A batch holds the chunks of one read of the
/// socket.
pub(super) const BATCHES: usize = 4;

/// Number of batches that may wait on a multiplexed connection. The reader must not wait there, so
/// this holds everything that the window allows, one chunk beyond it, and the end of the stream.
pub(super) const BATCHES_IN_WINDOW: usize = STREAM_WINDOW as usize / HEADER_LEN + 2;

/// Size in bytes from which a batch waits until the consumer has taken all batches before it,
/// because batches are otherwise limited by number, not by size.
pub(super) const LARGE_BATCH: usize = 1 << 20;

/// The host's account of the bytes that a stream may send on a multiplexed connection.
#[derive(Debug)]
pub(super) struct Credit {
    allowed: Arc<AtomicU64>,
    received: u64,
}

impl Credit {
    /// Counts a chunk of this length. Returns `false` if the window did not allow it to begin.
    #[must_use]
    pub(super) fn take(&mut self, chunk: usize) -> bool {
        let may_begin = self.received < self.allowed.load(Ordering::Relaxed);
        self.received += (HEADER_LEN + chunk) as u64;
        may_begin
    }
}

/// Reports consumed bytes to the worker on a multiplexed connection.
#[derive(Debug)]
pub(super) struct Window {
    outbox: Arc<Outbox>,
    call: u64,
    /// Bytes that the stream may have sent in total.
    allowed: Arc<AtomicU64>,
    /// Bytes that the consumer has taken and that are not reported to the worker yet.
    taken: u64,
}

impl Window {
    pub(super) fn new(outbox: Arc<Outbox>, call: u64) -> Self {
        Self {
            outbox,
            call,
            allowed: Arc::new(AtomicU64::new(STREAM_WINDOW)),
            taken: 0,
        }
    }

    /// Returns the account for the receiving side.
    pub(super) fn credit(&self) -> Credit {
        Credit {
            allowed: Arc::clone(&self.allowed),
            received: 0,
        }
    }

    fn take(&mut self, chunks: &Gathered) {
        let bytes = chunks.lengths().iter().map(|length| HEADER_LEN + length);
        self.taken += bytes.sum::<usize>() as u64;
        if self.taken >= STREAM_WINDOW / 2 {
            let taken = std::mem::take(&mut self.taken);
            self.open(taken);
        }
    }

    fn open(&self, bytes: u64) {
        // Only this end increases it.
        let allowed = self.allowed.load(Ordering::Relaxed);
        self.allowed
            .store(allowed.saturating_add(bytes), Ordering::Relaxed);
        let head = pb::More { bytes };
        let encode = |out: &mut Vec<u8>| out.extend_from_slice(&head.encode_to_vec());
        // An error means that the connection is gone, and with it the stream.
        let header = Header::new(Kind::More, self.call);
        let _ = self.outbox.send(header, encode, &Bytes::new());
    }
}

/// Chunks, and the end of the stream if it arrived with them.
#[derive(Debug, Default)]
pub(super) struct Batch {
    pub(super) chunks: Gathered,
    pub(super) end: Option<Result<(), CallError>>,
}

/// The receiving end of a stream.
#[derive(Debug)]
pub(super) struct Chunks {
    receiver: mpsc::Receiver<Batch>,
    ended: watch::Receiver<Option<LinkEnd>>,
    window: Option<Window>,
    current: Rest,
    end: Option<Result<(), CallError>>,
    done: bool,
}

impl Chunks {
    pub(super) fn new(
        receiver: mpsc::Receiver<Batch>,
        ended: watch::Receiver<Option<LinkEnd>>,
        window: Option<Window>,
    ) -> Self {
        Self {
            receiver,
            ended,
            window,
            current: Rest::default(),
            end: None,
            done: false,
        }
    }
}

impl Drop for Chunks {
    fn drop(&mut self) {
        // The reader drops the remaining chunks, so the tool must not wait for the window.
        if let Some(window) = self.window.as_mut().filter(|_| !self.done) {
            window.open(u64::MAX);
        }
    }
}

impl Stream for Chunks {
    type Item = Result<Payload, CallError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            if let Some(chunk) = self.current.next() {
                return Poll::Ready(Some(Ok(Payload::from_msgpack(chunk))));
            }
            if self.done {
                return Poll::Ready(None);
            }
            if let Some(end) = self.end.take() {
                self.done = true;
                return Poll::Ready(end.err().map(Err));
            }
            match ready!(self.receiver.poll_recv(cx)) {
                Some(batch) => {
                    if let Some(window) = self.window.as_mut().filter(|_| batch.end.is_none()) {
                        window.take(&batch.chunks);
                    }
                    self.current = batch.chunks.into_iter();
                    self.end = batch.end;
                }
                None => {
                    let end = self.ended.borrow().clone();
                    let reason = end.as_ref().map(|end| &**end.reason());
                    let reason = reason.unwrap_or("closed its connection");
                    self.end = Some(Err(died(reason, true)));
                }
            }
        }
    }
}
