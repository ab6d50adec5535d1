//! Settings of the health checks of workers.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::config::{ConfigError, duration, interval, range};

/// The schedule of the workers' own health checks, and the consequence of failures. Has no effect
/// on workers without checks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct HealthConfig {
    /// Runs the checks; `true` by default.
    pub enabled: bool,
    /// Time between two checks of a worker, at least 10 ms; 30 s by default. The first check comes
    /// after half to one and a half of it, so that workers that started together are not checked
    /// together.
    pub interval: Duration,
    /// Time for the checks of a worker, all together; 5 s by default. A check that takes longer has
    /// failed, and is cancelled like a call.
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
    /// Longest delay of a check.
    const MAX_LOOK: Duration = Duration::from_secs(1);

    pub(crate) fn validate(&self) -> Result<(), ConfigError> {
        interval("health", self.interval)?;
        duration("health.timeout", self.timeout, false)?;
        range("health.failures", self.failures as usize, 1, 100)
    }

    /// Returns the interval at which due workers are searched.
    pub(crate) fn look(&self) -> Duration {
        (self.interval / 8).min(Self::MAX_LOOK)
    }
}
