//! Calls that were given up and whose tools still run.

use std::sync::Arc;

use tokio::time::Instant;

use crate::id::CallId;
use crate::pool::shared::Shared;
use crate::schedule::WorkerKey;

/// An abandoned call; kept by the task that waits for the end of its tool.
pub(in crate::pool) struct Overdue {
    shared: Arc<Shared>,
    worker: WorkerKey,
    call: CallId,
}

impl Overdue {
    pub(in crate::pool) fn new(shared: &Arc<Shared>, worker: WorkerKey, call: CallId) -> Self {
        if let Some(live) = shared.lock().workers.get_mut(worker) {
            live.heartbeat.give_up(call, Instant::now());
        }
        Self {
            shared: Arc::clone(shared),
            worker,
            call,
        }
    }
}

impl Drop for Overdue {
    fn drop(&mut self) {
        if let Some(live) = self.shared.lock().workers.get_mut(self.worker) {
            live.heartbeat.settle(self.call);
        }
    }
}
