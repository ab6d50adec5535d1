//! Draining: a worker gets no more calls, finishes those it has, and ends.

use std::time::Duration;

use tokio::time::Instant;

use super::Supervisor;
use crate::events::emit;
use crate::pool::upkeep::past::Past;
use crate::pool::{RecycleMode, RecycleReason, foreign};
use crate::schedule::WorkerKey;

impl Supervisor {
    /// Gives a worker no further calls; it ends after its last one, or at `until` at the latest.
    pub(super) fn drain(&self, key: WorkerKey, until: Option<Instant>) {
        let Some((idle, effects)) = self.shared.lock().drain(key, until) else {
            return;
        };
        self.shared.apply(effects);
        if idle {
            self.stop_idle(key);
        }
    }

    /// Ends a worker that has no more calls, or only calls that cannot be stopped.
    pub(super) fn stop_idle(&self, key: WorkerKey) {
        let stuck = self.shared.lock().only_stuck(key);
        let grace = self.shared.config.stop_grace;
        self.stop(key, if stuck { Duration::ZERO } else { grace });
    }

    /// Replaces a worker at once, because one of its calls cannot be stopped, or because it was
    /// interrupted in an unknown state. The old worker ends after its other calls.
    pub(super) fn renew(&mut self, key: WorkerKey, reason: RecycleReason) {
        let config = &self.shared.config;
        let mut until = Instant::now().checked_add(config.recycle.max_drain);
        let recycled = {
            let mut state = self.shared.lock();
            let Some(live) = state.live(key) else {
                return;
            };
            until = live.drain_until.or(until).min(until);
            let in_place = config.recycle.mode == RecycleMode::InPlace;
            let first = live.recycled.is_none();
            let recycled = first.then(|| state.recycle(key, reason, in_place).map(Past::of));
            recycled.flatten()
        };
        if let Some(past) = recycled {
            self.report_recycled(past, reason.word(), None);
        }
        // A replacement that is already starting is used.
        self.recycling.adopt(key);
        self.drain(key, until);
        // The other calls may have ended meanwhile.
        if self.shared.lock().only_stuck(key) {
            self.stop_idle(key);
        }
    }

    /// Gives one surplus worker no further calls: the one with the fewest calls, the youngest among
    /// equals.
    pub(super) fn drain_one(&self) {
        let victim = self.shared.lock().surplus();
        if let Some(key) = victim {
            self.drain(key, None);
        }
    }

    /// Ends workers whose drain time is over.
    pub(super) fn expire(&self, now: Instant) {
        let expired = self.shared.lock().expired(now);
        for one in expired {
            let reason = one.reason.map_or("surplus", RecycleReason::name);
            let limit = self.shared.config.recycle.max_drain;
            let why = format!(
                "ended by its host: it was recycled ({reason}), and the call did not end within `max_drain` ({limit:?})"
            );
            foreign::will_end(&*one.worker, &why);
            let (pool, worker) = (|| self.shared.config.name.clone(), one.id);
            emit!(
                self.shared.hub,
                WorkerDrainExpired {
                    pool: pool(),
                    worker
                }
            );
            self.stop(one.key, self.shared.config.stop_grace);
        }
    }

    /// Returns the moment at which the first drain time is over.
    pub(super) fn drain_expires(&self) -> Option<Instant> {
        let state = self.shared.lock();
        let times = state.workers().filter_map(|(_, live)| live.drain_until);
        times.min()
    }
}
