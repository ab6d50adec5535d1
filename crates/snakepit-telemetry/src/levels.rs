//! Levels of spans and logs, by pool, by target and by logger.

use std::collections::BTreeMap;

use tracing::level_filters::LevelFilter;

use crate::TelemetryConfig;

/// The levels of spans and logs that are exported.
#[derive(Clone, Debug)]
pub(crate) struct Levels {
    default: LevelFilter,
    /// Levels by name, the longest names first.
    targets: Vec<(String, LevelFilter)>,
    pools: BTreeMap<String, LevelFilter>,
}

impl Levels {
    pub(crate) fn new(config: &TelemetryConfig) -> Self {
        let targets = config.log_levels.iter();
        let mut targets: Vec<_> = targets
            .map(|(name, level)| (name.clone(), *level))
            .collect();
        targets.sort_by_key(|(name, _)| std::cmp::Reverse(name.len()));
        Self {
            default: config.log_level,
            targets,
            pools: config.pool_log_levels.clone(),
        }
    }

    /// Returns the level of a `tracing` target or a Python logger.
    pub(crate) fn of_target(&self, target: &str) -> LevelFilter {
        let within = |name: &str| {
            let rest = target.strip_prefix(name);
            rest.is_some_and(|rest| {
                rest.is_empty() || rest.starts_with("::") || rest.starts_with('.')
            })
        };
        let mut found = self.targets.iter().filter(|(name, _)| within(name));
        found.next().map_or(self.default, |(_, level)| *level)
    }

    /// Returns the level of a logger of a pool's workers.
    pub(crate) fn of_worker(&self, pool: &str, logger: &str) -> LevelFilter {
        let of_pool = self.pools.get(pool).copied();
        of_pool.unwrap_or_else(|| self.of_target(logger))
    }

    /// Returns the most detailed level of all targets.
    #[cfg(feature = "otlp")]
    pub(crate) fn most(&self) -> LevelFilter {
        let targets = self.targets.iter().map(|(_, level)| *level);
        targets.fold(self.default, LevelFilter::max)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_name_and_the_pool_count() {
        let mut config = TelemetryConfig::new();
        for (name, level) in [
            ("shop", LevelFilter::DEBUG),
            ("shop::cart", LevelFilter::ERROR),
            ("urllib3", LevelFilter::WARN),
        ] {
            config.log_levels.insert(name.to_owned(), level);
        }
        let pools = &mut config.pool_log_levels;
        pools.insert("gpu".to_owned(), LevelFilter::TRACE);
        let levels = Levels::new(&config);
        for (target, level) in [
            ("shop", LevelFilter::DEBUG),
            ("shop::cart::add", LevelFilter::ERROR),
            ("shop::cartography", LevelFilter::DEBUG),
            ("shopping", LevelFilter::INFO),
            ("urllib3.connectionpool", LevelFilter::WARN),
        ] {
            assert_eq!(levels.of_target(target), level, "{target}");
        }
        assert_eq!(levels.of_worker("gpu", "urllib3"), LevelFilter::TRACE);
        assert_eq!(levels.of_worker("main", "urllib3"), LevelFilter::WARN);
    }
}
