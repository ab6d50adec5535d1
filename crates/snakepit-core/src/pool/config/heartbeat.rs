//! Settings of the heartbeats of workers.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::config::{ConfigError, duration, interval, range};
use crate::policy::liveness::Limits;

/// The heartbeats of workers, and the consequences of missed ones. A worker answers heartbeats
/// independent of its tools.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct HeartbeatConfig {
    /// Sends heartbeats; `true` by default.
    pub enabled: bool,
    /// Time between two heartbeats of a worker, at least 10 ms; 2 s by default.
    pub interval: Duration,
    /// Time for an answer; 10 s by default. Also the time after which an interpreter that does not
    /// respond, and a call that uses no CPU time, are logged.
    pub timeout: Duration,
    /// Heartbeats in a row that must be missed, 1 to 100, before an idle worker is replaced and a
    /// busy one gets no further calls; 3 by default. Also the most open heartbeats of a worker.
    pub misses: u32,
    /// Time between a worker becoming ready and its first heartbeat; 2 s by default.
    pub initial_delay: Duration,
    /// Time that a worker may have calls without using CPU time before it is killed with them.
    /// `None`, the default, for no limit, since waiting is legal. The worker implementation must
    /// report its CPU time.
    pub stall_timeout: Option<Duration>,
    /// Kills a worker whose tool continues after its call was given up as soon as another call
    /// waits, instead of after `cancel_grace`; `false` by default.
    pub kill_when_queued: bool,
}

impl Default for HeartbeatConfig {
    fn default() -> Self {
        Self {
            enabled: true,
            interval: Duration::from_secs(2),
            timeout: Duration::from_secs(10),
            misses: 3,
            initial_delay: Duration::from_secs(2),
            stall_timeout: None,
            kill_when_queued: false,
        }
    }
}

impl HeartbeatConfig {
    pub(crate) fn validate(&self) -> Result<(), ConfigError> {
        interval("heartbeat", self.interval)?;
        duration("heartbeat.timeout", self.timeout, false)?;
        range("heartbeat.misses", self.misses as usize, 1, 100)?;
        duration("heartbeat.initial_delay", self.initial_delay, true)?;
        if let Some(stall) = self.stall_timeout {
            duration("heartbeat.stall_timeout", stall, false)?;
        }
        Ok(())
    }

    /// Returns the limits for the policy; `grace` is the time that abandoned calls have.
    pub(crate) const fn limits(&self, grace: Duration) -> Limits {
        Limits {
            misses: self.misses,
            patience: self.timeout,
            stall: self.stall_timeout,
            grace,
            kill_when_queued: self.kill_when_queued,
        }
    }
}
