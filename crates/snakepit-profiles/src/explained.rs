//! A stream whose last error describes the worker's end.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use futures_core::Stream;
use snakepit_core::value::Payload;
use snakepit_core::worker::{CallError, ChunkStream};

/// A source of more information about a lost connection.
pub(crate) trait Explain: Send + Sync + 'static {
    /// Adds the information to an error.
    fn explain(self: Arc<Self>, error: CallError) -> impl Future<Output = CallError> + Send;
}

/// Passes chunks through and completes a `Died` error.
pub(crate) struct Explained<W> {
    chunks: ChunkStream,
    worker: Arc<W>,
    explaining: Option<Pin<Box<dyn Future<Output = CallError> + Send>>>,
}

impl<W> Explained<W> {
    pub(crate) fn new(chunks: ChunkStream, worker: Arc<W>) -> Self {
        Self {
            chunks,
            worker,
            explaining: None,
        }
    }
}

impl<W: Explain> Stream for Explained<W> {
    type Item = Result<Payload, CallError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.explaining.is_none() {
            match ready!(self.chunks.as_mut().poll_next(cx)) {
                Some(Err(error @ CallError::Died { .. })) => {
                    let worker = Arc::clone(&self.worker);
                    self.explaining = Some(Box::pin(worker.explain(error)));
                }
                item => return Poll::Ready(item),
            }
        }
        let Some(explaining) = &mut self.explaining else {
            return Poll::Pending;
        };
        let error = ready!(explaining.as_mut().poll(cx));
        self.explaining = None;
        Poll::Ready(Some(Err(error)))
    }
}
