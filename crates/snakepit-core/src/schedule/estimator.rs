//! Moving means of the times that calls hold a slot and wait for one, and the estimates for a new
//! call.

use std::time::Duration;

use tokio::time::Instant;

use super::Scheduler;

/// The longest times that a call can wait.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// Arrival of the call.
    pub now: Instant,
    /// Longest wait for a slot.
    pub queue: Duration,
    /// Longest wait for its result. `None` for no limit.
    pub whole: Option<Duration>,
}

/// Weight of one measurement in the mean: 1/16.
const HELD_SHIFT: u32 = 4;
/// Weight of one wait in the mean: 1/8.
const DELAY_SHIFT: u32 = 3;
/// Estimates are raised by this part: a call accepted exactly at the limit would be late half of
/// the time.
const MARGIN: u32 = 8;
/// Number of measurements before the mean is trusted.
const TRUSTED: u32 = 16;

/// Moving means in nanoseconds.
#[derive(Debug, Default)]
pub(crate) struct Estimator {
    held: u64,
    /// Mean distance of a measurement from the mean.
    spread: u64,
    /// Measurements so far, up to the number after which each has the same weight.
    samples: u32,
    delay: u64,
}

impl Estimator {
    /// Records the time for which a call has held its slot.
    pub(crate) fn held(&mut self, time: Duration) {
        let time = nanos(time);
        let off = time.abs_diff(self.held);
        if self.samples == 0 {
            (self.samples, self.held) = (1, time);
        } else if self.samples < 1 << HELD_SHIFT {
            self.samples += 1;
            let part = u64::from(self.samples);
            self.held = toward(self.held, time, part);
            self.spread = toward(self.spread, off, part);
        } else {
            self.held = toward(self.held, time, 1 << HELD_SHIFT);
            self.spread = toward(self.spread, off, 1 << HELD_SHIFT);
        }
    }

    /// Records the time that a call has waited in the queue for its slot.
    pub(crate) fn waited(&mut self, time: Duration) {
        self.delay = toward(self.delay, nanos(time), 1 << DELAY_SHIFT);
    }

    /// Records that a call got a slot without waiting.
    pub(crate) const fn granted(&mut self) {
        if self.delay > 0 {
            self.delay -= (self.delay >> DELAY_SHIFT) + 1;
        }
    }

    /// Mean time in nanoseconds that a call holds a slot. `None` before the first measurement.
    pub(crate) fn mean(&self) -> Option<u64> {
        (self.samples > 0).then_some(self.held)
    }

    /// Returns the time after which a call has a slot if `ahead` calls are before it.
    pub(crate) fn wait(&self, ahead: usize, slots: usize) -> Option<Duration> {
        share(self.mean()?, ahead, slots)
    }

    /// Returns the wait if it is longer than a call can wait. Two conditions have to agree, so that
    /// a few slow calls before a burst of quick ones do not cause rejections: the wait estimated
    /// from the durations of calls is too long (a wide spread raises the estimate), and recent
    /// waits are at least an eighth of the allowed one. An eighth suffices, because the waits of
    /// calls that get a slot lag behind the queue.
    pub(crate) fn too_long(
        &self,
        ahead: usize,
        slots: usize,
        patience: Patience,
        next_free: impl FnOnce(Instant) -> Option<Duration>,
    ) -> Option<Duration> {
        if ahead == 0 || self.samples < TRUSTED || self.delay < nanos(patience.queue) / 8 {
            return None;
        }
        // The calls ahead, and the rest of a running one. The running calls may have begun
        // together, or take longer than others did.
        let next = next_free(patience.now).unwrap_or_default();
        let after = |nanos| {
            let spread = share(nanos, ahead + 1, slots)?;
            Some(spread.max(share(nanos, ahead, slots)? + next))
        };
        let margin = |time: Duration| time + time / MARGIN;
        let wait = margin(after(self.held + self.spread)?);
        // A call that waits too long wastes a place in the queue; one that misses its deadline
        // wastes a worker's time. The second has to be less likely.
        let long = self.held + 2 * self.spread;
        let whole = margin(after(long)? + Duration::from_nanos(long));
        let late = patience.whole.is_some_and(|patience| whole > patience);
        (late || wait > patience.queue).then_some(wait)
    }
}

/// Returns the time after which so many calls of `nanos` nanoseconds each have had a slot.
fn share(nanos: u64, calls: usize, slots: usize) -> Option<Duration> {
    let slots = u128::try_from(slots).ok().filter(|slots| *slots > 0)?;
    let nanos = u128::from(nanos) * calls as u128 / slots;
    Some(Duration::from_nanos(
        u64::try_from(nanos).unwrap_or(u64::MAX),
    ))
}

/// Moves the mean towards the new value by a part of the distance.
pub(super) const fn toward(mean: u64, new: u64, part: u64) -> u64 {
    if new >= mean {
        mean + (new - mean) / part
    } else {
        mean - (mean - new) / part
    }
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

impl<W> Scheduler<W> {
    /// Notes that a call got a slot after this time in the queue.
    pub fn waited(&mut self, time: Duration) {
        self.estimator.waited(time);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn queue(queue: Duration) -> Patience {
        Patience {
            now: Instant::now(),
            queue,
            whole: None,
        }
    }

    /// The estimate without information about the running calls.
    fn refused(estimator: &Estimator, ahead: usize, patience: Patience) -> Option<Duration> {
        estimator.too_long(ahead, 1, patience, |_| None)
    }

    #[test]
    fn without_measurements_nothing_is_said() {
        let estimator = Estimator::default();
        assert_eq!(estimator.wait(1000, 1), None);
        assert_eq!(refused(&estimator, 1000, queue(Duration::ZERO)), None);
    }

    #[test]
    fn the_mean_follows_slowly() {
        let mut estimator = Estimator::default();
        for _ in 0..100 {
            estimator.held(10 * MS);
        }
        assert_eq!(estimator.wait(40, 4), Some(100 * MS));
        assert_eq!(estimator.wait(40, 0), None);
        estimator.held(170 * MS);
        assert_eq!(estimator.wait(1, 1), Some(20 * MS));
        assert_eq!(estimator.spread, nanos(10 * MS));
    }

    #[test]
    fn both_witnesses_have_to_agree() {
        let mut estimator = Estimator::default();
        for _ in 0..TRUSTED {
            assert_eq!(refused(&estimator, 1000, queue(MS)), None);
            estimator.held(10 * MS);
        }
        // No call has waited yet.
        assert_eq!(refused(&estimator, 100, queue(500 * MS)), None);
        for _ in 0..32 {
            estimator.waited(600 * MS);
        }
        assert_eq!(refused(&estimator, 99, queue(500 * MS)), Some(1125 * MS));
        assert_eq!(refused(&estimator, 10, queue(500 * MS)), None);
        // A long-running call delays all others.
        let runs = |_| Some(400 * MS);
        assert!(estimator.too_long(10, 1, queue(500 * MS), runs).is_some());
        // The call's own time counts towards its deadline.
        let whole = |ms| Patience {
            whole: Some(ms * MS),
            ..queue(500 * MS)
        };
        assert_eq!(refused(&estimator, 10, whole(135)), None);
        assert!(refused(&estimator, 10, whole(134)).is_some());
        // A call that would be next is accepted.
        assert_eq!(refused(&estimator, 0, whole(1)), None);
        for _ in 0..32 {
            estimator.granted();
        }
        assert_eq!(refused(&estimator, 100, queue(500 * MS)), None);
    }

    #[test]
    fn waits_fade_to_nothing() {
        let mut estimator = Estimator::default();
        estimator.waited(MS);
        for _ in 0..200 {
            estimator.granted();
        }
        assert_eq!(estimator.delay, 0);
    }
}
