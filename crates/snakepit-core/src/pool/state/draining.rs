//! Workers that get no further calls: they drain, or have calls that cannot be stopped.

use tokio::time::Instant;

use super::{Effects, PoolCore};
use crate::schedule::WorkerKey;

impl PoolCore {
    /// Handles a cancelled call that cannot be stopped. Returns `false` if its worker has no other
    /// call to wait for: the worker is then removed from the schedule, and gets no calls before it
    /// is killed.
    pub(crate) fn stick(&mut self, key: WorkerKey) -> (bool, Effects) {
        let in_use = self.scheduler.in_use_of(key).unwrap_or(0);
        let Some(live) = self.workers.get_mut(key) else {
            return (false, Effects::default());
        };
        if in_use <= live.stuck + 1 {
            return (false, self.remove(key));
        }
        live.stuck += 1;
        // At once: calls that the worker gives back must not return to it.
        (true, self.retire(key))
    }

    /// Gives no further calls to a worker. To be called while a call still has one of its slots.
    pub(crate) fn retire(&mut self, key: WorkerKey) -> Effects {
        let retired = self.scheduler.retire(key);
        Effects {
            lost: retired.lost,
            ..self.recall_effects(key)
        }
    }

    /// Gives a worker no further calls; it ends after its last one, or at `until` at the latest.
    /// Returns true if it has none. `None` if it is unknown.
    pub(crate) fn drain(
        &mut self,
        key: WorkerKey,
        until: Option<Instant>,
    ) -> Option<(bool, Effects)> {
        let live = self.workers.get_mut(key)?;
        live.draining = true;
        live.drain_until = until;
        let retired = self.scheduler.retire(key);
        let effects = Effects {
            lost: retired.lost,
            changed: true,
            ..self.recall_effects(key)
        };
        Some((retired.idle.is_some(), effects))
    }

    /// Notes that a call that could not be stopped has ended nevertheless.
    pub(crate) fn unstick(&mut self, key: WorkerKey) {
        if let Some(live) = self.workers.get_mut(key) {
            live.stuck -= 1;
        }
    }

    /// Returns true if a draining worker has only calls left that cannot be stopped.
    pub(crate) fn only_stuck(&self, key: WorkerKey) -> bool {
        let live = self.workers.get(key);
        live.is_some_and(|live| {
            live.stuck > 0 && live.draining && self.scheduler.in_use_of(key) == Some(live.stuck)
        })
    }
}
