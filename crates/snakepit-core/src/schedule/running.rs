//! Estimates of when the first of the running calls may end, by the times at which they got their
//! slots.

use std::time::Duration;

use tokio::time::Instant;

use super::Scheduler;
use super::slots::{Grant, Slots};

/// Assumed duration of a call while none has ended.
const UNMEASURED: Duration = Duration::from_millis(100);

/// Inverse of the shortest rest assumed for a call, as a part of the mean: ends cannot be predicted
/// more exactly.
const LEAST: u32 = 16;

impl Slots {
    /// Estimates the time until the first taken slot may be free, by the mean time of calls. `None`
    /// without calls. Visits each slot, so it is meant for calls that are about to be rejected.
    fn next_free(&self, now: Instant, mean: Option<Duration>) -> Option<Duration> {
        let places = self.active_entries().flat_map(|entry| &entry.places);
        let starts = places.filter_map(|place| place.since);
        let left = starts.map(|at| left(now.saturating_duration_since(at), mean));
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
        if let Some(place) = self.slots.place_mut(grant.worker, grant.slot) {
            place.since = Some(at);
        }
    }

    /// Estimates the time until the first taken slot may be free. `None` without calls.
    pub fn next_free(&self, now: Instant) -> Option<Duration> {
        let mean = self.estimator.mean().map(Duration::from_nanos);
        self.slots.next_free(now, mean)
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
