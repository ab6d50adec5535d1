//! A worker that is reserved for one call.

use std::sync::Arc;

use crate::pool::shared::Shared;
use crate::schedule::WorkerKey;

/// A reservation of a worker for one call. Dropping it opens the worker to all calls.
pub(super) struct Reservation {
    pub(super) shared: Arc<Shared>,
    pub(super) key: WorkerKey,
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.shared.change(|state| state.open(self.key));
    }
}
