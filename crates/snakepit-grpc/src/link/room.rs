//! Room for the answers to a worker's requests: what it has not read yet is bounded by the byte.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use snakepit_core::ErrorCode;
use tokio::time::timeout;

use super::handling::{Answer, refusal};
use super::outbox::Outbox;
use super::parser::ProtocolError;

/// Pieces of frames that the worker has not read yet, after which it is taken for broken.
const MAX_PIECES: usize = 1024;

/// Pieces that the worker has not read yet and that have to do with one running call other than its requests: the call itself, and what
/// its stream may send on.
const PIECES_OF_CALL: usize = 8;

/// Bytes of answers that the worker has not read yet, after which its next request waits. It is more than one answer usually has, so
/// that a worker that reads is not slowed down.
const MAX_BYTES: usize = 16 << 20;

/// Bytes of unread answers of all connections of the process. From then on each connection may have [`SHARE`] only: those that read
/// their answers go on.
const MAX_BYTES_OF_ALL: usize = 256 << 20;

/// See [`MAX_BYTES_OF_ALL`].
const SHARE: usize = 1 << 20;

/// Bytes by which answers that were not there at once, and wait for room, may exceed the payload limit.
const MAX_READY: usize = 64 << 20;

/// Time in which a worker whose request waits for room must read something of its answers; after it, the worker is taken for broken.
const PATIENCE: Duration = Duration::from_secs(30);

/// The room of one connection.
#[derive(Debug)]
pub(super) struct Room {
    outbox: Arc<Outbox>,
    max_payload: usize,
    /// Bytes of answers that wait for room.
    ready: AtomicUsize,
}

/// Gives the bytes back, also when the call ends first.
struct Ready<'a>(&'a AtomicUsize, usize);

impl Drop for Ready<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(self.1, Ordering::Relaxed);
    }
}

impl Room {
    pub(super) const fn new(outbox: Arc<Outbox>, max_payload: usize) -> Self {
        Self {
            outbox,
            max_payload,
            ready: AtomicUsize::new(0),
        }
    }

    /// Waits until there is room for one more answer; `calls` counts those that run. A worker that asks without reading the answers would
    /// fill our memory with them.
    ///
    /// # Errors
    /// The worker has left too many unread, or reads none of them for [`PATIENCE`].
    pub(super) async fn wait(&self, calls: impl Fn() -> usize) -> Result<(), ProtocolError> {
        loop {
            // Made before the look: what is taken between the two wakes it.
            let taken = self.outbox.taken();
            let unread = self.outbox.unread();
            if unread.pieces > MAX_PIECES
                && unread.pieces > MAX_PIECES + calls().saturating_sub(1) * PIECES_OF_CALL
            {
                return Err(ProtocolError::Unread);
            }
            let crowded = unread.all > MAX_BYTES_OF_ALL;
            if unread.answers <= if crowded { SHARE } else { MAX_BYTES } {
                return Ok(());
            }
            if timeout(PATIENCE, taken).await.is_err() {
                return Err(ProtocolError::Unread);
            }
        }
    }

    /// Keeps an answer until there is room for it. When too much is kept already, the answer is that. A worker that does not read for
    /// [`PATIENCE`] loses its connection.
    pub(super) async fn hold(&self, answer: Answer, calls: impl Fn() -> usize) -> Answer {
        let bytes = answer.as_ref().map_or(0, Bytes::len);
        let kept = self.ready.fetch_add(bytes, Ordering::Relaxed);
        let _ready = Ready(&self.ready, bytes);
        if kept > 0 && kept + bytes > self.max_payload.saturating_add(MAX_READY) {
            return Err(refusal(
                ErrorCode::TooManyRequests,
                format!("answers of {kept} bytes wait until this connection is read"),
                "read the answers, or ask for less at a time",
            ));
        }
        if self.wait(calls).await.is_err() {
            self.outbox.give_up();
        }
        answer
    }
}
