//! Settings from environment variables: `OTEL_*`, and the names of the original library.

use std::collections::BTreeMap;
use std::str::FromStr;
use std::time::Duration;

use snakepit_core::config::ConfigError;
use tracing::level_filters::LevelFilter;

use crate::config::ENDPOINT;
use crate::{ListenAddress, OtlpConfig, Sampling, TelemetryConfig};

/// Variables by name. Empty ones are treated as absent, as the specification requires.
struct Variables(BTreeMap<String, String>);

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
        self.identity(&variables)?;
        self.endpoints(&variables)?;
        self.exporters(&variables)?;
        if let Some(otlp) = &mut self.otlp {
            otlp.requests(&variables)?;
        }
        if let Some((_, name)) = variables.first(&["OTEL_TRACES_SAMPLER"]) {
            let argument = variables.first(&["OTEL_TRACES_SAMPLER_ARG"]);
            self.sampling = Sampling::parse(name, argument.map(|(_, text)| text))?;
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
        let endpoint = variables.first(&names);
        if let Some((_, endpoint)) = endpoint {
            let otlp = self.otlp.get_or_insert_default();
            for signal in [&mut otlp.traces, &mut otlp.metrics, &mut otlp.logs] {
                *signal = signal.take().map(|_| endpoint.to_owned());
            }
        } else {
            match variables.flag("SNAKEPIT_ENABLE_OTLP")? {
                Some(true) => _ = self.otlp.get_or_insert_default(),
                Some(false) => self.otlp = None,
                None => {}
            }
        }
        for (signal, set) in SIGNALS {
            let name = format!("OTEL_EXPORTER_OTLP_{signal}_ENDPOINT");
            if let Some((_, endpoint)) = variables.first(&[&name]) {
                let none = || OtlpConfig {
                    traces: None,
                    metrics: None,
                    logs: None,
                    ..OtlpConfig::default()
                };
                *set(self.otlp.get_or_insert_with(none)) = Some(endpoint.to_owned());
            }
        }
        Ok(())
    }

    /// Reads `OTEL_TRACES_EXPORTER` and the corresponding variables of the other signals.
    fn exporters(&mut self, variables: &Variables) -> Result<(), ConfigError> {
        for (signal, set) in SIGNALS {
            let name = format!("OTEL_{signal}_EXPORTER");
            let Some((_, list)) = variables.first(&[&name]) else {
                continue;
            };
            let (mut otlp, mut prometheus) = (false, false);
            for exporter in list.split(',').map(str::trim) {
                match exporter {
                    "otlp" => otlp = true,
                    "prometheus" if signal == "METRICS" => prometheus = true,
                    "none" => {}
                    other => {
                        let help = "write otlp, none or, for metrics, prometheus";
                        let message = format!("names an unknown exporter: \"{other}\"");
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

/// The name of a signal in variables, and the setting of its endpoint.
type Signal = (&'static str, fn(&mut OtlpConfig) -> &mut Option<String>);

const SIGNALS: [Signal; 3] = [
    ("TRACES", |otlp| &mut otlp.traces),
    ("METRICS", |otlp| &mut otlp.metrics),
    ("LOGS", |otlp| &mut otlp.logs),
];

impl OtlpConfig {
    fn requests(&mut self, variables: &Variables) -> Result<(), ConfigError> {
        if let Some((name, protocol)) = variables.first(&["OTEL_EXPORTER_OTLP_PROTOCOL"])
            && protocol != "grpc"
        {
            let message = format!("must be \"grpc\", got \"{protocol}\"");
            let help = "leave it out, and name the port for gRPC, usually 4317";
            return Err(ConfigError::new(name, message, help));
        }
        self.headers
            .extend(variables.pairs("OTEL_EXPORTER_OTLP_HEADERS")?);
        for (name, target) in [
            ("OTEL_EXPORTER_OTLP_CERTIFICATE", &mut self.certificate),
            (
                "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE",
                &mut self.client_certificate,
            ),
            ("OTEL_EXPORTER_OTLP_CLIENT_KEY", &mut self.client_key),
        ] {
            if let Some((_, path)) = variables.first(&[name]) {
                *target = Some(path.into());
            }
        }
        for (name, target) in [
            ("OTEL_EXPORTER_OTLP_TIMEOUT", &mut self.timeout),
            ("OTEL_BSP_SCHEDULE_DELAY", &mut self.delay),
            ("OTEL_METRIC_EXPORT_INTERVAL", &mut self.metrics_interval),
        ] {
            if let Some(millis) = variables.parsed(name, "a number of milliseconds")? {
                *target = Duration::from_millis(millis);
            }
        }
        for (name, target) in [
            ("OTEL_BSP_MAX_QUEUE_SIZE", &mut self.queue),
            ("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", &mut self.batch),
        ] {
            if let Some(number) = variables.parsed(name, "a number")? {
                *target = number;
            }
        }
        self.batch = self.batch.min(self.queue);
        Ok(())
    }
}

impl Variables {
    /// Returns the first variable that is set, with its name.
    fn first<'a>(&'a self, names: &[&'a str]) -> Option<(&'a str, &'a str)> {
        let mut found = names.iter().filter_map(|name| {
            let value = self.0.get(*name)?;
            Some((*name, value.trim()))
        });
        found.next()
    }

    fn parsed<T: FromStr>(&self, name: &str, expected: &str) -> Result<Option<T>, ConfigError> {
        let Some(text) = self.0.get(name) else {
            return Ok(None);
        };
        let parsed = text.trim().parse().map(Some);
        parsed.map_err(|_| {
            let message = format!("must be {expected}, got \"{text}\"");
            ConfigError::new(name, message, format!("write {expected}"))
        })
    }

    /// Parses `name=value,name=value`; values may have percent escapes. Errors do not contain the
    /// text, which may be a secret.
    fn pairs(&self, name: &str) -> Result<Vec<(String, String)>, ConfigError> {
        let text = self.0.get(name).map_or("", String::as_str);
        let parts = text.split(',').enumerate();
        let parts = parts.filter(|(_, part)| !part.trim().is_empty());
        let pairs = parts.map(|(index, part)| {
            let pair = part
                .split_once('=')
                .map(|(key, value)| (key.trim(), value.trim()));
            let pair = pair.filter(|(key, _)| !key.is_empty());
            let pair = pair.map(|(key, value)| (key.to_owned(), unescaped(value)));
            pair.ok_or_else(|| {
                let message = format!("must be pairs, and part {} is none", index + 1);
                let help = "write name=value,name=value with %20 for a space and %2C for a comma";
                ConfigError::new(name, message, help)
            })
        });
        pairs.collect()
    }

    fn flag(&self, name: &str) -> Result<Option<bool>, ConfigError> {
        let Some(text) = self.0.get(name) else {
            return Ok(None);
        };
        match text.trim().to_lowercase().as_str() {
            "true" | "1" | "yes" => Ok(Some(true)),
            "false" | "0" | "no" => Ok(Some(false)),
            _ => {
                let message = format!("must be true or false, got \"{text}\"");
                Err(ConfigError::new(name, message, "write true or false"))
            }
        }
    }
}

fn unescaped(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        let code = tail.get(..2).filter(|_| *first == b'%');
        let code = code.and_then(|digits| std::str::from_utf8(digits).ok());
        match code.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = &tail[2..];
            }
            None => {
                bytes.push(*first);
                rest = tail;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
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
