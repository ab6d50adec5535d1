//! `--otlp` and `--metrics`, if they are part of the build.

use snakepit::SnakepitBuilder;
#[cfg(feature = "telemetry")]
use snakepit::{BuildError, OtlpConfig, Telemetry, TelemetryConfig};

use crate::cli::TelemetryOptions;
use crate::failure::Failure;

/// The exporters of one command.
#[derive(Debug, Default)]
pub(crate) struct Exporters {
    #[cfg(feature = "telemetry")]
    running: Option<Telemetry>,
}

#[cfg(not(feature = "telemetry"))]
impl Exporters {
    /// Does nothing: there are no options.
    pub(crate) fn start(_options: &TelemetryOptions) -> Result<Self, Failure> {
        Ok(Self::default())
    }

    pub(crate) fn of(&self, builder: SnakepitBuilder) -> SnakepitBuilder {
        builder
    }

    pub(crate) async fn end(&self) {}
}

#[cfg(feature = "telemetry")]
impl Exporters {
    /// Starts the exporters that the options request.
    pub(crate) fn start(options: &TelemetryOptions) -> Result<Self, Failure> {
        let (mut otlp, mut metrics): (Option<String>, _) = (None, None);
        #[cfg(feature = "otlp")]
        options.otlp.clone_into(&mut otlp);
        #[cfg(feature = "prometheus")]
        options.metrics.clone_into(&mut metrics);
        let _ = options;
        if otlp.is_none() && metrics.is_none() {
            return Ok(Self::default());
        }
        let running = run(otlp.as_deref(), metrics).map_err(Failure::from)?;
        if let Some(address) = running.prometheus_address() {
            output(address);
        }
        let running = Some(running);
        Ok(Self { running })
    }

    /// Adds the exporters to a builder.
    pub(crate) fn of(&self, builder: SnakepitBuilder) -> SnakepitBuilder {
        match &self.running {
            Some(telemetry) => builder.telemetry(telemetry),
            None => builder,
        }
    }

    /// Flushes and ends the exporters.
    pub(crate) async fn end(&self) {
        if let Some(telemetry) = &self.running {
            telemetry.shutdown().await;
        }
    }
}

#[cfg(feature = "telemetry")]
fn run(
    otlp: Option<&str>,
    metrics: Option<snakepit::ListenAddress>,
) -> Result<Telemetry, BuildError> {
    let mut config = TelemetryConfig::new();
    config.otlp = otlp.map(|_| OtlpConfig::default());
    config.change_by_env().map_err(|error| {
        let location = None;
        BuildError::Config { error, location }
    })?;
    match otlp {
        // Standard variables alone enable nothing.
        None => config.otlp = None,
        Some("") => {}
        Some(endpoint) => {
            let config = config.otlp.get_or_insert_default();
            for signal in [&mut config.traces, &mut config.metrics, &mut config.logs] {
                *signal = Some(endpoint.to_owned());
            }
        }
    }
    config.prometheus = metrics;
    // At its end the program does not wait long for an unresponsive collector.
    config.shutdown_timeout = std::time::Duration::from_secs(2);
    Ok(Telemetry::builder().config(config).start()?)
}

/// Prints the address of the metrics on stderr.
#[cfg(feature = "telemetry")]
fn output(address: std::net::SocketAddr) {
    use std::io::Write as _;
    // If stderr cannot be written, there is nowhere to report it.
    let _ = writeln!(std::io::stderr(), "metrics: http://{address}/metrics");
}
