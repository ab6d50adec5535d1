//! Calls that were sent ahead of their turn and that their workers must return.

use std::sync::Arc;

use super::PoolCore;
use crate::id::{CallId, Slot};
use crate::schedule::{Grant, WorkerKey};
use crate::worker::Worker;

/// Calls that their worker must return.
#[must_use = "the worker must be asked"]
pub(crate) struct Recall {
    pub(crate) worker: Arc<dyn Worker>,
    pub(crate) calls: Vec<(Slot, CallId)>,
}

impl PoolCore {
    /// Recalls the calls that were sent ahead to a worker. The caller has ensured that no more
    /// are sent.
    pub(super) fn recall(&mut self, key: WorkerKey) -> Option<Recall> {
        let live = self.workers.get(key).filter(|live| live.ahead)?;
        let calls = self.scheduler.recall(key);
        let worker = Arc::clone(&live.worker);
        (!calls.is_empty()).then_some(Recall { worker, calls })
    }

    /// Recalls the calls behind the one that has this grant of `worker`. Nothing more is sent
    /// there before it is over.
    pub(crate) fn recall_behind(
        &mut self,
        grant: Grant,
        worker: &Arc<dyn Worker>,
    ) -> Option<Recall> {
        let calls = self.scheduler.recall_behind(grant);
        let worker = Arc::clone(worker);
        (!calls.is_empty()).then_some(Recall { worker, calls })
    }

    /// Recalls the calls that were sent ahead to all workers.
    pub(super) fn recall_all(&mut self) -> Vec<Recall> {
        let keys: Vec<_> = self.workers.iter().map(|(key, _)| key).collect();
        let all = keys.into_iter();
        all.filter_map(|key| self.recall(key)).collect()
    }
}
