//! Describes exporters and starts them.

use crate::{ListenAddress, OtlpConfig, Sampling, Telemetry, TelemetryConfig, TelemetryError};

/// Describes exporters and starts them; created by [`Telemetry::builder`].
#[derive(Clone, Debug, Default)]
#[must_use = "nothing is exported before `start`"]
pub struct TelemetryBuilder {
    config: TelemetryConfig,
    own_subscriber: bool,
}

impl TelemetryBuilder {
    /// Replaces all settings made so far.
    pub fn config(mut self, config: TelemetryConfig) -> Self {
        self.config = config;
        self
    }

    /// Changes any setting.
    pub fn configure(mut self, change: impl FnOnce(&mut TelemetryConfig)) -> Self {
        change(&mut self.config);
        self
    }

    /// Sends traces, metrics and logs to a collector, for example at `http://localhost:4317`.
    pub fn otlp(mut self, endpoint: impl Into<String>) -> Self {
        self.config.otlp = Some(OtlpConfig::new(endpoint));
        self
    }

    /// Serves metrics at this address; port 0 chooses a free port.
    pub fn prometheus(mut self, address: impl Into<ListenAddress>) -> Self {
        self.config.prometheus = Some(address.into());
        self
    }

    /// Sets the name of this program.
    pub fn service_name(mut self, name: impl Into<String>) -> Self {
        self.config.service_name = name.into();
        self
    }

    /// Chooses the calls that are traced.
    pub fn sampling(mut self, sampling: Sampling) -> Self {
        self.config.sampling = sampling;
        self
    }

    /// Leaves the installation of a `tracing` subscriber to the application, usually one with
    /// [`Telemetry::layer`].
    pub fn own_subscriber(mut self) -> Self {
        self.own_subscriber = true;
        self
    }

    /// Starts the exporters. Installs a `tracing` subscriber if there is none, unless the
    /// application does that.
    ///
    /// # Errors
    /// A setting is invalid, or the endpoint for Prometheus cannot be opened. An absent collector
    /// is not an error: records are dropped and counted until it can be reached.
    pub fn start(self) -> Result<Telemetry, TelemetryError> {
        let telemetry = Telemetry::start(&self.config)?;
        if !self.own_subscriber {
            telemetry.install_subscriber();
        }
        // Only now there is a subscriber.
        for warning in self.config.warnings() {
            tracing::warn!(target: crate::TARGET, "{warning}");
        }
        Ok(telemetry)
    }
}
