//! Slots that the pool itself takes, for health checks.

use super::{Effects, Granted, State, Waiter};
use crate::schedule::{Claim, WorkerKey};

/// The answer to a claim.
pub(crate) enum Claimed {
    Granted(Granted),
    /// The claim gets the next slot of the worker.
    Waits(Effects),
}

impl State {
    /// Takes a slot of this worker, before all waiting calls. `None` if it takes no more calls.
    pub(crate) fn claim(
        &mut self,
        key: WorkerKey,
        waiter: impl FnOnce() -> Waiter,
    ) -> Option<Claimed> {
        match self.scheduler.claim(key, waiter) {
            Claim::Granted(grant) => Some(Claimed::Granted(self.granted(grant))),
            Claim::Waits => Some(Claimed::Waits(self.recalled(key))),
            Claim::Refused => None,
        }
    }
}
