//! Settings that select the records which workers report.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::config::ConfigError;

/// Settings of the records that code in workers makes: events, spans, log records and measurements.
/// They do not affect the host's own events and the spans of calls.
///
/// [`Pool::set_telemetry`](crate::pool::Pool::set_telemetry) changes them while workers run.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct TelemetryControl {
    /// Workers report records; `true` by default.
    pub enabled: bool,
    /// Share of the events, and of the outermost spans of worker code, that are reported: 0.0 to
    /// 1.0; 1.0 by default.
    pub sampling: f64,
    /// Globs of the names of events and loggers that are reported; all if empty.
    pub allow: Vec<String>,
    /// Globs of the names of events and loggers that are not reported, even if `allow` matches.
    pub deny: Vec<String>,
    /// Levels of loggers in Python's numbers, by the name of the logger; the root logger's name is
    /// empty.
    pub levels: BTreeMap<String, u8>,
}

impl Default for TelemetryControl {
    fn default() -> Self {
        Self {
            enabled: true,
            sampling: 1.0,
            allow: Vec::new(),
            deny: Vec::new(),
            levels: BTreeMap::new(),
        }
    }
}

impl TelemetryControl {
    /// Longest glob or name of a logger, in bytes.
    const MAX_NAME: usize = 256;

    /// Largest number of bytes of all globs and names together.
    const MAX_BYTES: usize = 16 << 10;

    /// Creates the default settings.
    pub fn new() -> Self {
        Self::default()
    }

    /// Creates settings that report nothing.
    pub fn off() -> Self {
        Self {
            enabled: false,
            ..Self::default()
        }
    }

    /// Checks the settings.
    ///
    /// # Errors
    /// A share is not between 0.0 and 1.0, a glob is empty, or names are too long, alone or
    /// together.
    pub fn validate(&self) -> Result<(), ConfigError> {
        if !(0.0..=1.0).contains(&self.sampling) {
            return Err(ConfigError::new(
                "telemetry.sampling",
                format!("must be between 0.0 and 1.0, got {}", self.sampling),
                "set `telemetry.sampling` to the share of events to report",
            ));
        }
        let mut bytes = 0;
        let globs = [
            ("telemetry.allow", &self.allow),
            ("telemetry.deny", &self.deny),
        ];
        let globs = globs
            .into_iter()
            .flat_map(|(key, globs)| globs.iter().map(move |it| (key, it)));
        for (key, glob) in globs {
            if glob.is_empty() {
                return Err(ConfigError::new(
                    key,
                    "has a glob that is empty and matches nothing",
                    format!("remove it from `{key}`, or write `*`"),
                ));
            }
            bytes += Self::fitting(key, glob)?;
        }
        for logger in self.levels.keys() {
            bytes += Self::fitting("telemetry.levels", logger)?;
        }
        if bytes > Self::MAX_BYTES {
            let limit = Self::MAX_BYTES;
            return Err(ConfigError::new(
                "telemetry",
                format!("has names of {bytes} bytes, the limit is {limit}"),
                "use globs, such as `urllib3.*`",
            ));
        }
        Ok(())
    }

    /// Returns the bytes by which a name counts towards the limit.
    ///
    /// # Errors
    /// The name is too long.
    fn fitting(key: &str, name: &str) -> Result<usize, ConfigError> {
        /// Bytes in addition to those of the name.
        const OVERHEAD: usize = 8;
        let limit = Self::MAX_NAME;
        if name.len() > limit {
            return Err(ConfigError::new(
                key,
                format!("has a name of {} bytes, the limit is {limit}", name.len()),
                "use a shorter name, or a glob",
            ));
        }
        Ok(name.len() + OVERHEAD)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_that_cannot_be_used_are_refused() {
        assert_eq!(TelemetryControl::default().validate(), Ok(()));
        let key = |change: &dyn Fn(&mut TelemetryControl)| {
            let mut control = TelemetryControl::default();
            change(&mut control);
            control.validate().unwrap_err().key
        };
        for sampling in [-0.1, 1.1, f64::NAN, f64::INFINITY] {
            assert_eq!(key(&|it| it.sampling = sampling), "telemetry.sampling");
        }
        assert_eq!(key(&|it| it.allow = vec![String::new()]), "telemetry.allow");
        assert_eq!(key(&|it| it.deny = vec!["x".repeat(257)]), "telemetry.deny");
        let long = || (0..100).map(|n| (format!("{n}{}", "x".repeat(200)), 10));
        assert_eq!(key(&|it| it.levels = long().collect()), "telemetry");
    }
}
