//! Calls that were given up and whose tools still run.

use std::sync::Arc;

use tokio::time::Instant;

use crate::id::CallId;
use crate::pool::shared::Shared;
use crate::schedule::WorkerKey;

/// An abandoned call; kept by the task that waits for the end of its tool.
pub(super) struct Overdue {
    shared: Arc<Shared>,
    worker: WorkerKey,
    call: CallId,
}

impl Overdue {
    pub(super) fn new(shared: &Arc<Shared>, worker: WorkerKey, call: CallId) -> Self {
        shared.lock().give_up_call(worker, call, Instant::now());
        Self {
            shared: Arc::clone(shared),
            worker,
            call,
        }
    }
}

impl Drop for Overdue {
    fn drop(&mut self) {
        self.shared.lock().settle_call(self.worker, self.call);
    }
}
