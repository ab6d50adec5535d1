//! Batches: their items in frames, and their cancellation.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use snakepit_core::call::Request;
use snakepit_core::error::{ErrorCode, ToolError};
use snakepit_core::value::Payload;
use snakepit_core::worker::{CallError, ItemResult};
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::client::{LinkClient, without_args};
use super::many::push_item;
use super::pending::{Waiter, died};
use crate::frame::Kind;

/// Largest total size in bytes of the items in one `MANY` frame, if the payload limit is not
/// smaller.
const MANY_FRAME: usize = 4 << 20;

/// The batches of a connection, by call. The value is `true` if the batch is cancelled.
#[derive(Debug, Default)]
pub(super) struct Batches(Mutex<HashMap<u64, bool>>);

/// The registration of a batch, until it is dropped.
#[derive(Debug)]
pub(super) struct Open<'a> {
    batches: &'a Batches,
    call: u64,
}

impl Batches {
    /// Registers a batch that begins.
    pub(super) fn begin(&self, call: u64) -> Open<'_> {
        self.lock().insert(call, false);
        Open {
            batches: self,
            call,
        }
    }

    /// Marks a batch as cancelled. Does nothing if the call is not a batch.
    pub(super) fn cancel(&self, call: u64) {
        if let Some(cancelled) = self.lock().get_mut(&call) {
            *cancelled = true;
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<u64, bool>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Open<'_> {
    /// Returns `true` if the caller has cancelled the batch.
    pub(super) fn is_cancelled(&self) -> bool {
        self.batches.lock().get(&self.call) == Some(&true)
    }
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        self.batches.lock().remove(&self.call);
    }
}

impl LinkClient {
    /// Calls the tool once for each item, one after the other. Returns one result for each item, in
    /// order. Items share frames as far as the payload limit allows.
    pub async fn call_many(&self, request: &Request, items: &[Payload]) -> Vec<ItemResult> {
        let frame_limit = self.max_payload.min(MANY_FRAME);
        let mut results = Vec::with_capacity(items.len());
        let batch = self.batches.begin(request.call.0);
        while results.len() < items.len() {
            if batch.is_cancelled() {
                // The rest is not sent, because the worker would run it as a call that is not
                // cancelled.
                let missing = items.len() - results.len();
                results.extend((0..missing).map(|_| Err(cancelled())));
                break;
            }
            let rest = &items[results.len()..];
            let mut size = 0;
            let fitting = rest.iter().take_while(|item| {
                size += 4 + item.bytes.len();
                size <= frame_limit
            });
            match fitting.count() {
                // The first item is too large for a batch, so it is sent alone as a plain call.
                0 => {
                    let mut single = without_args(request);
                    (single.args, single.at) = (rest[0].clone(), Instant::now());
                    results.push(self.call(&single).await);
                }
                count => results.extend(self.call_some(request, &rest[..count]).await),
            }
            if let Some(Err(CallError::NotBegun)) = results.last() {
                // The worker has not begun the rest either.
                results.resize(items.len(), Err(CallError::NotBegun));
            }
        }
        results
    }

    /// Sends one `MANY` frame and waits for its results.
    async fn call_some(&self, request: &Request, items: &[Payload]) -> Vec<ItemResult> {
        let size = items.iter().map(|item| 4 + item.bytes.len()).sum();
        let mut body = Vec::with_capacity(size);
        for item in items {
            push_item(&item.bytes, &mut body);
        }
        let (sender, receiver) = oneshot::channel();
        let expected = items.len();
        let waiter = Waiter::Many {
            sender,
            results: Vec::with_capacity(expected),
            expected,
        };
        let failed = |error: CallError| (0..expected).map(|_| Err(error.clone())).collect();
        let mut request = without_args(request);
        request.at = Instant::now();
        match self.send(Kind::Many, request, waiter, &Bytes::from(body)) {
            Err(error) => failed(error),
            Ok(()) => receiver
                .await
                .unwrap_or_else(|_| failed(died(&self.reason(), true))),
        }
    }
}

/// The outcome of an item that was not sent because its batch was cancelled.
fn cancelled() -> CallError {
    let message = "the batch was cancelled before this item was sent";
    CallError::Tool(Box::new(ToolError::new(ErrorCode::Cancelled, message)))
}
