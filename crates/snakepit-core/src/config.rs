//! The error of a setting that cannot be used, and the checks that several settings share.

use std::time::Duration;

use crate::code::ErrorCode;

mod bytes;

pub use bytes::Bytes;

/// The longest time that any duration setting may have: ten years.
const MAX_DURATION: Duration = Duration::from_secs(10 * 365 * 24 * 3600);

/// A setting that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{key}` {message}")]
pub struct ConfigError {
    /// Stable code.
    pub code: ErrorCode,
    /// The setting, for example `workers` or `restart.window`.
    pub key: String,
    /// Problem with the value; continues the sentence that begins with the key.
    pub message: String,
    /// Hint: one thing to do about the error.
    pub help: String,
}

impl ConfigError {
    /// Creates the error of a setting that is out of range.
    pub fn new(
        key: impl Into<String>,
        message: impl Into<String>,
        help: impl Into<String>,
    ) -> Self {
        Self {
            code: ErrorCode::InvalidConfig,
            key: key.into(),
            message: message.into(),
            help: help.into(),
        }
    }
}

pub(crate) fn range(key: &str, value: usize, low: usize, high: usize) -> Result<(), ConfigError> {
    if (low..=high).contains(&value) {
        return Ok(());
    }
    let message = format!("must be between {low} and {high}, got {value}");
    Err(ConfigError::new(
        key,
        message,
        format!("set `{key}` to a number between {low} and {high}"),
    ))
}

pub(crate) fn duration(key: &str, value: Duration, zero: bool) -> Result<(), ConfigError> {
    if value > MAX_DURATION {
        let message = format!("must be at most ten years, got {value:?}");
        return Err(ConfigError::new(key, message, "choose a shorter time"));
    }
    if value.is_zero() && !zero {
        return Err(ConfigError::new(
            key,
            "must be more than zero, got 0",
            "choose a longer time",
        ));
    }
    Ok(())
}

/// Checks the `interval` of a table that can be switched off. Intervals so short that the checks
/// themselves would be a load are rejected.
pub(crate) fn interval(table: &str, value: Duration) -> Result<(), ConfigError> {
    const LEAST: Duration = Duration::from_millis(10);
    let key = format!("{table}.interval");
    duration(&key, value, false)?;
    if value < LEAST {
        return Err(ConfigError::new(
            key,
            format!("must be at least {LEAST:?}, got {value:?}"),
            format!("choose a longer time, or set `{table}.enabled` to false"),
        ));
    }
    Ok(())
}
