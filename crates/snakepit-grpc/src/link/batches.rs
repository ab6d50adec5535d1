//! The batches that are being sent, and their cancellations.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use snakepit_core::error::{ErrorCode, ToolError};
use snakepit_core::worker::CallError;

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

/// The outcome of an item that was not sent because its batch was cancelled.
pub(super) fn cancelled() -> CallError {
    let message = "the batch was cancelled before this item was sent";
    CallError::Tool(Box::new(ToolError::new(ErrorCode::Cancelled, message)))
}
