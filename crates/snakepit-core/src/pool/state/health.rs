//! The results of the health checks of one worker.

use std::time::Duration;

use serde::Serialize;
use tokio::time::Instant;

use crate::pool::config::HealthConfig;
use crate::printable::shortened;

/// Largest number of bytes of an error that are kept.
const MAX_ERROR: usize = 500;

/// The results of the health checks of one worker.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct HealthStatus {
    /// State of health that follows from them.
    pub state: HealthState,
    /// Checks that failed in a row.
    pub failures: u32,
    /// Seconds since the last check. `None` before the first one.
    pub age_seconds: Option<f64>,
    /// Seconds that the last check took.
    pub took_seconds: Option<f64>,
    /// Error of the last check, at most 500 bytes of it. `None` if it succeeded.
    pub error: Option<String>,
}

/// The health of a worker.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum HealthState {
    /// The worker has not been checked yet.
    #[default]
    Unknown,
    /// The last check succeeded.
    Healthy,
    /// The last check failed, but not enough of them in a row.
    Failing,
    /// The worker is to be replaced, and serves until its replacement is ready.
    Unhealthy,
}

/// The record of one worker.
#[derive(Clone, Debug)]
pub(crate) struct HealthRecord {
    /// Time of the next check. `None` if there is none.
    due: Option<Instant>,
    running: bool,
    failures: u32,
    last: Option<(Instant, Duration)>,
    error: Option<String>,
}

impl HealthRecord {
    pub(crate) fn new(config: &HealthConfig, ready: Instant) -> Self {
        let first = config.interval.mul_f64(0.5 + fastrand::f64());
        Self {
            due: ready.checked_add(first),
            running: false,
            failures: 0,
            last: None,
            error: None,
        }
    }

    /// Returns true if the worker is to be checked now, and marks the check as running.
    pub(crate) fn begin(&mut self, config: &HealthConfig, now: Instant) -> bool {
        let begins = !self.running && self.due.is_some_and(|due| due <= now);
        if begins {
            self.running = true;
            self.due = now.checked_add(config.interval);
        }
        begins
    }

    /// Records the result of a check. Returns the number of failures in a row before it.
    pub(crate) fn end(&mut self, now: Instant, took: Duration, error: Option<&str>) -> u32 {
        let before = self.failures;
        self.running = false;
        self.failures = error.map_or(0, |_| before.saturating_add(1));
        self.last = Some((now, took));
        self.error = error.map(|error| shortened(error, MAX_ERROR).into_owned());
        before
    }

    pub(crate) const fn failures(&self) -> u32 {
        self.failures
    }

    pub(crate) fn status(&self, config: &HealthConfig, now: Instant) -> HealthStatus {
        HealthStatus {
            state: match (self.last, self.failures) {
                (None, _) => HealthState::Unknown,
                (_, 0) => HealthState::Healthy,
                (_, failures) if failures < config.failures => HealthState::Failing,
                _ => HealthState::Unhealthy,
            },
            failures: self.failures,
            age_seconds: self
                .last
                .map(|(at, _)| now.saturating_duration_since(at).as_secs_f64()),
            took_seconds: self.last.map(|(_, took)| took.as_secs_f64()),
            error: self.error.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checks_come_at_their_interval_and_never_two_at_a_time() {
        let (config, start) = (HealthConfig::default(), Instant::now());
        for _ in 0..100 {
            let mut record = HealthRecord::new(&config, start);
            assert!(!record.begin(&config, start + Duration::from_secs(14)));
            let now = start + Duration::from_secs(45);
            assert!(record.begin(&config, now));
            let later = now + 10 * config.interval;
            assert!(!record.begin(&config, later), "one is under way");
            record.end(later, Duration::from_secs(1), None);
            assert!(record.begin(&config, later));
            record.end(later, Duration::from_secs(1), None);
            assert!(!record.begin(&config, later + Duration::from_secs(29)));
            assert!(record.begin(&config, later + Duration::from_secs(30)));
        }
    }

    #[test]
    fn failures_count_in_a_row() {
        let (config, start) = (HealthConfig::default(), Instant::now());
        let mut record = HealthRecord::new(&config, start);
        assert_eq!(record.status(&config, start).state, HealthState::Unknown);
        let mut states = Vec::new();
        for well in [true, false, false, true, false, false, false, false, true] {
            let error = (!well).then_some("é".repeat(400));
            record.end(start, Duration::from_secs(2), error.as_deref());
            let status = record.status(&config, start + Duration::from_secs(3));
            assert_eq!(status.age_seconds, Some(3.0));
            let cut = error.map(|_| format!("{}…", "é".repeat(250)));
            assert_eq!(status.error, cut);
            states.push((status.state, status.failures));
        }
        use HealthState::{Failing, Healthy, Unhealthy};
        let first = [(Healthy, 0), (Failing, 1), (Failing, 2), (Healthy, 0)];
        assert_eq!(states[..4], first);
        let second = [(Failing, 1), (Failing, 2), (Unhealthy, 3), (Unhealthy, 4)];
        assert_eq!(states[4..8], second);
        assert_eq!(states[8], (Healthy, 0));
    }
}
