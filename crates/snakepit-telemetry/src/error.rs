//! Why telemetry cannot be turned on.

use std::io;

use snakepit_core::{ConfigError, ErrorCode};

use crate::ListenAddress;

/// The reason for which telemetry cannot be turned on. A collector that is absent is none: it may come later.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TelemetryError {
    /// A setting is wrong.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The metrics endpoint cannot be opened.
    #[error(
        "the metrics endpoint cannot listen on {address}: {source}; choose another address or port, or port 0 for a free one"
    )]
    Listen {
        /// Address that was asked for.
        address: ListenAddress,
        /// Report of the system.
        source: io::Error,
    },
    /// The thread of the exporters cannot be started.
    #[error(
        "the thread of the exporters cannot be started: {0}; see the limits of threads and descriptors"
    )]
    Thread(#[source] io::Error),
}

impl TelemetryError {
    /// Stable code.
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::Config(error) => error.code,
            Self::Listen { .. } | Self::Thread(_) => ErrorCode::InvalidConfig,
        }
    }

    /// Builds the error of a setting.
    pub(crate) fn setting(
        key: impl Into<String>,
        message: impl Into<String>,
        help: impl Into<String>,
    ) -> Self {
        Self::Config(ConfigError::new(key, message, help))
    }
}
