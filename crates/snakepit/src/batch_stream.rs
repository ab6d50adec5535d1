//! Record batches out of a streaming call.

use std::collections::VecDeque;
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use arrow_array::RecordBatch;
use futures_core::Stream;
use snakepit_core::value::{DataFrame, PayloadError};

use crate::{Error, ResultStream};

impl ResultStream<DataFrame> {
    /// The record batches of all chunks, in order; a chunk may have any number of them.
    pub const fn record_batches(self) -> BatchStream {
        BatchStream {
            frames: self,
            batches: VecDeque::new(),
        }
    }
}

/// The record batches of a streaming call whose chunks are data frames. Dropping it cancels the
/// call.
#[must_use = "a stream does nothing unless it is read"]
pub struct BatchStream {
    frames: ResultStream<DataFrame>,
    /// Batches of the last chunk that were not returned yet.
    batches: VecDeque<RecordBatch>,
}

impl BatchStream {
    /// The next batch; `None` after the last one.
    ///
    /// # Cancel safety
    /// No batch is lost when the future is dropped.
    pub async fn next(&mut self) -> Option<Result<RecordBatch, Error>> {
        futures_util::StreamExt::next(self).await
    }
}

impl Stream for BatchStream {
    type Item = Result<RecordBatch, Error>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        loop {
            if let Some(batch) = this.batches.pop_front() {
                return Poll::Ready(Some(Ok(batch)));
            }
            let frame = match Pin::new(&mut this.frames).poll_next(cx) {
                Poll::Ready(Some(Ok(frame))) => frame,
                Poll::Ready(Some(Err(error))) => return Poll::Ready(Some(Err(error))),
                Poll::Ready(None) => return Poll::Ready(None),
                Poll::Pending => return Poll::Pending,
            };
            match Vec::try_from(&frame) {
                Ok(batches) => this.batches = VecDeque::from(batches),
                Err(error) => return Poll::Ready(Some(Err(unfit(&error)))),
            }
        }
    }
}

fn unfit(error: &snakepit_core::value::DataFrameError) -> Error {
    Error::from(PayloadError::Decode {
        expected: std::any::type_name::<RecordBatch>(),
        reason: error.to_string(),
    })
}

impl fmt::Debug for BatchStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BatchStream").finish_non_exhaustive()
    }
}
