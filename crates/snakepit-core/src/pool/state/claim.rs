//! Slots that the pool itself takes, for health checks.

use super::{Effects, Granted, PoolCore, Waiter};
use crate::schedule::{Claim, WorkerKey};

/// The answer to a claim.
pub(crate) enum Claimed {
    Granted(Granted),
    /// The claim gets the next slot of the worker.
    Waits(Effects),
}

impl PoolCore {
    /// Takes a slot of this worker, before all waiting calls. `None` if it takes no more calls.
    pub(crate) fn claim(
        &mut self,
        key: WorkerKey,
        waiter: impl FnOnce() -> Waiter,
    ) -> Option<Claimed> {
        match self.scheduler.claim(key, waiter) {
            Claim::Granted(grant) => Some(Claimed::Granted(self.granted(grant))),
            Claim::Waits => Some(Claimed::Waits(self.recall_effects(key))),
            Claim::Refused => None,
        }
    }
}
