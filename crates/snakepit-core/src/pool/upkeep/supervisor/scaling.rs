//! Grows and shrinks a pool with its load.

use tokio::time::Instant;

use super::Supervisor;
use crate::events::emit;
use crate::policy::{Autoscale, Seen};
use crate::pool::PoolConfig;

pub(super) struct Scaler {
    autoscale: Autoscale,
    /// Time of the next decision. `None` while no call waits and there is no worker to remove.
    next: Option<Instant>,
}

impl Scaler {
    pub(super) fn new(config: &PoolConfig) -> Option<Self> {
        let policy = config.autoscale.clone()?;
        Some(Self {
            autoscale: Autoscale::new(policy, Instant::now()),
            next: None,
        })
    }

    pub(super) const fn next(&self) -> Option<Instant> {
        self.next
    }
}

impl Supervisor {
    /// Notes that the number of workers was changed by another part of the pool.
    pub(super) fn resized(&mut self) {
        if let Some(scaler) = &mut self.scaler {
            scaler.autoscale.changed(Instant::now());
        }
    }

    /// Decides about the number of workers, if it is time.
    pub(super) fn scale(&mut self, now: Instant) {
        let Some(scaler) = &mut self.scaler else {
            return;
        };
        let config = &self.shared.config;
        let mut state = self.shared.lock();
        let policy = scaler.autoscale.policy();
        let (queued, target) = (state.queued(), state.target());
        let goes_on = queued > 0 || target > policy.min;
        let (next, interval) = (scaler.next, policy.target_delay);
        if next.is_some_and(|at| at > now) {
            return;
        }
        scaler.next = goes_on.then(|| now + interval);
        let measured = state.take_measured();
        // After a pause, and while workers are missing, the measurements are meaningless.
        if next.is_none() || state.is_growing() {
            return scaler.autoscale.forget(now);
        }
        let seen = Seen {
            workers: target,
            slots: usize::from(self.shared.slots),
            peak: measured.peak,
            queued,
            waited: measured.waited,
            waits: measured.waits,
            step: config.start_concurrency,
        };
        let Some((to, reason)) = scaler.autoscale.look(now, seen) else {
            return;
        };
        let from = state.scale(to, reason, now);
        drop(state);
        self.recycling.member.resize(to);
        emit!(
            self.shared.hub,
            PoolScaled {
                pool: config.name.clone(),
                from: from as u64,
                to: to as u64,
                reason: reason.name(),
            }
        );
    }
}
