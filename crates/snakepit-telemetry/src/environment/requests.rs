//! Variables about requests, batches and limits: those of all signals and those of one.

use std::path::PathBuf;
use std::time::Duration;

use snakepit_core::config::ConfigError;

use super::variables::Variables;
use super::{SIGNALS, Signal};
use crate::{Compression, OtlpConfig, RecordLimits, SignalConfig};

impl OtlpConfig {
    pub(super) fn requests(&mut self, variables: &Variables) -> Result<(), ConfigError> {
        let read = |part: &str| SignalConfig::of(variables, &format!("OTEL_EXPORTER_OTLP_{part}"));
        self.change_all(read("")?);
        for signal in SIGNALS {
            let Signal { name, set, own, .. } = signal;
            if set(self).is_none() {
                continue;
            }
            let mut config = read(&format!("{name}_"))?;
            protocol(variables, name)?;
            signal.batches(variables, &mut config)?;
            let export = variables.limit(&format!("{}_EXPORT_TIMEOUT", signal.batches))?;
            if let Some(export) = export {
                let timeout = config.timeout.unwrap_or(self.timeout);
                config.timeout = Some(timeout.min(export));
            }
            own(self).change(config);
        }
        let interval = variables.parsed("OTEL_METRIC_EXPORT_INTERVAL", "a number of milliseconds");
        if let Some(millis) = interval? {
            self.metrics_interval = Duration::from_millis(millis);
        }
        self.limits.read(variables)
    }

    fn change_all(&mut self, by: SignalConfig) {
        if let Some(headers) = by.headers {
            self.headers.extend(headers);
        }
        self.certificate = by.certificate.or(self.certificate.take());
        self.client_certificate = by.client_certificate.or(self.client_certificate.take());
        self.client_key = by.client_key.or(self.client_key.take());
        self.timeout = by.timeout.unwrap_or(self.timeout);
        self.compression = by.compression.unwrap_or(self.compression);
    }
}

impl SignalConfig {
    /// Reads the variables whose names begin with `prefix`.
    fn of(variables: &Variables, prefix: &str) -> Result<Self, ConfigError> {
        let path = |name: &str| -> Option<PathBuf> {
            let name = format!("{prefix}{name}");
            let found = variables.first(&[&name]);
            found.map(|(_, path)| path.into())
        };
        let headers = variables.pairs(&format!("{prefix}HEADERS"))?;
        let headers = (!headers.is_empty()).then(|| headers.into_iter().collect());
        let compression = format!("{prefix}COMPRESSION");
        let compression = match variables.first(&[&compression]) {
            Some((name, text)) => Some(Compression::parse(text).ok_or_else(|| {
                let message = format!("must be gzip or none, got \"{}\"", text.escape_debug());
                ConfigError::new(name, message, "write gzip or none")
            })?),
            None => None,
        };
        Ok(Self {
            headers,
            certificate: path("CERTIFICATE"),
            client_certificate: path("CLIENT_CERTIFICATE"),
            client_key: path("CLIENT_KEY"),
            timeout: variables.limit(&format!("{prefix}TIMEOUT"))?,
            compression,
            ..Self::default()
        })
    }
}

impl Signal {
    /// Reads the variables of the processor of batches.
    fn batches(&self, variables: &Variables, own: &mut SignalConfig) -> Result<(), ConfigError> {
        let name = |end: &str| format!("{}_{end}", self.batches);
        own.queue = variables.parsed(&name("MAX_QUEUE_SIZE"), "a number")?;
        own.batch = variables.parsed(&name("MAX_EXPORT_BATCH_SIZE"), "a number")?;
        let delay = variables.parsed(&name("SCHEDULE_DELAY"), "a number of milliseconds")?;
        own.delay = delay.map(Duration::from_millis);
        Ok(())
    }
}

/// Rejects a protocol that is not supported, of an exported signal.
fn protocol(variables: &Variables, signal: &str) -> Result<(), ConfigError> {
    let own = format!("OTEL_EXPORTER_OTLP_{signal}_PROTOCOL");
    match variables.first(&[&own, "OTEL_EXPORTER_OTLP_PROTOCOL"]) {
        Some((name, protocol)) if !protocol.eq_ignore_ascii_case("grpc") => {
            let message = format!("must be \"grpc\", got \"{}\"", protocol.escape_debug());
            let help = "leave it out, and name the port for gRPC, usually 4317";
            Err(ConfigError::new(name, message, help))
        }
        _ => Ok(()),
    }
}

impl RecordLimits {
    fn read(&mut self, variables: &Variables) -> Result<(), ConfigError> {
        let number = |names: &[&str]| {
            for name in names {
                if let Some(number) = variables.parsed(name, "a number")? {
                    return Ok(Some(number));
                }
            }
            Ok(None)
        };
        let (count, length) = (
            "OTEL_ATTRIBUTE_COUNT_LIMIT",
            "OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT",
        );
        for (target, names) in [
            (
                &mut self.span_attributes,
                &["OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", count][..],
            ),
            (&mut self.span_events, &["OTEL_SPAN_EVENT_COUNT_LIMIT"]),
            (&mut self.span_links, &["OTEL_SPAN_LINK_COUNT_LIMIT"]),
            (
                &mut self.event_attributes,
                &["OTEL_EVENT_ATTRIBUTE_COUNT_LIMIT", count],
            ),
            (
                &mut self.link_attributes,
                &["OTEL_LINK_ATTRIBUTE_COUNT_LIMIT", count],
            ),
            (
                &mut self.log_attributes,
                &["OTEL_LOGRECORD_ATTRIBUTE_COUNT_LIMIT", count],
            ),
            (
                &mut self.span_text,
                &["OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT", length],
            ),
            (
                &mut self.log_text,
                &["OTEL_LOGRECORD_ATTRIBUTE_VALUE_LENGTH_LIMIT", length],
            ),
        ] {
            if let Some(number) = number(names)? {
                *target = number;
            }
        }
        Ok(())
    }
}
