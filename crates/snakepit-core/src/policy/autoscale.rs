//! The number of workers of a pool, decided by the waits of calls and the use of slots.

use std::collections::VecDeque;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use crate::config::{ConfigError, duration, range};

/// The policy by which a pool grows and shrinks.
///
/// The pool grows while calls wait longer than `target_delay`: by as many workers as may start at
/// once, and again when those are ready. It shrinks by one worker if for the time `idle` one worker
/// fewer would have had a free slot for every call. The same load does not make it grow again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct AutoscalePolicy {
    /// Fewest workers; 1 by default.
    pub min: usize,
    /// Largest number of workers; the available parallelism by default.
    pub max: usize,
    /// Time that calls may wait in the queue, at least 1 ms; 100 ms by default. Also the interval
    /// between two decisions.
    pub target_delay: Duration,
    /// Time between two changes; 5 s by default.
    pub cool_down: Duration,
    /// Time for which a worker must have been superfluous; 60 s by default.
    pub idle: Duration,
}

impl Default for AutoscalePolicy {
    fn default() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZeroUsize::get);
        Self {
            min: 1,
            max: cores,
            target_delay: Duration::from_millis(100),
            cool_down: Duration::from_secs(5),
            idle: Duration::from_secs(60),
        }
    }
}

impl AutoscalePolicy {
    pub(crate) fn validate(&self, most: usize) -> Result<(), ConfigError> {
        range("autoscale.min", self.min, 1, most)?;
        range("autoscale.max", self.max, self.min, most)?;
        duration("autoscale.target_delay", self.target_delay, false)?;
        duration("autoscale.cool_down", self.cool_down, true)?;
        duration("autoscale.idle", self.idle, false)?;
        if self.target_delay < Duration::from_millis(1) {
            return Err(ConfigError::new(
                "autoscale.target_delay",
                format!("must be at least 1ms, got {:?}", self.target_delay),
                "choose a longer time",
            ));
        }
        Ok(())
    }

    /// Returns the nearest allowed number of workers.
    pub(crate) fn clamp(&self, workers: usize) -> usize {
        workers.clamp(self.min, self.max)
    }
}

/// The reason why a pool changed its number of workers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ScaleReason {
    /// Calls waited longer than they should.
    Delay,
    /// A worker was superfluous.
    Idle,
}

impl ScaleReason {
    /// Returns the name: `delay` or `idle`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Delay => "delay",
            Self::Idle => "idle",
        }
    }
}

/// Measurements since the last decision.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Seen {
    /// Workers that the pool keeps; all of them are ready.
    pub(crate) workers: usize,
    /// Slots of each.
    pub(crate) slots: usize,
    /// Largest number of slots and places in the queue in use at the same time.
    pub(crate) peak: usize,
    /// Calls that wait now.
    pub(crate) queued: usize,
    /// Calls that waited and got a slot.
    pub(crate) waited: u32,
    /// Sum of their waits.
    pub(crate) waits: Duration,
    /// Workers that may start at once.
    pub(crate) step: usize,
}

/// The measurements and decisions of one pool.
#[derive(Debug)]
pub(crate) struct Autoscale {
    policy: AutoscalePolicy,
    /// Peaks that no later one has reached, within the time `idle`.
    peaks: VecDeque<(Instant, usize)>,
    /// Time since which peaks are known.
    since: Instant,
    changed: Option<Instant>,
    /// Calls waited at the last decision.
    queued: bool,
    /// Their waits were too long.
    slow: bool,
}

impl Autoscale {
    pub(crate) const fn new(policy: AutoscalePolicy, now: Instant) -> Self {
        Self {
            policy,
            peaks: VecDeque::new(),
            since: now,
            changed: None,
            queued: false,
            slow: false,
        }
    }

    pub(crate) const fn policy(&self) -> &AutoscalePolicy {
        &self.policy
    }

    /// Discards the measurements, which do not apply to the present number of workers.
    pub(crate) fn forget(&mut self, now: Instant) {
        self.peaks.clear();
        (self.since, self.queued, self.slow) = (now, false, false);
    }

    /// Notes that the number of workers was changed by another part of the pool.
    pub(crate) fn changed(&mut self, now: Instant) {
        self.changed = Some(now);
        self.forget(now);
    }

    /// Returns the new number of workers. `None` if it does not change.
    pub(crate) fn look(&mut self, now: Instant, seen: Seen) -> Option<(usize, ScaleReason)> {
        self.note_peak(now, seen.peak);
        let slow = self.is_slow(seen);
        let cool_down = self.policy.cool_down;
        let changed = self.changed;
        if changed.is_some_and(|at| now.duration_since(at) < cool_down) {
            return None;
        }
        if slow && seen.workers < self.policy.max {
            let step = seen.queued.div_ceil(seen.slots).clamp(1, seen.step.max(1));
            self.changed(now);
            return Some((
                (seen.workers + step).min(self.policy.max),
                ScaleReason::Delay,
            ));
        }
        let peak = self.peaks.front().map_or(0, |peak| peak.1);
        let spare = peak <= (seen.workers - 1) * seen.slots;
        let known = now.duration_since(self.since) >= self.policy.idle;
        if spare && known && seen.workers > self.policy.min {
            self.changed = Some(now);
            return Some((seen.workers - 1, ScaleReason::Idle));
        }
        None
    }

    /// Returns true if calls wait too long. Either the calls that got a slot waited too long, and
    /// some still wait or that was so at the last decision; or calls wait and none got a slot.
    fn is_slow(&mut self, seen: Seen) -> bool {
        let waits = seen.queued > 0;
        let stuck = self.queued && waits && seen.waited == 0;
        let late = seen.waited > 0 && seen.waits / seen.waited > self.policy.target_delay;
        let slow = stuck || late && (waits || self.slow);
        (self.queued, self.slow) = (waits, late);
        slow
    }

    fn note_peak(&mut self, now: Instant, peak: usize) {
        while self.peaks.back().is_some_and(|last| last.1 <= peak) {
            self.peaks.pop_back();
        }
        self.peaks.push_back((now, peak));
        let idle = self.policy.idle;
        while self
            .peaks
            .front()
            .is_some_and(|first| now.duration_since(first.0) > idle)
        {
            self.peaks.pop_front();
        }
    }
}
