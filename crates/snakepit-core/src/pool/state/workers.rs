//! The ready workers of a pool, by scheduler key.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::health::HealthRecord;
use super::heartbeat::HeartbeatRecord;
use crate::id::{Slot, WorkerId};
use crate::pool::config::PoolConfig;
use crate::pool::recycle::{RecycleLimits, RecycleReason};
use crate::schedule::WorkerKey;
use crate::worker::Worker;

/// A ready worker that gets no calls yet.
pub(crate) struct Spare {
    pub(crate) worker: Arc<dyn Worker>,
    pub(crate) id: WorkerId,
    pub(crate) ready: Instant,
}

/// A worker that has become ready.
pub(crate) struct ReadyWorker {
    pub(crate) worker: Arc<dyn Worker>,
    pub(crate) id: WorkerId,
    pub(crate) ready: Instant,
    /// Number of calls that ended, items of batches counted one by one.
    pub(crate) calls: u64,
    /// The worker has returned a result.
    pub(crate) answered: bool,
    pub(crate) draining: bool,
    /// A call was lost with the worker: it is dead, or about to be.
    pub(crate) lost: bool,
    /// Limits after which it is replaced.
    pub(crate) limits: RecycleLimits,
    /// Reason of its replacement, once it drains for that.
    pub(crate) recycled: Option<RecycleReason>,
    /// The replacement starts only when the worker is gone.
    pub(crate) in_place: bool,
    /// Moment at which it is ended if it still drains.
    pub(crate) drain_until: Option<Instant>,
    /// The worker's signs of life.
    pub(crate) heartbeat: HeartbeatRecord,
    /// Results of its health checks. `None` without health checks.
    pub(crate) health: Option<HealthRecord>,
    /// Number of its calls that cannot be stopped.
    pub(crate) stuck: u16,
    /// The worker's slots have calls ahead of their turn.
    pub(crate) ahead: bool,
    /// Time at which each slot was last passed on to such a call.
    passed_on: Vec<Option<Instant>>,
}

impl ReadyWorker {
    pub(crate) fn new(worker: Arc<dyn Worker>, id: WorkerId, config: &PoolConfig) -> Self {
        let ready = Instant::now();
        let checked = config.health.enabled && !worker.info().health_checks.is_empty();
        Self {
            health: checked.then(|| HealthRecord::new(&config.health, ready)),
            worker,
            id,
            ready,
            calls: 0,
            answered: false,
            draining: false,
            lost: false,
            limits: RecycleLimits::new(&config.recycle, ready),
            recycled: None,
            in_place: false,
            drain_until: None,
            heartbeat: HeartbeatRecord::new(&config.heartbeat, ready),
            stuck: 0,
            ahead: false,
            passed_on: Vec::new(),
        }
    }

    /// Allows calls ahead of their turn in its slots.
    pub(crate) fn let_ahead(&mut self, slots: u16) {
        self.ahead = true;
        self.passed_on = vec![None; usize::from(slots)];
    }

    /// Notes that a slot was passed on to a call that was sent ahead to it.
    pub(crate) fn pass_on(&mut self, slot: Slot, now: Instant) {
        if let Some(place) = self.passed_on.get_mut(usize::from(slot.0)) {
            *place = Some(now);
        }
    }

    /// Returns the time at which the slot was last passed on so.
    pub(crate) fn passed_on(&self, slot: Slot) -> Option<Instant> {
        *self.passed_on.get(usize::from(slot.0))?
    }

    /// Returns true if the worker was ready for this long, or has returned a result; its death then
    /// does not count as a failed start.
    pub(crate) fn has_started_well(&self, min_lifetime: Duration) -> bool {
        self.answered || self.ready.elapsed() >= min_lifetime
    }

    /// Counts calls that ended, with a result or not. Returns `true` if they make the worker due.
    pub(crate) const fn count(&mut self, calls: u64, answered: bool) -> bool {
        self.answered |= answered && calls > 0;
        let before = self.calls;
        self.calls += calls;
        before < self.limits.requests() && self.calls >= self.limits.requests()
    }
}

/// A table with the scheduler's places as index: a lookup on the hot path needs no hash.
pub(crate) struct Workers<T = ReadyWorker> {
    places: Vec<Option<(WorkerKey, T)>>,
    /// Dead workers whose places replacements have taken. A worker leaves the schedule when a call
    /// is lost with it; its entry stays until its process is gone and its end is reported.
    displaced: Vec<(WorkerKey, T)>,
}

impl<T> Default for Workers<T> {
    fn default() -> Self {
        Self {
            places: Vec::new(),
            displaced: Vec::new(),
        }
    }
}

impl<T> Workers<T> {
    pub(crate) fn insert(&mut self, key: WorkerKey, live: T) {
        if key.index() >= self.places.len() {
            self.places.resize_with(key.index() + 1, || None);
        }
        let before = self.places[key.index()].replace((key, live));
        self.displaced.extend(before);
    }

    pub(crate) fn get(&self, key: WorkerKey) -> Option<&T> {
        let place = self.places.get(key.index())?.as_ref();
        let place = place.filter(|place| place.0 == key);
        let place = place.or_else(|| self.displaced.iter().find(|place| place.0 == key));
        place.map(|place| &place.1)
    }

    pub(crate) fn get_mut(&mut self, key: WorkerKey) -> Option<&mut T> {
        let place = self.places.get_mut(key.index())?.as_mut();
        let place = place.filter(|place| place.0 == key);
        let place = place.or_else(|| self.displaced.iter_mut().find(|place| place.0 == key));
        place.map(|place| &mut place.1)
    }

    pub(crate) fn remove(&mut self, key: WorkerKey) -> Option<T> {
        let place = self.places.get_mut(key.index())?;
        let place = place.take_if(|place| place.0 == key).or_else(|| {
            let at = self.displaced.iter().position(|place| place.0 == key)?;
            Some(self.displaced.swap_remove(at))
        });
        place.map(|place| place.1)
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = (WorkerKey, &mut T)> {
        let places = self.places.iter_mut().flatten();
        let all = places.chain(&mut self.displaced);
        all.map(|(key, live)| (*key, live))
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (WorkerKey, &T)> {
        let all = self.places.iter().flatten().chain(&self.displaced);
        all.map(|(key, live)| (*key, live))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schedule::{Rules, Scheduler};

    #[test]
    fn a_worker_whose_place_is_taken_is_kept_until_it_is_removed() {
        let mut scheduler = Scheduler::<()>::with_rules(Rules::new(1));
        let mut add = |name| scheduler.add_named(1, WorkerId::new(name)).key;
        let first = add("first");
        drop(scheduler.remove(first));
        let second = scheduler.add_named(1, WorkerId::new("second")).key;
        assert_eq!(first.index(), second.index());
        let mut workers = Workers::default();
        workers.insert(first, "first");
        workers.insert(second, "second");
        assert_eq!(workers.iter().count(), 2);
        assert_eq!(workers.get(first), Some(&"first"));
        *workers.get_mut(first).unwrap() = "dying";
        assert_eq!(workers.remove(first), Some("dying"));
        assert_eq!((workers.remove(first), workers.get(first)), (None, None));
        assert_eq!(workers.iter_mut().count(), 1);
        assert_eq!(workers.remove(second), Some("second"));
        assert_eq!(workers.iter().count(), 0);
    }
}
