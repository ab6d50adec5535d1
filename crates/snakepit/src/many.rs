//! Typed results of many calls.

use std::collections::VecDeque;
use std::fmt;
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use futures_core::Stream;
use futures_util::stream::{Fuse, StreamExt};
use serde::Serialize;
use serde::de::DeserializeOwned;
use snakepit_core::pool::ManyStream;

use crate::{CallOptions, Error, Payload, PayloadError, Pool};

/// Results of [`execute_many`](crate::Snakepit::execute_many): one per item, in the order of the
/// items.
///
/// A failure of one item does not affect the others. Dropping the stream cancels the remaining
/// calls.
#[must_use = "nothing is called unless the results are read"]
pub struct ManyResults<R> {
    results: Fuse<ManyStream>,
    /// Items that could not be encoded and never reached the pool.
    refused: Refused,
    /// A received result, kept while errors of earlier items are returned first.
    held: Option<Result<Payload, Error>>,
    next: u64,
    result: PhantomData<fn() -> R>,
}

/// Index and error of each item that could not be encoded.
type Refused = Arc<Mutex<VecDeque<(u64, PayloadError)>>>;

impl<R> ManyResults<R> {
    pub(crate) fn start<I>(pool: &Pool, tool: Arc<str>, items: I, options: &CallOptions) -> Self
    where
        I: Iterator + Send + 'static,
        I::Item: Serialize,
    {
        let refused = Refused::default();
        let sink = Arc::clone(&refused);
        let payloads = (0_u64..).zip(items).filter_map(move |(index, item)| {
            Payload::encode(&item)
                .map_err(|error| lock(&sink).push_back((index, error)))
                .ok()
        });
        let results = pool.execute_many(tool, payloads, options).fuse();
        Self {
            results,
            refused,
            held: None,
            next: 0,
            result: PhantomData,
        }
    }

    /// Returns the error of the next item if it could not be encoded.
    fn take_refused(&mut self) -> Option<PayloadError> {
        let mut refused = lock(&self.refused);
        if refused.front().is_none_or(|(index, _)| *index != self.next) {
            return None;
        }
        refused.pop_front().map(|(_, error)| error)
    }
}

impl<R: DeserializeOwned> ManyResults<R> {
    /// Returns the result of the next item. `None` after the last one.
    ///
    /// # Cancel safety
    /// Dropping the future loses no result.
    pub async fn next(&mut self) -> Option<Result<R, Error>> {
        StreamExt::next(self).await
    }
}

impl<R: DeserializeOwned> Stream for ManyResults<R> {
    type Item = Result<R, Error>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        let result = match this.held.take() {
            Some(result) => Some(result),
            None => match Pin::new(&mut this.results).poll_next(cx) {
                Poll::Ready(result) => result,
                Poll::Pending => match this.take_refused() {
                    Some(error) => {
                        this.next += 1;
                        return Poll::Ready(Some(Err(error.into())));
                    }
                    None => return Poll::Pending,
                },
            },
        };
        if let Some(error) = this.take_refused() {
            this.held = result;
            this.next += 1;
            return Poll::Ready(Some(Err(error.into())));
        }
        this.next += 1;
        Poll::Ready(result.map(|result| Ok(result?.decode()?)))
    }
}

impl<R> fmt::Debug for ManyResults<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ManyResults")
            .field("next", &self.next)
            .finish_non_exhaustive()
    }
}

/// Ignores poisoning: no code panics while it holds this lock.
fn lock(refused: &Refused) -> std::sync::MutexGuard<'_, VecDeque<(u64, PayloadError)>> {
    refused.lock().unwrap_or_else(PoisonError::into_inner)
}
