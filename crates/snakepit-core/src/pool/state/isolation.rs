//! A worker that is reserved for one call, because the call may have killed one that it shared.

use tokio::time::Instant;

use super::{Effects, Granted, PoolCore, Unavailable};
use crate::schedule::{Grant, WorkerKey};

/// One look for a worker without other calls.
pub(crate) struct Isolation {
    /// The worker that is reserved from now on. `None` if none was taken.
    pub(crate) reserved: Option<WorkerKey>,
    /// The slot, if the worker has no other calls.
    pub(crate) granted: Option<Granted>,
    pub(crate) effects: Effects,
}

impl PoolCore {
    /// Counts a call that waits for a worker of its own.
    pub(crate) fn await_isolation(&mut self) {
        self.stats.requests += 1;
        self.stats.queued += 1;
    }

    /// Number of calls in the queue.
    pub(crate) fn queued(&self) -> usize {
        self.scheduler.queued()
    }

    /// Returns true if a reserved worker is gone, or another one will be empty sooner.
    pub(crate) fn is_reservation_void(&self, key: WorkerKey) -> bool {
        !self.scheduler.is_reserved(key) || self.scheduler.is_worse(key)
    }

    /// Takes a slot of the reserved worker once its calls have ended. Reserves a worker if `own` is
    /// `None` and no other call has reserved one, so that the others serve.
    pub(crate) fn isolate(&mut self, own: Option<WorkerKey>) -> Result<Isolation, Unavailable> {
        if let Some(why) = self.unavailable() {
            return Err(why);
        }
        let reserved = match own {
            None if !self.reserved => self.scheduler.reserve(),
            _ => None,
        };
        self.reserved |= reserved.is_some();
        let grant = reserved
            .or(own)
            .and_then(|key| self.scheduler.take_alone(key));
        let granted = grant.map(|grant| self.granted(grant));
        Ok(Isolation {
            reserved,
            granted,
            effects: reserved
                .map(|key| self.recall_effects(key))
                .unwrap_or_default(),
        })
    }

    /// Notes that a call has its slot since `now`.
    pub(crate) fn started(&mut self, grant: Grant, now: Instant) {
        self.scheduler.started(grant, now);
    }

    /// Opens a reserved worker to all calls.
    pub(crate) fn open(&mut self, key: WorkerKey) -> Effects {
        self.reserved = false;
        let (wakes, lost) = self.scheduler.unreserve(key);
        Effects {
            lost,
            changed: true,
            ..self.woken(wakes)
        }
    }
}
