//! The end of a pool whose supervisor is gone: with the runtime that it ran on, or by a panic.

use std::sync::Arc;

use super::shared::Shared;
use super::supervisor::Readiness;

/// Closes the pool when this is dropped; the supervisor has one. Nothing is left to do then if the pool was closed in order.
pub(super) struct CloseWithSupervisor(pub(super) Arc<Shared>);

impl Drop for CloseWithSupervisor {
    fn drop(&mut self) {
        self.0.orphaned();
    }
}

impl Shared {
    /// Nothing serves the pool any more: its workers end, calls that wait fail, and further ones are refused.
    fn orphaned(&self) {
        self.begin_close();
        let (workers, spares) = {
            let mut state = self.lock();
            state.starting.clear();
            let keys: Vec<_> = state.workers.iter().map(|(key, _)| key).collect();
            let mut workers = Vec::new();
            for key in keys {
                // Closing has emptied the queue, so nobody waits for it.
                drop(state.remove(key));
                workers.extend(state.workers.remove(key));
            }
            (workers, std::mem::take(&mut state.spares))
        };
        self.changed.notify_waiters();
        // Dropping the last handle of a worker ends it. Calls in it fail by themselves.
        drop((workers, spares));
        self.readiness.send_replace(Readiness::Closed);
    }
}
