//! When and how workers are recycled.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::RecycleBudget;
use crate::ConfigError;
use crate::config::{duration, range};

/// When workers that live are replaced, and how. Without a limit none is.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct RecycleConfig {
    /// Age at which a worker is replaced; none by default.
    pub max_age: Option<Duration>,
    /// Calls after which a worker is replaced, items of batches counted one by one; none by default. Calls that come before its
    /// replacement is ready still go to it.
    pub max_requests: Option<u64>,
    /// Bytes of memory, all processes of the worker together, above which it is replaced; none by default. It needs a worker
    /// implementation that can tell.
    pub max_memory: Option<u64>,
    /// Time between two looks at the memory; 5 s by default.
    pub memory_interval: Duration,
    /// Looks in a row that must find too much memory; 3 by default.
    pub memory_samples: u32,
    /// Share, 0 to 1, by which each worker's own limits are lowered at random at most, so that workers that started together do not end
    /// together; 0.1 by default.
    pub jitter: f64,
    /// Age below which no limit applies; 10 s by default. A request by hand is heeded at any age.
    pub min_lifetime: Duration,
    /// Time that the calls of a worker may go on once its replacement has taken over; 300 s by default.
    pub max_drain: Duration,
    /// Whether old and new worker may live at the same time; they do by default.
    pub mode: RecycleMode,
    /// Bounds the workers in replacement together with other pools; each pool has a budget of its own by default.
    #[serde(skip)]
    pub budget: Option<RecycleBudget>,
}

/// Whether a worker and its replacement live at the same time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum RecycleMode {
    /// The replacement is ready before the worker gets no more calls: as many workers as configured are ready all the time.
    #[default]
    Overlap,
    /// The worker ends before its replacement starts, for workers of which there is no room for one more: one worker fewer is ready
    /// meanwhile.
    InPlace,
}

impl Default for RecycleConfig {
    fn default() -> Self {
        Self {
            max_age: None,
            max_requests: None,
            max_memory: None,
            memory_interval: Duration::from_secs(5),
            memory_samples: 3,
            jitter: 0.1,
            min_lifetime: Duration::from_secs(10),
            max_drain: Duration::from_secs(300),
            mode: RecycleMode::Overlap,
            budget: None,
        }
    }
}

impl RecycleConfig {
    pub(crate) fn validate(&self) -> Result<(), ConfigError> {
        let positive = |key: &str, value: Option<u64>| match value {
            Some(0) => Err(ConfigError::new(
                key,
                "must be more than zero, got 0",
                "leave it out for no limit",
            )),
            _ => Ok(()),
        };
        positive("recycle.max_requests", self.max_requests)?;
        positive("recycle.max_memory", self.max_memory)?;
        if let Some(age) = self.max_age {
            duration("recycle.max_age", age, false)?;
        }
        duration("recycle.memory_interval", self.memory_interval, false)?;
        duration("recycle.min_lifetime", self.min_lifetime, true)?;
        duration("recycle.max_drain", self.max_drain, true)?;
        range(
            "recycle.memory_samples",
            self.memory_samples as usize,
            1,
            1000,
        )?;
        if !(0.0..=1.0).contains(&self.jitter) {
            return Err(ConfigError::new(
                "recycle.jitter",
                format!("must be between 0 and 1, got {}", self.jitter),
                "set it to a share such as 0.1",
            ));
        }
        Ok(())
    }

    /// A share of a limit that is one worker's own.
    pub(crate) fn share(&self) -> f64 {
        1.0 - self.jitter * fastrand::f64()
    }
}
