//! Named sets of time limits.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::PoolConfig;

/// A named set of time limits for the calls of a pool.
///
/// | profile | `call_timeout` | `stream_timeout` | `queue_timeout` |
/// | --- | --- | --- | --- |
/// | `balanced`, `production` | 5 min | 15 min | 10 s |
/// | `production_strict` | 1 min | 5 min | 5 s |
/// | `development`, `ml_inference` | 15 min | 1 h | 1 min |
/// | `batch` | 1 h | none | 5 min |
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum TimeoutProfile {
    /// The defaults of [`PoolConfig`].
    #[default]
    Balanced,
    /// The same times, under the name of the environment.
    Production,
    /// Short limits, for callers that prefer an early error to a late answer.
    ProductionStrict,
    /// Long limits, which leave time for a debugger.
    Development,
    /// Long limits, for models that are slow at times.
    MlInference,
    /// The longest limits, for work without an interactive user.
    Batch,
}

impl TimeoutProfile {
    /// Writes the times into the settings of a pool; other settings stay unchanged.
    pub const fn apply(self, config: &mut PoolConfig) {
        let (call, stream, queue) = match self {
            Self::Balanced | Self::Production => (300, Some(900), 10),
            Self::ProductionStrict => (60, Some(300), 5),
            Self::Development | Self::MlInference => (900, Some(3600), 60),
            Self::Batch => (3600, None, 300),
        };
        config.call_timeout = Some(Duration::from_secs(call));
        config.stream_timeout = match stream {
            Some(seconds) => Some(Duration::from_secs(seconds)),
            None => None,
        };
        config.queue_timeout = Duration::from_secs(queue);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_profile_is_what_a_pool_has_anyway() {
        let plain = PoolConfig::new("main");
        let mut config = plain.clone();
        TimeoutProfile::Batch.apply(&mut config);
        assert_eq!(config.stream_timeout, None);
        TimeoutProfile::default().apply(&mut config);
        let times = |config: &PoolConfig| {
            let (call, stream) = (config.call_timeout, config.stream_timeout);
            (call, stream, config.queue_timeout)
        };
        assert_eq!(times(&config), times(&plain));
    }

    #[test]
    fn every_profile_is_valid_and_waits_less_than_it_runs() {
        for name in [
            "balanced",
            "production",
            "production_strict",
            "development",
            "ml_inference",
            "batch",
        ] {
            let profile: TimeoutProfile =
                serde_json::from_value(name.into()).expect("the name is known");
            let mut config = PoolConfig::new("main");
            profile.apply(&mut config);
            config.validate().expect("the times are in range");
            assert!(Some(config.queue_timeout) < config.call_timeout, "{name}");
            let longer = config
                .stream_timeout
                .is_none_or(|time| Some(time) > config.call_timeout);
            assert!(longer, "{name}");
        }
    }
}
