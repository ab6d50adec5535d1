//! Draining: a worker gets no more calls, finishes those it has, and ends.

use std::time::Duration;

use tokio::time::Instant;

use super::Supervisor;
use super::terminated::Past;
use crate::events::emit;
use crate::pool::shared::Shared;
use crate::pool::{RecycleMode, RecycleReason, foreign};
use crate::schedule::WorkerKey;

impl Supervisor {
    /// Gives a worker no further calls; it ends after its last one, or at `until` at the latest.
    pub(super) fn drain(&self, key: WorkerKey, until: Option<Instant>) {
        let (retired, behind) = {
            let mut guard = self.shared.lock();
            let state = &mut *guard;
            let Some(live) = state.workers.get_mut(key) else {
                return;
            };
            live.draining = true;
            live.drain_until = until;
            (state.scheduler.retire(key), state.call_back(key))
        };
        self.shared.take_back(behind);
        self.shared.changed.notify_waiters();
        Shared::tell_lost(retired.lost);
        if let Some(key) = retired.idle {
            self.stop_idle(key);
        }
    }

    /// Ends a worker that has no more calls, or only calls that cannot be stopped.
    pub(super) fn stop_idle(&self, key: WorkerKey) {
        let stuck = self.shared.lock().only_stuck(key);
        let grace = self.shared.config.stop_grace;
        self.stop(key, if stuck { Duration::ZERO } else { grace });
    }

    /// Replaces at once a worker with a call that cannot be stopped, or that was interrupted in an
    /// unknown state. The worker ends with its other calls.
    pub(super) fn renew(&mut self, key: WorkerKey, reason: RecycleReason) {
        let config = &self.shared.config;
        let mut until = Instant::now().checked_add(config.recycle.max_drain);
        let recycled = {
            let mut guard = self.shared.lock();
            let state = &mut *guard;
            let Some(live) = state.workers.get_mut(key) else {
                return;
            };
            until = live.drain_until.or(until).min(until);
            live.recycled.is_none().then(|| {
                live.recycled = Some(reason);
                live.in_place = config.recycle.mode == RecycleMode::InPlace;
                state.stats.recycled += 1;
                Past::of(live)
            })
        };
        if let Some(past) = recycled {
            self.tell_recycled(past, reason.word(), None);
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
        let victim = {
            let state = self.shared.lock();
            let surplus = state.workers.iter();
            // A lost worker ends anyway.
            let surplus = surplus.filter(|(_, live)| !live.draining && !live.lost);
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

    /// Ends workers whose drain time is over.
    pub(super) fn expire(&self, now: Instant) {
        let (mut expired, hub) = (Vec::new(), &self.shared.hub);
        for (key, live) in self.shared.lock().workers.iter_mut() {
            if live.drain_until.take_if(|until| *until <= now).is_some() {
                let reason = live.recycled.map_or("surplus", RecycleReason::name);
                let limit = self.shared.config.recycle.max_drain;
                let why = format!(
                    "ended by its host: it was recycled ({reason}), and the call did not end within `max_drain` ({limit:?})"
                );
                foreign::will_end(&*live.worker, &why);
                expired.push((key, live.id.clone()));
            }
        }
        for (key, worker) in expired {
            let pool = || self.shared.config.name.clone();
            emit!(
                hub,
                WorkerDrainExpired {
                    pool: pool(),
                    worker
                }
            );
            self.stop(key, self.shared.config.stop_grace);
        }
    }

    /// Returns the moment at which the first drain time is over.
    pub(super) fn drain_expires(&self) -> Option<Instant> {
        let state = self.shared.lock();
        let times = state
            .workers
            .iter()
            .filter_map(|(_, live)| live.drain_until);
        times.min()
    }
}
