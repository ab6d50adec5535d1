//! The chunks of one stream, handed over in batches.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures_core::Stream;
use snakepit_core::{CallError, Payload};
use tokio::sync::{mpsc, watch};

use super::pending::died;

/// Batches that may wait for a slow consumer. One batch is what one read of the socket brought.
pub(super) const BATCHES: usize = 4;

/// Some chunks, and the end of the stream if it came with them.
#[derive(Debug, Default)]
pub(super) struct Batch {
    pub(super) chunks: Vec<Bytes>,
    pub(super) end: Option<Result<(), CallError>>,
}

/// The receiving end of a stream.
#[derive(Debug)]
pub(super) struct Chunks {
    receiver: mpsc::Receiver<Batch>,
    ended: watch::Receiver<Option<Arc<str>>>,
    current: std::vec::IntoIter<Bytes>,
    end: Option<Result<(), CallError>>,
    done: bool,
}

impl Chunks {
    pub(super) fn new(
        receiver: mpsc::Receiver<Batch>,
        ended: watch::Receiver<Option<Arc<str>>>,
    ) -> Self {
        Self {
            receiver,
            ended,
            current: Vec::new().into_iter(),
            end: None,
            done: false,
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
                    self.current = batch.chunks.into_iter();
                    self.end = batch.end;
                }
                None => {
                    let reason = self.ended.borrow().clone();
                    let reason = reason.as_deref().unwrap_or("closed its connection");
                    self.end = Some(Err(died(reason, true)));
                }
            }
        }
    }
}
