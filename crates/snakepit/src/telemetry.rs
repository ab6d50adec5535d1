//! Telemetry as a part of the host.

use snakepit_telemetry::{Telemetry, TelemetryError};

use crate::shutdown::Host;
use crate::{BuildError, ErrorCode, Pool, Snakepit, SnakepitBuilder};

/// Prefix of the keys of [`TelemetryConfig`](snakepit_telemetry::TelemetryConfig) in a
/// configuration.
const TABLE: &str = "telemetry";

/// The source of the exporters.
#[derive(Clone, Debug, Default)]
pub(crate) enum Source {
    /// No exporters.
    #[default]
    None,
    /// Exporters of the application, which ends them itself.
    Given(Telemetry),
    /// Exporters of a configuration, which end with the host.
    #[cfg(feature = "config")]
    Config(Box<snakepit_telemetry::TelemetryConfig>),
}

/// The exporters of a host.
#[derive(Debug)]
pub(crate) struct Attached {
    telemetry: Telemetry,
    /// True if they end with the host.
    owned: bool,
}

impl Source {
    /// Starts exporters of a configuration, and attaches the exporters to the host's state.
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

    /// Flushes and ends the exporters if they end with the host.
    pub(crate) async fn end(&self) {
        if self.owned {
            self.telemetry.shutdown().await;
        }
    }
}

impl SnakepitBuilder {
    /// Exports metrics, traces and logs of the host with these exporters, which replace those of a
    /// configuration. They outlive the host: call [`Telemetry::shutdown`] after
    /// [`Snakepit::shutdown`].
    ///
    /// ```no_run
    /// # #[cfg(feature = "process")]
    /// # async fn demo() -> Result<(), Box<dyn std::error::Error>> {
    /// use snakepit::{Snakepit, Telemetry};
    ///
    /// let telemetry = Telemetry::from_env()?;
    /// let snakepit = Snakepit::builder().adapter("tools.py").telemetry(&telemetry).start().await?;
    /// snakepit.shutdown().await;
    /// telemetry.shutdown().await;
    /// # Ok(())
    /// # }
    /// ```
    pub fn telemetry(mut self, telemetry: &Telemetry) -> Self {
        self.telemetry = Source::Given(telemetry.clone());
        self
    }
}

impl Snakepit {
    /// Returns the exporters: those given to the builder, or those of the configuration, which end
    /// with the host. `None` if there are none.
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
                "check the limits of threads and descriptors".to_owned(),
            ),
        };
        // A variable keeps its own name.
        let key = if key.starts_with("OTEL_") || key.starts_with("SNAKEPIT_") {
            key
        } else {
            format!("{TABLE}.{key}")
        };
        Self::setting(code, key, message, help)
    }
}
