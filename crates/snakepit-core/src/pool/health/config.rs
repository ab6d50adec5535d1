//! When a pool runs the health checks of its workers.

use std::time::Duration;

use serde::Serialize;

use crate::ConfigError;
use crate::config::{duration, range};

/// How often workers run their own health checks, and what follows when these fail. A worker without checks is left alone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct HealthConfig {
    /// Whether checks are run; they are by default.
    pub enabled: bool,
    /// Time between two checks of a worker, 10 ms at least; 30 s by default. The first one comes after half to one and a half of it, so that
    /// workers that started together are not checked together.
    pub interval: Duration,
    /// Time for the checks of a worker, all together; 5 s by default. A check that takes longer has failed, and is stopped like a call.
    pub timeout: Duration,
    /// Checks in a row that must fail, 1 to 100, before the worker is replaced; 3 by default.
    pub failures: u32,
}

impl Default for HealthConfig {
    fn default() -> Self {
        Self {
            enabled: true,
            interval: Duration::from_secs(30),
            timeout: Duration::from_secs(5),
            failures: 3,
        }
    }
}

impl HealthConfig {
    /// Checks more often than this would be load of their own.
    const MIN_INTERVAL: Duration = Duration::from_millis(10);
    /// A check comes late by this at most.
    const MAX_LOOK: Duration = Duration::from_secs(1);

    pub(crate) fn validate(&self) -> Result<(), ConfigError> {
        duration("health.interval", self.interval, false)?;
        if self.interval < Self::MIN_INTERVAL {
            return Err(ConfigError::new(
                "health.interval",
                format!(
                    "must be at least {:?}, got {:?}",
                    Self::MIN_INTERVAL,
                    self.interval
                ),
                "choose a longer time, or switch health checks off with `health.enabled`",
            ));
        }
        duration("health.timeout", self.timeout, false)?;
        range("health.failures", self.failures as usize, 1, 100)
    }

    /// Time between two looks at which worker is due.
    pub(crate) fn look(&self) -> Duration {
        (self.interval / 8).min(Self::MAX_LOOK)
    }
}
