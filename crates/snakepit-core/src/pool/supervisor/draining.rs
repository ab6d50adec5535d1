//! How a worker gets no more calls, finishes those it has, and ends.

use tokio::time::Instant;

use super::Supervisor;
use crate::event;
use crate::pool::shared::Shared;
use crate::schedule::WorkerKey;

impl Supervisor {
    /// Gives a worker no further calls; it ends with its last one, at the latest at `until`.
    pub(super) fn drain(&self, key: WorkerKey, until: Option<Instant>) {
        let retired = {
            let mut guard = self.shared.lock();
            let state = &mut *guard;
            let Some(live) = state.workers.get_mut(key) else {
                return;
            };
            live.draining = true;
            live.drain_until = until;
            state.scheduler.retire(key)
        };
        Shared::tell_lost(retired.lost);
        if let Some(key) = retired.idle {
            self.stop(key, self.shared.config.stop_grace);
        }
    }

    /// Gives one surplus worker no further calls: the one with the fewest calls, the youngest among equals.
    pub(super) fn drain_one(&self) {
        let victim = {
            let state = self.shared.lock();
            let surplus = state.workers.iter().filter(|(_, live)| !live.draining);
            let victim = surplus.min_by_key(|(key, live)| {
                (
                    state.scheduler.in_use_of(*key).unwrap_or(0),
                    std::cmp::Reverse(live.ready),
                )
            });
            victim.map(|(key, _)| key)
        };
        if let Some(key) = victim {
            self.drain(key, None);
        }
    }

    /// Ends workers whose calls had their time.
    pub(super) fn expire(&self, now: Instant) {
        let mut expired = Vec::new();
        for (key, live) in self.shared.lock().workers.iter_mut() {
            if live.drain_until.take_if(|until| *until <= now).is_some() {
                tracing::warn!(target: event::TARGET, event = event::WORKER_DRAIN_EXPIRED, pool = %self.shared.config.name, worker = %live.id);
                expired.push(key);
            }
        }
        for key in expired {
            self.stop(key, self.shared.config.stop_grace);
        }
    }

    /// When the first worker's calls have had their time.
    pub(super) fn drain_expires(&self) -> Option<Instant> {
        let state = self.shared.lock();
        let times = state
            .workers
            .iter()
            .filter_map(|(_, live)| live.drain_until);
        times.min()
    }
}
