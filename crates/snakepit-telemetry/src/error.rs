//! The errors of starting telemetry.

use std::io;

use snakepit_core::config::ConfigError;
use snakepit_core::error::ErrorCode;

use crate::ListenAddress;

/// The reason telemetry cannot be started. An absent collector is not an error, because it may
/// start later.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TelemetryError {
    /// A setting is invalid.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The metrics endpoint cannot be opened.
    #[error(
        "the metrics endpoint cannot listen on {address}: {source}; choose another address or port, or port 0 for a free one"
    )]
    Listen {
        /// The requested address.
        address: ListenAddress,
        /// The error that the system returned.
        source: io::Error,
    },
    /// The thread of the exporters cannot be started.
    #[error(
        "the thread of the exporters cannot be started: {0}; check the limits of threads and descriptors"
    )]
    Thread(#[source] io::Error),
}

impl TelemetryError {
    /// Returns the stable code.
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::Config(error) => error.code,
            Self::Listen { .. } | Self::Thread(_) => ErrorCode::InvalidConfig,
        }
    }

    /// Creates the error of a setting.
    pub(crate) fn setting(
        key: impl Into<String>,
        message: impl Into<String>,
        help: impl Into<String>,
    ) -> Self {
        Self::Config(ConfigError::new(key, message, help))
    }
}
