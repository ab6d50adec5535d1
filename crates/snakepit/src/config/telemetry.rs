//! The table `telemetry`.

use std::collections::BTreeMap;
use std::fmt;

use figment::value::magic::RelativePathBuf;
use serde::Deserialize;
use serde::de::{Deserializer, Error, Unexpected, Visitor};
use snakepit_telemetry::{Compression, ListenAddress, OtlpConfig, TelemetryConfig};
use tracing::level_filters::LevelFilter;

use super::maybe::Maybe;
use super::raw::{Size, Span};

/// Keys of the table `telemetry`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawTelemetry {
    enabled: Option<bool>,
    service_name: Option<String>,
    resource: Option<BTreeMap<String, String>>,
    otlp: Option<Maybe<String>>,
    traces: Option<Maybe<String>>,
    metrics: Option<Maybe<String>>,
    logs: Option<Maybe<String>>,
    headers: Option<BTreeMap<String, String>>,
    certificate: Option<RelativePathBuf>,
    client_certificate: Option<RelativePathBuf>,
    client_key: Option<RelativePathBuf>,
    timeout: Option<Span>,
    compression: Option<Compressed>,
    queue: Option<usize>,
    queue_bytes: Option<Size>,
    batch: Option<usize>,
    delay: Option<Span>,
    metrics_interval: Option<Span>,
    prometheus: Option<Maybe<Address>>,
    sampling: Option<f64>,
    parent_based: Option<bool>,
    log_level: Option<Level>,
    log_levels: Option<BTreeMap<String, Level>>,
    pool_log_levels: Option<BTreeMap<String, Level>>,
    redact: Option<Vec<String>>,
    hash_sessions: Option<bool>,
    label_sets: Option<usize>,
    shutdown_timeout: Option<Span>,
}

/// Assigns a value if there is one.
fn set<T, U>(target: &mut U, value: Option<T>, plain: impl FnOnce(T) -> U) {
    if let Some(value) = value {
        *target = plain(value);
    }
}

impl RawTelemetry {
    /// Returns the settings. `None` if telemetry is disabled.
    pub(super) fn config(self) -> Option<TelemetryConfig> {
        if self.enabled == Some(false) {
            return None;
        }
        let mut config = TelemetryConfig::new();
        set(&mut config.service_name, self.service_name.clone(), |it| it);
        set(&mut config.resource, self.resource.clone(), |it| it);
        set(&mut config.prometheus, self.prometheus.clone(), |it| {
            it.0.map(|address| address.0)
        });
        set(&mut config.sampling.ratio, self.sampling, |it| it);
        set(&mut config.sampling.parent_based, self.parent_based, |it| {
            it
        });
        set(&mut config.log_level, self.log_level, |it| it.0);
        let levels = |it: BTreeMap<String, Level>| {
            let levels = it.into_iter();
            levels.map(|(name, level)| (name, level.0)).collect()
        };
        set(&mut config.log_levels, self.log_levels.clone(), levels);
        let pools = self.pool_log_levels.clone();
        set(&mut config.pool_log_levels, pools, levels);
        set(&mut config.redact, self.redact.clone(), |it| it);
        set(&mut config.hash_sessions, self.hash_sessions, |it| it);
        set(&mut config.label_sets, self.label_sets, |it| it);
        set(&mut config.shutdown_timeout, self.shutdown_timeout, |it| {
            it.0
        });
        config.otlp = self.otlp();
        Some(config)
    }

    /// Returns the settings of the export to collectors. `None` if no signal has an endpoint.
    fn otlp(self) -> Option<OtlpConfig> {
        let endpoint = self.otlp.and_then(|otlp| otlp.0);
        let mut config = OtlpConfig::new(endpoint.clone().unwrap_or_default());
        let of = |signal: Option<Maybe<String>>| match signal {
            Some(signal) => signal.0,
            None => endpoint.clone(),
        };
        config.traces = of(self.traces);
        config.metrics = of(self.metrics);
        config.logs = of(self.logs);
        if [&config.traces, &config.metrics, &config.logs]
            .iter()
            .all(|it| it.is_none())
        {
            return None;
        }
        set(&mut config.headers, self.headers, |it| it);
        let path = |it: RelativePathBuf| Some(it.relative());
        set(&mut config.certificate, self.certificate, path);
        set(
            &mut config.client_certificate,
            self.client_certificate,
            path,
        );
        set(&mut config.client_key, self.client_key, path);
        set(&mut config.timeout, self.timeout, |it| it.0);
        set(&mut config.compression, self.compression, |it| it.0);
        set(&mut config.queue, self.queue, |it| it);
        set(&mut config.queue_bytes, self.queue_bytes, |it| it.0);
        config.batch = config.batch.min(config.queue);
        set(&mut config.batch, self.batch, |it| it);
        set(&mut config.delay, self.delay, |it| it.0);
        set(&mut config.metrics_interval, self.metrics_interval, |it| {
            it.0
        });
        Some(config)
    }
}

/// An address in the file.
#[derive(Clone, Debug)]
struct Address(ListenAddress);

impl<'de> Deserialize<'de> for Address {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl Visitor<'_> for Text {
            type Value = Address;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an address with a port such as \"127.0.0.1:9464\"")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Address, E> {
                let address = text.parse().map(Address);
                address.map_err(|_| E::invalid_value(Unexpected::Str(text), &self))
            }
        }
        deserializer.deserialize_any(Text)
    }
}

/// A compression in the file.
#[derive(Clone, Copy, Debug)]
struct Compressed(Compression);

impl<'de> Deserialize<'de> for Compressed {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let known = Compression::parse(&text).map(Self);
        known.ok_or_else(|| D::Error::unknown_variant(&text, &["gzip", "none"]))
    }
}

/// A level in the file.
#[derive(Clone, Copy, Debug)]
struct Level(LevelFilter);

const LEVELS: &[&str] = &["off", "error", "warn", "info", "debug", "trace"];

impl<'de> Deserialize<'de> for Level {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl Visitor<'_> for Text {
            type Value = Level;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a level such as \"info\"")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Level, E> {
                let known = LEVELS.contains(&text).then(|| text.parse().ok()).flatten();
                known
                    .map(Level)
                    .ok_or_else(|| E::unknown_variant(text, LEVELS))
            }
        }
        deserializer.deserialize_any(Text)
    }
}
