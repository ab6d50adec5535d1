//! A worker that is held for one call.

use std::sync::Arc;

use crate::pool::shared::Shared;
use crate::schedule::WorkerKey;

/// A worker held for one call. Dropping this opens it to all calls.
pub(super) struct Hold {
    pub(super) shared: Arc<Shared>,
    pub(super) key: WorkerKey,
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.shared.change(|state| state.open(self.key));
    }
}
