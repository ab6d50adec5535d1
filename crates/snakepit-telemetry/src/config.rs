//! Settings of the exporters.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use snakepit_core::config::ConfigError;
use tracing::level_filters::LevelFilter;

use crate::{Compression, ListenAddress, RecordLimits, Sampling, SignalConfig};

/// Settings of telemetry. The default exports nothing.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct TelemetryConfig {
    /// Name of this program, `service.name`. Default: `snakepit`.
    pub service_name: String,
    /// Further attributes of this program, for example `deployment.environment.name`.
    pub resource: BTreeMap<String, String>,
    /// Settings of the export to an OpenTelemetry collector. `None` disables it.
    pub otlp: Option<OtlpConfig>,
    /// Address of the endpoint for Prometheus. `None` disables it. There is no authentication:
    /// every client that reaches the address can read the names of pools and tools, and all counts.
    pub prometheus: Option<ListenAddress>,
    /// Choice of the calls that are traced. Default: all calls; with a parent span, the parent's
    /// decision.
    pub sampling: Sampling,
    /// Lowest level of exported spans and logs. Default: `INFO`.
    pub log_level: LevelFilter,
    /// Levels by `tracing` target or by Python logger. The longest prefix that ends at a `::` or a
    /// dot applies.
    pub log_levels: BTreeMap<String, LevelFilter>,
    /// Levels of the logs of pools, by name of the pool. They take precedence over the other
    /// levels.
    pub pool_log_levels: BTreeMap<String, LevelFilter>,
    /// Parts of attribute names whose values are hidden, in addition to `password`, `token` and
    /// other names that are always hidden.
    pub redact: Vec<String>,
    /// `true` to export the ids of sessions as hashes, with a different key in each process.
    /// Default: `false`.
    pub hash_sessions: bool,
    /// Largest number of label sets of one metric; further sets are counted as one. Default: 1,000.
    pub label_sets: usize,
    /// Time limit of a shutdown. Default: 5 s.
    pub shutdown_timeout: Duration,
    /// Warnings about variables that have no effect, for the log of the start.
    pub(crate) unsupported: Vec<String>,
}

/// Settings of the export to an OpenTelemetry collector, over gRPC.
#[derive(Clone, PartialEq)]
#[non_exhaustive]
pub struct OtlpConfig {
    /// Endpoint for traces, for example `http://localhost:4317`. `None` disables their export.
    pub traces: Option<String>,
    /// Endpoint for metrics. `None` disables their export.
    pub metrics: Option<String>,
    /// Endpoint for logs. `None` disables their export.
    pub logs: Option<String>,
    /// Headers of each request, for example `authorization`.
    pub headers: BTreeMap<String, String>,
    /// File with the root certificates (PEM) that the collector's certificate must descend from.
    /// `None` trusts the system's.
    pub certificate: Option<PathBuf>,
    /// File with the client certificate (PEM) that is presented to the collector.
    pub client_certificate: Option<PathBuf>,
    /// File with the key (PEM) of that certificate.
    pub client_key: Option<PathBuf>,
    /// Time limit of one request, including retries. Default: 10 s.
    pub timeout: Duration,
    /// Compression of requests. Default: none.
    pub compression: Compression,
    /// Largest number of records of a signal that wait for export; further ones are dropped and
    /// counted. Default: 4,096.
    pub queue: usize,
    /// Largest approximate size in bytes of the records of a signal that wait for export. Default:
    /// 16 MiB.
    pub queue_bytes: usize,
    /// Largest number of records in a request. Default: 512.
    pub batch: usize,
    /// Longest time that a span or a log record waits for further ones. Default: 1 s.
    pub delay: Duration,
    /// Interval between two exports of metrics. Default: 60 s.
    pub metrics_interval: Duration,
    /// Limits on attributes, events and links.
    pub limits: RecordLimits,
    /// Settings of traces alone.
    pub for_traces: SignalConfig,
    /// Settings of metrics alone.
    pub for_metrics: SignalConfig,
    /// Settings of logs alone.
    pub for_logs: SignalConfig,
}

/// The default endpoint of collectors in OpenTelemetry's specification.
pub(crate) const ENDPOINT: &str = "http://localhost:4317";

impl Default for TelemetryConfig {
    fn default() -> Self {
        Self {
            service_name: "snakepit".to_owned(),
            resource: BTreeMap::new(),
            otlp: None,
            prometheus: None,
            sampling: Sampling::default(),
            log_level: LevelFilter::INFO,
            log_levels: BTreeMap::new(),
            pool_log_levels: BTreeMap::new(),
            redact: Vec::new(),
            hash_sessions: false,
            label_sets: 1000,
            shutdown_timeout: Duration::from_secs(5),
            unsupported: Vec::new(),
        }
    }
}

impl TelemetryConfig {
    /// Creates settings that export nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Checks the settings.
    ///
    /// # Errors
    /// The first invalid setting.
    pub fn validate(&self) -> Result<(), ConfigError> {
        if self.service_name.trim().is_empty() {
            let help = "give this program a name";
            return Err(ConfigError::new("service_name", "is empty", help));
        }
        let ratio = self.sampling.ratio;
        if !(0.0..=1.0).contains(&ratio) {
            let message = format!("must be between 0 and 1, got {ratio}");
            return Err(ConfigError::new(
                "sampling",
                message,
                "write for example 0.1",
            ));
        }
        within("label_sets", self.label_sets, 1..=100_000)?;
        span("shutdown_timeout", self.shutdown_timeout)?;
        match &self.otlp {
            Some(otlp) => otlp.validate(),
            None => Ok(()),
        }
    }

    /// Returns warnings about settings that are valid, but have no effect or rarely work.
    pub(crate) fn warnings(&self) -> Vec<String> {
        let mut warnings = self.unsupported.clone();
        let otlp = self.otlp.iter();
        let endpoints = otlp.flat_map(|otlp| [&otlp.traces, &otlp.metrics, &otlp.logs]);
        let of_http = endpoints
            .flatten()
            .filter(|it| it.trim().trim_end_matches('/').ends_with(":4318"));
        let of_http: BTreeSet<&String> = of_http.collect();
        warnings.extend(of_http.into_iter().map(|endpoint| {
            format!("{endpoint} has the port for OTLP over HTTP; this exporter speaks gRPC, whose usual port is 4317")
        }));
        warnings
    }
}

impl OtlpConfig {
    /// Creates settings that export all signals to an endpoint, for example
    /// `http://localhost:4317`.
    pub fn new(endpoint: impl Into<String>) -> Self {
        let endpoint = endpoint.into();
        Self {
            traces: Some(endpoint.clone()),
            metrics: Some(endpoint.clone()),
            logs: Some(endpoint),
            headers: BTreeMap::new(),
            certificate: None,
            client_certificate: None,
            client_key: None,
            timeout: Duration::from_secs(10),
            compression: Compression::None,
            queue: 4096,
            queue_bytes: 16 << 20,
            batch: 512,
            delay: Duration::from_secs(1),
            metrics_interval: Duration::from_secs(60),
            limits: RecordLimits::default(),
            for_traces: SignalConfig::default(),
            for_metrics: SignalConfig::default(),
            for_logs: SignalConfig::default(),
        }
    }

    /// Returns the settings of one signal: its own, and those of all signals for the rest.
    pub(crate) fn of(&self, own: &SignalConfig) -> Self {
        let mut all = self.clone();
        let own = own.clone();
        all.headers = own.headers.unwrap_or(all.headers);
        all.certificate = own.certificate.or(all.certificate);
        all.client_certificate = own.client_certificate.or(all.client_certificate);
        all.client_key = own.client_key.or(all.client_key);
        all.timeout = own.timeout.unwrap_or(all.timeout);
        all.compression = own.compression.unwrap_or(all.compression);
        all.delay = own.delay.unwrap_or(all.delay);
        all.queue = own.queue.unwrap_or(all.queue);
        all.batch = own.batch.unwrap_or(all.batch).min(all.queue);
        all
    }

    fn validate(&self) -> Result<(), ConfigError> {
        self.validate_one()?;
        for (endpoint, own) in [
            (&self.traces, &self.for_traces),
            (&self.metrics, &self.for_metrics),
            (&self.logs, &self.for_logs),
        ] {
            if endpoint.is_some() {
                self.of(own).validate_one()?;
            }
        }
        Ok(())
    }

    fn validate_one(&self) -> Result<(), ConfigError> {
        within("queue", self.queue, 1..=1_000_000)?;
        within("queue_bytes", self.queue_bytes, 1 << 16..=1 << 32)?;
        within("batch", self.batch, 1..=self.queue)?;
        span("timeout", self.timeout)?;
        span("delay", self.delay)?;
        span("metrics_interval", self.metrics_interval)?;
        let missing = match (&self.client_certificate, &self.client_key) {
            (Some(_), None) => "client_key",
            (None, Some(_)) => "client_certificate",
            _ => return Ok(()),
        };
        let help = "give the certificate and its key, or neither";
        Err(ConfigError::new(missing, "is missing", help))
    }
}

impl Default for OtlpConfig {
    fn default() -> Self {
        Self::new(ENDPOINT)
    }
}

/// Shows only the names of headers, because their values are secrets.
impl fmt::Debug for OtlpConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OtlpConfig")
            .field("traces", &self.traces)
            .field("metrics", &self.metrics)
            .field("logs", &self.logs)
            .field("headers", &self.headers.keys().collect::<Vec<_>>())
            .field("certificate", &self.certificate)
            .field("client_certificate", &self.client_certificate)
            .field("timeout", &self.timeout)
            .field("compression", &self.compression)
            .field("queue", &self.queue)
            .field("queue_bytes", &self.queue_bytes)
            .field("batch", &self.batch)
            .field("delay", &self.delay)
            .field("metrics_interval", &self.metrics_interval)
            .field("limits", &self.limits)
            .field("for_traces", &self.for_traces)
            .field("for_metrics", &self.for_metrics)
            .field("for_logs", &self.for_logs)
            .finish_non_exhaustive()
    }
}

fn within(
    key: &str,
    value: usize,
    range: std::ops::RangeInclusive<usize>,
) -> Result<(), ConfigError> {
    if range.contains(&value) {
        return Ok(());
    }
    let (least, most) = (range.start(), range.end());
    let message = format!("must be between {least} and {most}, got {value}");
    Err(ConfigError::new(
        key,
        message,
        "write a number in this range",
    ))
}

fn span(key: &str, value: Duration) -> Result<(), ConfigError> {
    let range = Duration::from_millis(10)..=Duration::from_secs(3600);
    if range.contains(&value) {
        return Ok(());
    }
    let message = format!("must be between 10ms and 1h, got {value:?}");
    Err(ConfigError::new(key, message, "write a time in this range"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_that_cannot_be_used_are_refused_by_name() {
        let refused = |change: fn(&mut TelemetryConfig)| {
            let mut config = TelemetryConfig::new();
            config.otlp = Some(OtlpConfig::default());
            config.validate().unwrap();
            change(&mut config);
            config.validate().unwrap_err().key
        };
        assert_eq!(refused(|it| it.service_name = " ".into()), "service_name");
        assert_eq!(refused(|it| it.sampling.ratio = f64::NAN), "sampling");
        assert_eq!(refused(|it| it.label_sets = 0), "label_sets");
        assert_eq!(
            refused(|it| it.shutdown_timeout = Duration::ZERO),
            "shutdown_timeout"
        );
        assert_eq!(refused(|it| it.otlp.as_mut().unwrap().queue = 0), "queue");
        assert_eq!(
            refused(|it| it.otlp.as_mut().unwrap().batch = 5000),
            "batch"
        );
        let key = |it: &mut TelemetryConfig| {
            it.otlp.as_mut().unwrap().client_key = Some("key.pem".into());
        };
        assert_eq!(refused(key), "client_certificate");
    }

    #[test]
    fn values_of_headers_are_not_shown() {
        let mut config = OtlpConfig::default();
        let value = "Bearer hushhush".to_owned();
        config.headers.insert("authorization".to_owned(), value);
        let shown = format!("{config:?}");
        assert!(shown.contains("authorization") && !shown.contains("hushhush"));
    }
}
