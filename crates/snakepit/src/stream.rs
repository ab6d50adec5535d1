//! Typed chunks of a streaming call.

use std::fmt;
use std::marker::PhantomData;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_core::Stream;
use serde::de::DeserializeOwned;
use snakepit_core::pool::ReplyStream;

use crate::Error;

/// The chunks of one streaming call, in order. The stream ends after the last chunk, or after the
/// first error of the call.
///
/// A chunk that does not fit `R` yields an error, and the next chunk follows. Dropping the stream
/// cancels the call.
#[must_use = "a stream does nothing unless it is read"]
pub struct ResultStream<R> {
    chunks: ReplyStream,
    result: PhantomData<fn() -> R>,
}

impl<R> ResultStream<R> {
    pub(crate) const fn new(chunks: ReplyStream) -> Self {
        Self {
            chunks,
            result: PhantomData,
        }
    }
}

impl<R: DeserializeOwned> ResultStream<R> {
    /// Returns the next chunk. `None` after the last one.
    ///
    /// # Cancel safety
    /// Dropping the future loses no chunk.
    pub async fn next(&mut self) -> Option<Result<R, Error>> {
        futures_util::StreamExt::next(self).await
    }
}

impl<R: DeserializeOwned> Stream for ResultStream<R> {
    type Item = Result<R, Error>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let chunks = Pin::new(&mut self.get_mut().chunks);
        chunks
            .poll_next(cx)
            .map(|chunk| chunk.map(|chunk| Ok(chunk?.decode()?)))
    }
}

impl<R> fmt::Debug for ResultStream<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResultStream").finish_non_exhaustive()
    }
}
