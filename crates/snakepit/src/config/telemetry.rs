//! The table `telemetry`.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Deserializer, de};
use snakepit_core::config::Bytes;
use snakepit_telemetry::{Compression, ListenAddress, OtlpConfig, TelemetryConfig};
use tracing::level_filters::LevelFilter;

/// Keys of the table `telemetry`.
#[derive(Clone, Debug, Default, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub(super) struct TelemetryKeys {
    /// Exports telemetry. Default: true if the table exists.
    enabled: Option<bool>,
    /// Name of this program, `service.name`. Default: `snakepit`.
    service_name: Option<String>,
    /// Further attributes of this program, for example `deployment.environment.name`.
    resource: Option<BTreeMap<String, String>>,
    /// Endpoint of an OpenTelemetry collector for traces, metrics and logs, over gRPC.
    otlp: Option<String>,
    /// Endpoint for traces. Default: that of `otlp`; `None` disables their export.
    #[serde(deserialize_with = "given")]
    traces: Option<Option<String>>,
    /// Endpoint for metrics. Default: that of `otlp`; `None` disables their export.
    #[serde(deserialize_with = "given")]
    metrics: Option<Option<String>>,
    /// Endpoint for logs. Default: that of `otlp`; `None` disables their export.
    #[serde(deserialize_with = "given")]
    logs: Option<Option<String>>,
    /// Headers of each request, for example `authorization`.
    headers: Option<BTreeMap<String, String>>,
    /// File with the root certificates (PEM) that the collector's certificate must descend from.
    /// `None` trusts the system's.
    pub(super) certificate: Option<PathBuf>,
    /// File with the client certificate (PEM) that is presented to the collector.
    pub(super) client_certificate: Option<PathBuf>,
    /// File with the key (PEM) of that certificate.
    pub(super) client_key: Option<PathBuf>,
    /// Time limit of one request, including retries, 10 ms to 1 h. Default: 10 s.
    timeout: Option<Duration>,
    /// Compression of requests. Default: none.
    #[serde(deserialize_with = "compression")]
    #[cfg_attr(test, schemars(with = "String", extend("enum" = ["gzip", "none"])))]
    compression: Option<Compression>,
    /// Largest number of records of a signal that wait for export; further ones are dropped and
    /// counted. Default: 4,096.
    queue: Option<usize>,
    /// Largest approximate size of the records of a signal that wait for export. Default: 16 MiB.
    #[serde(with = "Bytes")]
    queue_bytes: Option<usize>,
    /// Largest number of records in a request. Default: 512.
    batch: Option<usize>,
    /// Longest time that a span or a log record waits for further ones, 10 ms to 1 h. Default: 1 s.
    delay: Option<Duration>,
    /// Interval between two exports of metrics, 10 ms to 1 h. Default: 60 s.
    metrics_interval: Option<Duration>,
    /// Address of the endpoint for Prometheus. There is no authentication: every client that
    /// reaches the address can read the names of pools and tools, and all counts.
    #[serde(deserialize_with = "address")]
    #[cfg_attr(test, schemars(with = "String", extend("pattern" = "^.+:[0-9]+$")))]
    prometheus: Option<ListenAddress>,
    /// Share of the calls that are traced, 0 to 1. Default: 1.
    sampling: Option<f64>,
    /// Follows the decision of the parent span, if there is one. Default: true.
    parent_based: Option<bool>,
    /// Lowest level of exported spans and logs. Default: `"info"`.
    log_level: Option<Level>,
    /// Levels by `tracing` target or by Python logger. The longest prefix that ends at a `::` or a
    /// dot applies.
    log_levels: Option<BTreeMap<String, Level>>,
    /// Levels of the logs of pools, by name of the pool. They take precedence over the other
    /// levels.
    pool_log_levels: Option<BTreeMap<String, Level>>,
    /// Parts of attribute names whose values are hidden, in addition to `password`, `token` and
    /// other names that are always hidden.
    redact: Option<Vec<String>>,
    /// Exports the ids of sessions as hashes, with a different key in each process. Default: false.
    hash_sessions: Option<bool>,
    /// Largest number of label sets of one metric, 1 to 100,000; further sets are counted as one.
    /// Default: 1,000.
    label_sets: Option<usize>,
    /// Time limit of a shutdown, 10 ms to 1 h. Default: 5 s.
    shutdown_timeout: Option<Duration>,
}

/// A level in the file.
#[derive(Clone, Copy, Debug, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
enum Level {
    Off,
    Error,
    Warn,
    Info,
    Debug,
    Trace,
}

impl From<Level> for LevelFilter {
    fn from(level: Level) -> Self {
        match level {
            Level::Off => Self::OFF,
            Level::Error => Self::ERROR,
            Level::Warn => Self::WARN,
            Level::Info => Self::INFO,
            Level::Debug => Self::DEBUG,
            Level::Trace => Self::TRACE,
        }
    }
}

/// Assigns a value if there is one.
fn set<T>(target: &mut T, value: Option<impl Into<T>>) {
    if let Some(value) = value {
        *target = value.into();
    }
}

fn levels(levels: BTreeMap<String, Level>) -> BTreeMap<String, LevelFilter> {
    let levels = levels.into_iter();
    levels.map(|(name, level)| (name, level.into())).collect()
}

impl TelemetryKeys {
    /// Returns the settings. `None` if telemetry is disabled.
    pub(super) fn config(self) -> Option<TelemetryConfig> {
        if self.enabled == Some(false) {
            return None;
        }
        let mut config = TelemetryConfig::new();
        config.prometheus.clone_from(&self.prometheus);
        set(&mut config.service_name, self.service_name.clone());
        set(&mut config.resource, self.resource.clone());
        set(&mut config.sampling.ratio, self.sampling);
        set(&mut config.sampling.parent_based, self.parent_based);
        set(&mut config.log_level, self.log_level);
        set(&mut config.log_levels, self.log_levels.clone().map(levels));
        let pools = self.pool_log_levels.clone().map(levels);
        set(&mut config.pool_log_levels, pools);
        set(&mut config.redact, self.redact.clone());
        set(&mut config.hash_sessions, self.hash_sessions);
        set(&mut config.label_sets, self.label_sets);
        set(&mut config.shutdown_timeout, self.shutdown_timeout);
        config.otlp = self.otlp();
        Some(config)
    }

    /// Returns the settings of the export to collectors. `None` if no signal has an endpoint.
    fn otlp(self) -> Option<OtlpConfig> {
        let endpoint = self.otlp;
        let mut config = OtlpConfig::new(endpoint.clone().unwrap_or_default());
        let of = |signal: Option<Option<String>>| signal.unwrap_or_else(|| endpoint.clone());
        config.traces = of(self.traces);
        config.metrics = of(self.metrics);
        config.logs = of(self.logs);
        if [&config.traces, &config.metrics, &config.logs]
            .iter()
            .all(|it| it.is_none())
        {
            return None;
        }
        config.certificate = self.certificate;
        config.client_certificate = self.client_certificate;
        config.client_key = self.client_key;
        set(&mut config.headers, self.headers);
        set(&mut config.timeout, self.timeout);
        set(&mut config.compression, self.compression);
        set(&mut config.queue, self.queue);
        set(&mut config.queue_bytes, self.queue_bytes);
        config.batch = config.batch.min(config.queue);
        set(&mut config.batch, self.batch);
        set(&mut config.delay, self.delay);
        set(&mut config.metrics_interval, self.metrics_interval);
        Some(config)
    }
}

/// Reads a setting for which `none` is not the same as no setting.
fn given<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Option<String>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}

fn address<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<ListenAddress>, D::Error> {
    let text: Option<String> = Option::deserialize(deserializer)?;
    let address = text.map(|text| {
        let expected = "an address with a port such as \"127.0.0.1:9464\"";
        let wrong = |_| de::Error::invalid_value(de::Unexpected::Str(&text), &expected);
        text.parse().map_err(wrong)
    });
    address.transpose()
}

fn compression<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Compression>, D::Error> {
    let text: Option<String> = Option::deserialize(deserializer)?;
    let name = text.as_deref().unwrap_or("none");
    let known = Compression::parse(name);
    let wrong = || de::Error::unknown_variant(name, &["gzip", "none"]);
    known.map(Some).ok_or_else(wrong)
}
