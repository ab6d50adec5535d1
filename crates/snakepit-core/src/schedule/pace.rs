//! How long calls hold a slot and wait for one: moving means, and what they promise to a call that comes.

use std::time::Duration;

use tokio::time::Instant;

/// How long a call can wait.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// When it came.
    pub now: Instant,
    /// For a slot.
    pub queue: Duration,
    /// For its result.
    pub whole: Option<Duration>,
}

/// Weight of one measurement in the mean: 1/16.
const HELD_SHIFT: u32 = 4;
/// Weight of one wait in the mean: 1/8.
const DELAY_SHIFT: u32 = 3;
/// An estimate is taken to be too low by this part: who is let in at its edge would be late half of the time.
const MARGIN: u32 = 8;
/// Measurements before the mean is believed.
const TRUSTED: u32 = 16;

/// Moving means in nanoseconds.
#[derive(Debug, Default)]
pub(crate) struct Pace {
    held: u64,
    /// Mean distance of a measurement from the mean.
    spread: u64,
    /// Measurements so far, up to those after which each has the same weight.
    samples: u32,
    delay: u64,
}

impl Pace {
    /// A call has given its slot back after this time.
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

    /// A call got a slot after this time in the queue.
    pub(crate) fn waited(&mut self, time: Duration) {
        self.delay = toward(self.delay, nanos(time), 1 << DELAY_SHIFT);
    }

    /// A call got a slot without waiting.
    pub(crate) const fn granted(&mut self) {
        if self.delay > 0 {
            self.delay -= (self.delay >> DELAY_SHIFT) + 1;
        }
    }

    /// Mean time that a call holds a slot, in nanoseconds; nothing before the first measurement.
    pub(crate) fn mean(&self) -> Option<u64> {
        (self.samples > 0).then_some(self.held)
    }

    /// Time after which a call has a slot when `ahead` calls are before it.
    pub(crate) fn wait(&self, ahead: usize, slots: usize) -> Option<Duration> {
        share(self.mean()?, ahead, slots)
    }

    /// The wait, if it is longer than a call can wait. Two witnesses have to agree, so that a few slow calls before a burst of quick ones
    /// refuse nobody: the times of calls say that it is too long, the more they differ the sooner, and calls did wait for a good part of
    /// that lately. The part is an eighth since the wait of those who get a slot lags behind the queue.
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
        // Those ahead, and what is left of one that runs; all that run may have begun together, or take longer than others did.
        let next = next_free(patience.now).unwrap_or_default();
        let after = |nanos| {
            let spread = share(nanos, ahead + 1, slots)?;
            Some(spread.max(share(nanos, ahead, slots)? + next))
        };
        let margin = |time: Duration| time + time / MARGIN;
        let wait = margin(after(self.held + self.spread)?);
        // Too long in the queue costs a place there; too late for the deadline costs a worker's time: that has to be less likely.
        let long = self.held + 2 * self.spread;
        let whole = margin(after(long)? + Duration::from_nanos(long));
        let late = patience.whole.is_some_and(|patience| whole > patience);
        (late || wait > patience.queue).then_some(wait)
    }
}

/// Time in which so many calls of `nanos` each have had a slot.
fn share(nanos: u64, calls: usize, slots: usize) -> Option<Duration> {
    let slots = u128::try_from(slots).ok().filter(|slots| *slots > 0)?;
    let nanos = u128::from(nanos) * calls as u128 / slots;
    Some(Duration::from_nanos(
        u64::try_from(nanos).unwrap_or(u64::MAX),
    ))
}

/// A part of the way from the mean to the new value.
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

    /// The estimate when nothing is known of the calls that run.
    fn refused(pace: &Pace, ahead: usize, patience: Patience) -> Option<Duration> {
        pace.too_long(ahead, 1, patience, |_| None)
    }

    #[test]
    fn without_measurements_nothing_is_said() {
        let pace = Pace::default();
        assert_eq!(pace.wait(1000, 1), None);
        assert_eq!(refused(&pace, 1000, queue(Duration::ZERO)), None);
    }

    #[test]
    fn the_mean_follows_slowly() {
        let mut pace = Pace::default();
        for _ in 0..100 {
            pace.held(10 * MS);
        }
        assert_eq!(pace.wait(40, 4), Some(100 * MS));
        assert_eq!(pace.wait(40, 0), None);
        pace.held(170 * MS);
        assert_eq!(pace.wait(1, 1), Some(20 * MS));
        assert_eq!(pace.spread, nanos(10 * MS));
    }

    #[test]
    fn both_witnesses_have_to_agree() {
        let mut pace = Pace::default();
        for _ in 0..TRUSTED {
            assert_eq!(refused(&pace, 1000, queue(MS)), None);
            pace.held(10 * MS);
        }
        // Nobody has waited yet.
        assert_eq!(refused(&pace, 100, queue(500 * MS)), None);
        for _ in 0..32 {
            pace.waited(600 * MS);
        }
        assert_eq!(refused(&pace, 99, queue(500 * MS)), Some(1125 * MS));
        assert_eq!(refused(&pace, 10, queue(500 * MS)), None);
        // A call that runs for long puts all others off.
        let runs = |_| Some(400 * MS);
        assert!(pace.too_long(10, 1, queue(500 * MS), runs).is_some());
        // Its own time counts where it has to be over.
        let whole = |ms| Patience {
            whole: Some(ms * MS),
            ..queue(500 * MS)
        };
        assert_eq!(refused(&pace, 10, whole(135)), None);
        assert!(refused(&pace, 10, whole(134)).is_some());
        // A call that would be next is let in.
        assert_eq!(refused(&pace, 0, whole(1)), None);
        for _ in 0..32 {
            pace.granted();
        }
        assert_eq!(refused(&pace, 100, queue(500 * MS)), None);
    }

    #[test]
    fn waits_fade_to_nothing() {
        let mut pace = Pace::default();
        pace.waited(MS);
        for _ in 0..200 {
            pace.granted();
        }
        assert_eq!(pace.delay, 0);
    }
}
