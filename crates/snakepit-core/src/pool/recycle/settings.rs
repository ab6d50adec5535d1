//! Settings of the replacement of live workers.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::RecycleBudget;
use crate::config::{Bytes, ConfigError, duration, range};

/// Conditions and pace of the replacement of live workers. Without a limit none is replaced.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct RecycleConfig {
    /// Age at which a worker is replaced; none by default.
    pub max_age: Option<Duration>,
    /// Calls after which a worker is replaced, items of batches counted one by one; none by
    /// default. Calls that arrive before its replacement is ready still go to it.
    pub max_requests: Option<u64>,
    /// Bytes of memory, all processes of the worker together, above which it is replaced; none by
    /// default. The worker implementation must report its memory.
    #[serde(with = "Bytes")]
    pub max_memory: Option<u64>,
    /// Time between two memory samples; 5 s by default.
    pub memory_interval: Duration,
    /// Samples in a row that must exceed the limit; 3 by default.
    pub memory_samples: u32,
    /// Largest share, 0 to 1, by which each worker's own limits are lowered at random, so that
    /// workers that started together do not end together; 0.1 by default.
    pub jitter: f64,
    /// Age below which no limit applies; 10 s by default. Requests of users apply at any age.
    pub min_lifetime: Duration,
    /// Time that the calls of a worker may continue once its replacement has taken over; 300 s by
    /// default.
    pub max_drain: Duration,
    /// Order of the end of the old worker and the start of the new one; they overlap by default.
    pub mode: RecycleMode,
    /// Limits the workers in replacement together with other pools; each pool has its own budget by
    /// default.
    #[serde(skip)]
    pub budget: Option<RecycleBudget>,
}

/// Order of a worker's end and its replacement's start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum RecycleMode {
    /// The replacement is ready before the worker gets no more calls: at all times, as many workers
    /// as configured are ready.
    #[default]
    Overlap,
    /// The worker ends before its replacement starts, for workers so large that one more does not
    /// fit: meanwhile one worker fewer is ready.
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

    /// Returns the share of a limit that applies to one worker.
    pub(crate) fn share(&self) -> f64 {
        1.0 - self.jitter * fastrand::f64()
    }
}
