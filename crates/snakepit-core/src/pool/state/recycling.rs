//! Workers that are replaced while they live.

use std::sync::Arc;

use tokio::time::Instant;

use super::{PoolCore, ReadyWorker};
use crate::id::WorkerId;
use crate::pool::recycle::RecycleReason;
use crate::schedule::WorkerKey;
use crate::worker::Worker;

/// A worker whose drain time is over.
pub(crate) struct Expired {
    pub(crate) key: WorkerKey,
    pub(crate) id: WorkerId,
    pub(crate) worker: Arc<dyn Worker>,
    /// Reason of its replacement. `None` if it is surplus.
    pub(crate) reason: Option<RecycleReason>,
}

impl PoolCore {
    /// Notes that a user requests the replacement of the worker of this name. `None` if no such
    /// worker serves.
    pub(crate) fn request_recycle(&mut self, id: &WorkerId) -> Option<WorkerKey> {
        let mut workers = self.workers.iter_mut();
        let (key, live) = workers.find(|(_, live)| !live.draining && live.id == *id)?;
        live.limits.request();
        Some(key)
    }

    /// Counts the replacement of a worker, and notes its reason. `None` if it is unknown.
    pub(crate) fn recycle(
        &mut self,
        key: WorkerKey,
        reason: RecycleReason,
        in_place: bool,
    ) -> Option<&ReadyWorker> {
        self.stats.recycled += 1;
        let live = self.workers.get_mut(key)?;
        live.recycled = Some(reason);
        live.in_place = in_place;
        Some(live)
    }

    /// Notes that a replacement has started.
    pub(crate) fn recycle_succeeded(&mut self) {
        self.stats.recycle_error = None;
    }

    /// Notes that a replacement did not start. Returns true if the worker `old` continues.
    pub(crate) fn recycle_failed(&mut self, old: Option<WorkerKey>, error: String) -> bool {
        self.stats.recycle_failures += 1;
        self.stats.recycle_error = Some(error);
        let old = old.and_then(|old| self.workers.get_mut(old));
        old.map(|live| live.limits.withdraw_request()).is_some()
    }

    /// Records the memory of a worker.
    pub(crate) fn record_memory(&mut self, key: WorkerKey, bytes: u64, now: Instant) {
        if let Some(live) = self.workers.get_mut(key) {
            live.limits.record_memory(now, bytes);
        }
    }

    /// Returns the surplus worker with the fewest calls, the youngest among equals.
    pub(crate) fn surplus(&self) -> Option<WorkerKey> {
        // A lost worker ends anyway.
        let workers = self.workers.iter();
        let surplus = workers.filter(|(_, live)| !live.draining && !live.lost);
        let first = surplus.min_by_key(|(key, live)| {
            let calls = self.scheduler.in_use_of(*key).unwrap_or(0);
            (calls, std::cmp::Reverse(live.ready))
        });
        first.map(|(key, _)| key)
    }

    /// Returns the workers whose drain time is over, each once.
    pub(crate) fn expired(&mut self, now: Instant) -> Vec<Expired> {
        let workers = self.workers.iter_mut();
        let expired = workers.filter_map(|(key, live)| {
            live.drain_until.take_if(|until| *until <= now)?;
            Some(Expired {
                key,
                id: live.id.clone(),
                worker: Arc::clone(&live.worker),
                reason: live.recycled,
            })
        });
        expired.collect()
    }
}
