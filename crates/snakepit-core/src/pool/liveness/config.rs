//! How a pool looks after its workers.

use std::time::Duration;

use serde::Serialize;

use crate::ConfigError;
use crate::config::{duration, interval, range};
use crate::policy::liveness::Limits;

/// How a pool asks its workers for signs of life, and what follows. A worker answers whatever its tool does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct HeartbeatConfig {
    /// Whether workers are asked; they are by default.
    pub enabled: bool,
    /// Time between two questions to a worker, 10 ms at least; 2 s by default.
    pub interval: Duration,
    /// Time for an answer; 10 s by default. It is also the time after which an interpreter that is out of reach, and a call that uses no
    /// CPU time, are worth a note.
    pub timeout: Duration,
    /// Answers in a row that must be missing, 1 to 100, before an idle worker is replaced and a busy one gets no further calls; 3 by
    /// default. As many questions are under way at most.
    pub misses: u32,
    /// Time from a worker's being ready to the first question; 2 s by default.
    pub initial_delay: Duration,
    /// Time that a worker may have calls without using CPU time before it is killed with them; none by default, since waiting is legal. It
    /// needs a worker implementation that can tell its CPU time.
    pub stall_timeout: Option<Duration>,
    /// Whether a worker whose tool goes on after its call was given up is killed as soon as another call waits, instead of after
    /// `cancel_grace`; it is not by default.
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

    /// What the policy needs, together with the time that abandoned calls have.
    pub(super) const fn limits(&self, grace: Duration) -> Limits {
        Limits {
            misses: self.misses,
            patience: self.timeout,
            stall: self.stall_timeout,
            grace,
            kill_when_queued: self.kill_when_queued,
        }
    }
}
