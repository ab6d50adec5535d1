//! Telemetry as a part of the whole.

use snakepit_telemetry::{Telemetry, TelemetryError};

use crate::shutdown::Host;
use crate::{BuildError, ErrorCode, Pool, Snakepit, SnakepitBuilder};

/// Prefix of the keys of [`TelemetryConfig`](snakepit_telemetry::TelemetryConfig) in a configuration.
const TABLE: &str = "telemetry";

/// Where the exporters come from.
#[derive(Clone, Debug, Default)]
pub(crate) enum Source {
    /// There are none.
    #[default]
    None,
    /// The application's own, which it ends by itself.
    Given(Telemetry),
    /// Those of a configuration, which end with the whole.
    #[cfg(feature = "config")]
    Config(Box<snakepit_telemetry::TelemetryConfig>),
}

/// The exporters of a whole.
#[derive(Debug)]
pub(crate) struct Attached {
    telemetry: Telemetry,
    /// They end with the whole.
    owned: bool,
}

impl Source {
    /// Starts the exporters where they are part of the whole, and attaches them to its state.
    pub(crate) fn attach(self, host: &Host) -> Result<Option<Attached>, BuildError> {
        let (telemetry, owned) = match self {
            Self::None => return Ok(None),
            Self::Given(telemetry) => (telemetry, false),
            #[cfg(feature = "config")]
            Self::Config(config) => (Telemetry::builder().config(*config).start()?, true),
        };
        telemetry.attach(host.state());
        Ok(Some(Attached { telemetry, owned }))
    }
}

impl Attached {
    /// Adds a pool to the metrics.
    pub(crate) fn add_pool(&self, pool: &Pool) {
        self.telemetry.add_pool(pool);
    }

    /// Exports what waits, if the exporters end with the whole.
    pub(crate) async fn end(&self) {
        if self.owned {
            self.telemetry.shutdown().await;
        }
    }
}

impl SnakepitBuilder {
    /// Exports metrics, traces and logs of the whole by these exporters. They outlive it: call [`Telemetry::shutdown`] after
    /// [`Snakepit::shutdown`]. They replace those of a configuration.
    pub fn telemetry(mut self, telemetry: &Telemetry) -> Self {
        self.telemetry = Source::Given(telemetry.clone());
        self
    }
}

impl Snakepit {
    /// The exporters: those that the builder was given, or those of the configuration, which end with the whole. `None` if there are
    /// none.
    pub fn telemetry(&self) -> Option<&Telemetry> {
        self.host().telemetry().map(|attached| &attached.telemetry)
    }
}

impl From<TelemetryError> for BuildError {
    fn from(error: TelemetryError) -> Self {
        let (code, key, message, help) = match error {
            TelemetryError::Config(error) => (error.code, error.key, error.message, error.help),
            TelemetryError::Listen { address, source } => (
                ErrorCode::InvalidConfig,
                "prometheus".to_owned(),
                format!("cannot listen on {address}: {source}"),
                "choose another address or port, or port 0 for a free one".to_owned(),
            ),
            other => (
                other.code(),
                "otlp".to_owned(),
                format!("cannot be started: {other}"),
                "see the limits of threads and descriptors".to_owned(),
            ),
        };
        // A variable has its own name.
        let key = if key.starts_with("OTEL_") || key.starts_with("SNAKEPIT_") {
            key
        } else {
            format!("{TABLE}.{key}")
        };
        Self::setting(code, key, message, help)
    }
}
