//! The limits of one worker, lowered by its own jitter.

use std::time::Duration;

use tokio::time::Instant;

use super::{MemoryDecision, MemoryStatus, MemoryTrend, RecycleConfig, RecycleReason};

/// The limits after which one worker is replaced.
#[derive(Debug)]
pub(crate) struct RecycleLimits {
    requests: u64,
    age: Option<Instant>,
    memory: Option<MemoryTrend>,
    ready: Instant,
    /// Moment before which no limit applies.
    grown: Instant,
    asked: bool,
    unhealthy: bool,
}

impl RecycleLimits {
    pub(crate) fn new(config: &RecycleConfig, ready: Instant) -> Self {
        let share = |limit: u64| ((limit as f64 * config.share()) as u64).max(1);
        let later = |time: Duration| ready.checked_add(time);
        Self {
            requests: config.max_requests.map_or(u64::MAX, share),
            age: config
                .max_age
                .and_then(|age| later(age.mul_f64(config.share()))),
            memory: config
                .max_memory
                .map(|limit| MemoryTrend::new(share(limit), config.memory_samples)),
            ready,
            grown: later(config.min_lifetime).unwrap_or(ready),
            asked: false,
            unhealthy: false,
        }
    }

    /// Notes that a user requests its replacement.
    pub(crate) const fn request(&mut self) {
        self.asked = true;
    }

    /// Withdraws the request, which has failed; the other limits remain.
    pub(crate) const fn withdraw_request(&mut self) {
        self.asked = false;
    }

    /// Notes that its health checks fail, or no longer do.
    pub(crate) const fn set_unhealthy(&mut self, unhealthy: bool) {
        self.unhealthy = unhealthy;
    }

    pub(crate) fn record_memory(&mut self, now: Instant, bytes: u64) {
        if let Some(trend) = &mut self.memory {
            trend.record(now, bytes);
        }
    }

    /// Number of calls after which it is due.
    pub(crate) const fn requests(&self) -> u64 {
        self.requests
    }

    /// Returns the reason for which it is due now; `quiet` if it has no call and none waits.
    pub(crate) fn reason(&self, now: Instant, calls: u64, quiet: bool) -> Option<RecycleReason> {
        if self.asked {
            return Some(RecycleReason::Manual);
        }
        if self.unhealthy {
            return Some(RecycleReason::Unhealthy);
        }
        if now < self.grown {
            return None;
        }
        if calls >= self.requests {
            return Some(RecycleReason::Requests);
        }
        if self.age.is_some_and(|age| now >= age) {
            return Some(RecycleReason::Age);
        }
        match self.memory.as_ref()?.decision(self.natural(now, calls)) {
            MemoryDecision::Replace => Some(RecycleReason::Memory),
            MemoryDecision::ReplaceWhenQuiet if quiet => Some(RecycleReason::Growth),
            _ => None,
        }
    }

    /// Returns the next moment at which time alone makes it due.
    pub(crate) fn next(&self, now: Instant, calls: u64) -> Option<Instant> {
        let age = self.age.map(|age| age.max(self.grown));
        let requests = (calls >= self.requests).then_some(self.grown);
        let next = age.into_iter().chain(requests).min()?;
        (next > now).then_some(next)
    }

    pub(crate) fn memory(&self, now: Instant, calls: u64) -> Option<MemoryStatus> {
        self.memory.as_ref()?.status(self.natural(now, calls))
    }

    /// Returns the time until the worker is due by its age, or by its calls at their present rate.
    fn natural(&self, now: Instant, calls: u64) -> Option<Duration> {
        let age = self.age.map(|age| age.saturating_duration_since(now));
        let requests = (self.requests < u64::MAX && calls > 0).then(|| {
            let left = self.requests.saturating_sub(calls) as f64;
            let each = now.saturating_duration_since(self.ready).as_secs_f64() / calls as f64;
            Duration::try_from_secs_f64(left * each).unwrap_or(Duration::MAX)
        });
        age.into_iter().chain(requests).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn limits(change: impl FnOnce(&mut RecycleConfig)) -> (RecycleLimits, Instant) {
        let (mut config, ready) = (RecycleConfig::default(), Instant::now());
        change(&mut config);
        (RecycleLimits::new(&config, ready), ready)
    }

    #[test]
    fn without_limits_only_a_request_counts() {
        let (mut limits, ready) = limits(|_| {});
        let old = ready + 1_000_000 * SECOND;
        assert_eq!(limits.reason(old, u64::MAX - 1, true), None);
        assert_eq!(limits.next(ready, 7), None);
        limits.request();
        let young = limits.reason(ready, 0, false);
        assert_eq!(young, Some(RecycleReason::Manual));
        limits.set_unhealthy(true);
        let young = limits.reason(ready, 0, false);
        assert_eq!(
            young,
            Some(RecycleReason::Manual),
            "that one is not put off"
        );
        limits.withdraw_request();
        let young = limits.reason(ready, 0, false);
        assert_eq!(young, Some(RecycleReason::Unhealthy));
        limits.set_unhealthy(false);
        assert_eq!(limits.reason(ready, 0, false), None);
    }

    #[test]
    fn no_limit_applies_to_the_young() {
        let (limits, ready) = limits(|config| {
            config.max_requests = Some(10);
            config.jitter = 0.0;
        });
        let at = |seconds| limits.reason(ready + seconds * SECOND, 10, false);
        assert_eq!((at(9), at(10)), (None, Some(RecycleReason::Requests)));
        assert_eq!(limits.next(ready, 10), Some(ready + 10 * SECOND));
        assert_eq!(limits.reason(ready + 20 * SECOND, 9, true), None);
    }

    #[test]
    fn jitter_lowers_each_limit_and_never_to_nothing() {
        let mut ages = Vec::new();
        for _ in 0..100 {
            let (limits, ready) = limits(|config| {
                config.max_age = Some(100 * SECOND);
                config.max_requests = Some(1000);
                config.jitter = 0.2;
            });
            assert!((800..=1000).contains(&limits.requests()));
            let age = limits.next(ready, 0).expect("it has an age") - ready;
            assert!((80 * SECOND..=100 * SECOND).contains(&age));
            ages.push(age);
        }
        ages.dedup();
        assert!(ages.len() > 50, "they differ");
        let (limits, _) = limits(|config| {
            config.max_requests = Some(1);
            config.jitter = 1.0;
        });
        assert_eq!(limits.requests(), 1);
    }

    #[test]
    fn growth_waits_for_a_quiet_moment() {
        let (mut limits, ready) = limits(|config| {
            config.max_memory = Some(1000);
            config.jitter = 0.0;
        });
        for second in 0..20 {
            limits.record_memory(ready + second * SECOND, u64::from(second) * 45);
        }
        let now = ready + 20 * SECOND;
        assert_eq!(limits.reason(now, 0, false), None);
        assert_eq!(limits.reason(now, 0, true), Some(RecycleReason::Growth));
        let status = limits.memory(now, 0).expect("it was looked at");
        assert_eq!(status.decision, MemoryDecision::ReplaceWhenQuiet);
    }
}
