//! The times at which calls got their slots, and estimates of when the first of them may end.

use std::time::Duration;

use tokio::time::Instant;

use super::Scheduler;
use super::slots::{Grant, WorkerKey};

/// Assumed duration of a call while none has ended.
const UNMEASURED: Duration = Duration::from_millis(100);

/// Inverse of the shortest rest assumed for a call, as a part of the mean: ends cannot be predicted
/// more exactly.
const LEAST: u32 = 16;

/// Start times of the calls that have a slot now, by worker and slot.
#[derive(Debug, Default)]
pub(super) struct Running {
    workers: Vec<Vec<Option<Instant>>>,
}

impl Running {
    /// Notes the start time of the call of this grant.
    pub(super) fn began(&mut self, grant: Grant, at: Instant) {
        let (worker, slot) = (grant.worker.index(), usize::from(grant.slot.0));
        if self.workers.len() <= worker {
            self.workers.resize_with(worker + 1, Vec::new);
        }
        let slots = &mut self.workers[worker];
        if slots.len() <= slot {
            slots.resize(slot + 1, None);
        }
        slots[slot] = Some(at);
    }

    pub(super) fn ended(&mut self, grant: Grant) {
        let slots = self.workers.get_mut(grant.worker.index());
        if let Some(slot) = slots.and_then(|slots| slots.get_mut(usize::from(grant.slot.0))) {
            *slot = None;
        }
    }

    /// Forgets the calls of a worker that gets no further ones.
    pub(super) fn gone(&mut self, key: WorkerKey) {
        if let Some(slots) = self.workers.get_mut(key.index()) {
            slots.clear();
        }
    }

    /// Estimates the time until the first taken slot may be free, by the mean time of calls. `None`
    /// without calls. Visits each slot, so it is meant for calls that are about to be rejected.
    pub(super) fn next_free(&self, now: Instant, mean: Option<Duration>) -> Option<Duration> {
        let starts = self.workers.iter().flatten().flatten();
        let left = starts.map(|at| left(now.saturating_duration_since(*at), mean));
        left.min()
    }
}

/// Estimates the remaining time of a call of this age. A call that exceeds the mean is expected to
/// continue for as long as it has exceeded it: the longer it takes, the less the mean says about
/// it.
fn left(age: Duration, mean: Option<Duration>) -> Duration {
    mean.map_or(age.max(UNMEASURED), |mean| {
        mean.abs_diff(age).max(mean / LEAST)
    })
}

impl<W> Scheduler<W> {
    /// Notes the start time of the call of this grant.
    pub fn started(&mut self, grant: Grant, at: Instant) {
        // A worker that takes no more calls does not contribute free slots.
        if self.slots.is_active(grant.worker) {
            self.running.began(grant, at);
        }
    }

    /// Estimates the time until the first taken slot may be free. `None` without calls.
    pub fn next_free(&self, now: Instant) -> Option<Duration> {
        let mean = self.estimator.mean().map(Duration::from_nanos);
        self.running.next_free(now, mean)
    }

    /// Estimates the time until all waiting calls have had their slot and the first of the running
    /// calls has ended. `None` without calls.
    pub fn backlog(&self, now: Instant) -> Option<Duration> {
        let queued = self.estimator.wait(self.queue.len(), self.slots.capacity());
        match (queued, self.next_free(now)) {
            (Some(queued), Some(next)) => Some(queued + next),
            (queued, next) => queued.or(next),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Acquire;
    use super::super::tests::granted;
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn a_call_ends_when_the_mean_says_and_later_the_later_it_is() {
        let mean = Some(400 * MS);
        let after = |millis: u32| left(millis * MS, mean).as_millis();
        assert_eq!((after(0), after(100), after(390)), (400, 300, 25));
        assert_eq!((after(410), after(800), after(4400)), (25, 400, 4000));
        assert_eq!(left(MS, None), UNMEASURED);
        assert_eq!(left(1000 * MS, None), 1000 * MS);
    }

    #[test]
    fn the_call_that_ends_first_counts() {
        let (mut scheduler, start) = (Scheduler::<()>::new(0), Instant::now());
        let (key, _) = scheduler.add(3);
        assert_eq!(scheduler.next_free(start), None);
        let grants: Vec<_> = (0..3_u32)
            .map(|n| {
                let grant = granted(scheduler.acquire(None, || ()));
                scheduler.started(grant, start + n * 100 * MS);
                grant
            })
            .collect();
        assert!(matches!(scheduler.acquire(None, || ()), Acquire::Full(_)));
        let now = start + 250 * MS;
        assert!(scheduler.release(grants[0], Some(400 * MS)).wake.is_none());
        assert_eq!(scheduler.next_free(now), Some(250 * MS));
        assert_eq!(scheduler.backlog(now), Some(250 * MS));
        assert!(scheduler.retire(key).idle.is_none());
        assert_eq!(scheduler.next_free(now), None);
        // The end of a call of a removed worker does not end another call.
        assert!(scheduler.remove(key).is_empty());
        let (_, _) = scheduler.add(1);
        let other = granted(scheduler.acquire(None, || ()));
        scheduler.started(other, now);
        assert!(scheduler.release(grants[1], None).wake.is_none());
        assert_eq!(scheduler.next_free(now), Some(400 * MS));
    }
}
