//! Settings from environment variables: `OTEL_*`, and the names of the original library.

mod requests;
mod unsupported;
mod variables;

use snakepit_core::config::ConfigError;
use tracing::level_filters::LevelFilter;

use crate::config::ENDPOINT;
use crate::{ListenAddress, OtlpConfig, Sampling, SignalConfig, TelemetryConfig};
use variables::Variables;

impl TelemetryConfig {
    /// Reads the variables of this process, as [`from_variables`](Self::from_variables) does.
    ///
    /// # Errors
    /// A variable has an invalid value.
    pub fn from_env() -> Result<Self, ConfigError> {
        Self::from_variables(process_variables())
    }

    /// Reads settings from variables that the caller provides. As OpenTelemetry's specification
    /// requires, all signals are exported to `http://localhost:4317` unless variables set another
    /// endpoint; without feature `otlp` none is exported.
    ///
    /// # Errors
    /// A variable has an invalid value.
    pub fn from_variables(
        variables: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self, ConfigError> {
        let mut config = Self::new();
        config.otlp = cfg!(feature = "otlp").then(OtlpConfig::default);
        config.change_by(variables)?;
        Ok(config)
    }

    /// Applies the variables of this process to the settings.
    ///
    /// # Errors
    /// A variable has an invalid value.
    pub fn change_by_env(&mut self) -> Result<(), ConfigError> {
        self.change_by(process_variables())
    }

    /// Applies variables to the settings.
    ///
    /// # Errors
    /// A variable has an invalid value.
    pub fn change_by(
        &mut self,
        variables: impl IntoIterator<Item = (String, String)>,
    ) -> Result<(), ConfigError> {
        let relevant = |name: &str| name.starts_with("OTEL_") || name.starts_with("SNAKEPIT_");
        let variables = variables.into_iter();
        let variables = variables.filter(|(name, value)| relevant(name) && !value.is_empty());
        let variables = Variables(variables.collect());
        if variables.flag("OTEL_SDK_DISABLED")? == Some(true) {
            (self.otlp, self.prometheus) = (None, None);
            return Ok(());
        }
        self.unsupported = unsupported::found(&variables);
        self.identity(&variables)?;
        self.endpoints(&variables)?;
        self.exporters(&variables)?;
        if let Some(otlp) = &mut self.otlp {
            otlp.requests(&variables)?;
        }
        if let Some((_, name)) = variables.first(&["OTEL_TRACES_SAMPLER"]) {
            let argument = variables.first(&["OTEL_TRACES_SAMPLER_ARG"]);
            self.sampling = Sampling::parse(&name.to_lowercase(), argument.map(|(_, text)| text))?;
        }
        if let Some((name, text)) = variables.first(&["SNAKEPIT_LOG_LEVEL"]) {
            self.log_level = level(text).ok_or_else(|| {
                let message = format!("must be a level, got \"{text}\"");
                ConfigError::new(
                    name,
                    message,
                    "write off, error, warn, info, debug or trace",
                )
            })?;
        }
        Ok(())
    }

    fn identity(&mut self, variables: &Variables) -> Result<(), ConfigError> {
        self.resource
            .extend(variables.pairs("OTEL_RESOURCE_ATTRIBUTES")?);
        if let Some(name) = self.resource.remove("service.name") {
            self.service_name = name;
        }
        let names = ["OTEL_SERVICE_NAME", "SNAKEPIT_SERVICE_NAME"];
        if let Some((_, name)) = variables.first(&names) {
            self.service_name = name.to_owned();
        }
        if let Some((_, id)) = variables.first(&["SNAKEPIT_INSTANCE_ID"]) {
            let known = self.resource.entry("service.instance.id".to_owned());
            known.or_insert_with(|| id.to_owned());
        }
        Ok(())
    }

    fn endpoints(&mut self, variables: &Variables) -> Result<(), ConfigError> {
        let names = ["OTEL_EXPORTER_OTLP_ENDPOINT", "SNAKEPIT_OTEL_ENDPOINT"];
        let insecure = variables.flag("OTEL_EXPORTER_OTLP_INSECURE")?;
        let endpoint = variables.first(&names);
        if let Some((_, endpoint)) = endpoint {
            let endpoint = with_scheme(endpoint, insecure);
            let otlp = self.otlp.get_or_insert_default();
            for signal in [&mut otlp.traces, &mut otlp.metrics, &mut otlp.logs] {
                *signal = signal.take().map(|_| endpoint.clone());
            }
        } else {
            match variables.flag("SNAKEPIT_ENABLE_OTLP")? {
                Some(true) => _ = self.otlp.get_or_insert_default(),
                Some(false) => self.otlp = None,
                None => {}
            }
        }
        for Signal {
            name: signal, set, ..
        } in SIGNALS
        {
            let name = format!("OTEL_EXPORTER_OTLP_{signal}_ENDPOINT");
            let own = variables.flag(&format!("OTEL_EXPORTER_OTLP_{signal}_INSECURE"))?;
            if let Some((_, endpoint)) = variables.first(&[&name]) {
                let none = || OtlpConfig {
                    traces: None,
                    metrics: None,
                    logs: None,
                    ..OtlpConfig::default()
                };
                *set(self.otlp.get_or_insert_with(none)) =
                    Some(with_scheme(endpoint, own.or(insecure)));
            }
        }
        Ok(())
    }

    /// Reads `OTEL_TRACES_EXPORTER` and the corresponding variables of the other signals.
    fn exporters(&mut self, variables: &Variables) -> Result<(), ConfigError> {
        for Signal {
            name: signal, set, ..
        } in SIGNALS
        {
            let name = format!("OTEL_{signal}_EXPORTER");
            let Some((_, list)) = variables.first(&[&name]) else {
                continue;
            };
            let (mut otlp, mut prometheus) = (false, false);
            for exporter in list.split(',').map(str::trim) {
                match &*exporter.to_lowercase() {
                    "otlp" => otlp = true,
                    "prometheus" if signal == "METRICS" => prometheus = true,
                    "none" => {}
                    other => {
                        let help = "write otlp, none or, for metrics, prometheus";
                        let message =
                            format!("names an unknown exporter: \"{}\"", other.escape_debug());
                        return Err(ConfigError::new(name, message, help));
                    }
                }
            }
            if otlp {
                let target = set(self.otlp.get_or_insert_default());
                target.get_or_insert_with(|| ENDPOINT.to_owned());
            } else if let Some(config) = &mut self.otlp {
                *set(config) = None;
            }
            if prometheus && self.prometheus.is_none() {
                self.prometheus = Some(ListenAddress::standard());
            }
        }
        if let Some(address) = &mut self.prometheus {
            if let Some((name, host)) = variables.first(&["OTEL_EXPORTER_PROMETHEUS_HOST"]) {
                address.set_host(host).map_err(|_| {
                    let message = format!("must be a host, got \"{}\"", host.escape_debug());
                    ConfigError::new(name, message, "write for example localhost or 127.0.0.1")
                })?;
            }
            if let Some(port) = variables.parsed("OTEL_EXPORTER_PROMETHEUS_PORT", "a port")? {
                address.set_port(port);
            }
        }
        Ok(())
    }
}

/// A signal in variables.
struct Signal {
    /// Its part of the names of variables.
    name: &'static str,
    /// Returns its endpoint.
    set: fn(&mut OtlpConfig) -> &mut Option<String>,
    /// Returns its own settings.
    own: fn(&mut OtlpConfig) -> &mut SignalConfig,
    /// Begin of the names of its variables for batches.
    batches: &'static str,
}

const SIGNALS: [Signal; 3] = [
    Signal {
        name: "TRACES",
        set: |otlp| &mut otlp.traces,
        own: |otlp| &mut otlp.for_traces,
        batches: "OTEL_BSP",
    },
    Signal {
        name: "METRICS",
        set: |otlp| &mut otlp.metrics,
        own: |otlp| &mut otlp.for_metrics,
        batches: "OTEL_METRIC",
    },
    Signal {
        name: "LOGS",
        set: |otlp| &mut otlp.logs,
        own: |otlp| &mut otlp.for_logs,
        batches: "OTEL_BLRP",
    },
];

/// Adds the scheme that a variable chooses to an endpoint without one. Without that variable the
/// endpoint stays, and is rejected when it is opened.
fn with_scheme(endpoint: &str, insecure: Option<bool>) -> String {
    match insecure {
        Some(insecure) if !endpoint.contains("://") => {
            let scheme = if insecure { "http" } else { "https" };
            format!("{scheme}://{endpoint}")
        }
        _ => endpoint.to_owned(),
    }
}

/// Parses a level by its name in `tracing`, Python or the original library. `None` if the name is
/// unknown.
pub(crate) fn level(text: &str) -> Option<LevelFilter> {
    match text.to_lowercase().as_str() {
        "off" | "none" => Some(LevelFilter::OFF),
        "critical" | "error" => Some(LevelFilter::ERROR),
        "warn" | "warning" => Some(LevelFilter::WARN),
        "info" => Some(LevelFilter::INFO),
        "debug" => Some(LevelFilter::DEBUG),
        "trace" => Some(LevelFilter::TRACE),
        _ => None,
    }
}

fn process_variables() -> impl Iterator<Item = (String, String)> {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
}

#[cfg(test)]
mod tests;
