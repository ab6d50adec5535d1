//! The limits for answers to a worker's requests: unread answers are bounded by their bytes.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use snakepit_core::error::ErrorCode;
use tokio::time::timeout;

use super::handling::{HostReply, refusal};
use super::outbox::Outbox;
use super::parser::ProtocolError;

/// Number of unread pieces of frames beyond which the worker is treated as broken.
const MAX_PIECES: usize = 1024;

/// Number of unread pieces that each running call adds, apart from its requests: the call itself,
/// and the window updates of its stream.
const PIECES_OF_CALL: usize = 8;

/// Bytes of unread answers beyond which the worker's next request waits. Larger than most answers,
/// so a worker that reads its answers is not slowed down.
const MAX_BYTES: usize = 16 << 20;

/// Bytes of unread answers on all connections of the process. Beyond this, each connection may have
/// only [`SHARE`], so the connections that read their answers continue.
const MAX_BYTES_OF_ALL: usize = 256 << 20;

/// Largest share of one connection, see [`MAX_BYTES_OF_ALL`].
const SHARE: usize = 1 << 20;

/// Bytes by which the answers that wait for room may exceed the payload limit.
const MAX_READY: usize = 64 << 20;

/// Time in which a worker whose request waits for room must read some of its answers. After it, the
/// worker is treated as broken.
const PATIENCE: Duration = Duration::from_secs(30);

/// The limits of one connection.
#[derive(Debug)]
pub(super) struct Room {
    outbox: Arc<Outbox>,
    max_payload: usize,
    /// Bytes of the answers that wait for room.
    ready: AtomicUsize,
}

/// Releases the bytes when dropped, even if the call ends first.
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

    /// Waits until there is room for one more answer; `calls` returns the number of running calls.
    /// Otherwise a worker that sends requests without reading the answers could fill the host's
    /// memory.
    ///
    /// # Errors
    /// The worker has left too many answers unread, or has read none for [`PATIENCE`].
    pub(super) async fn wait(&self, calls: impl Fn() -> usize) -> Result<(), ProtocolError> {
        loop {
            // Created before the check, so that bytes taken in between wake it.
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

    /// Keeps an answer until there is room for it. If too much is kept already, returns an error as
    /// the answer instead. A worker that does not read for [`PATIENCE`] loses its connection.
    pub(super) async fn hold(&self, answer: HostReply, calls: impl Fn() -> usize) -> HostReply {
        let bytes = answer.as_ref().map_or(0, Bytes::len);
        let kept = self.ready.fetch_add(bytes, Ordering::Relaxed);
        let _ready = Ready(&self.ready, bytes);
        if kept > 0 && kept + bytes > self.max_payload.saturating_add(MAX_READY) {
            return Err(refusal(
                ErrorCode::TooManyRequests,
                format!("answers of {kept} bytes wait until this connection is read"),
                "read the answers, or request less at a time",
            ));
        }
        if self.wait(calls).await.is_err() {
            self.outbox.give_up();
        }
        answer
    }
}
