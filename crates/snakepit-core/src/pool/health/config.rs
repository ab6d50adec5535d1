//! When a pool runs the health checks of its workers.

use std::time::Duration;

use serde::Serialize;

use crate::ConfigError;
use crate::config::{duration, interval, range};

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
    /// A check comes late by this at most.
    const MAX_LOOK: Duration = Duration::from_secs(1);

    pub(crate) fn validate(&self) -> Result<(), ConfigError> {
        interval("health", self.interval)?;
        duration("health.timeout", self.timeout, false)?;
        range("health.failures", self.failures as usize, 1, 100)
    }

    /// Time between two looks at which worker is due.
    pub(crate) fn look(&self) -> Duration {
        (self.interval / 8).min(Self::MAX_LOOK)
    }
}
