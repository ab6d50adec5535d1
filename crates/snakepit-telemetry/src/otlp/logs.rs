//! Export of log records: those of this program and those of workers.

use std::sync::Arc;
use std::time::Duration;

use opentelemetry::InstrumentationScope;
use opentelemetry::logs::{AnyValue, LogRecord as _, Logger as _, LoggerProvider as _, Severity};
use opentelemetry::trace::{SpanId, TraceFlags, TraceId};
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::logs::{
    LogBatch, LogExporter, LogProcessor, SdkLogRecord, SdkLogger, SdkLoggerProvider,
};
use snakepit_core::events::record::{Attribute, Log};
use tokio::runtime::Handle;

use super::delivery::Delivery;
use super::queue::{Export, Queue};
use crate::redact::{MASK, Redaction};
use crate::{OtlpConfig, RecordLimits};

/// Approximate size of a record without its texts, in bytes.
const RECORD_BYTES: usize = 512;

/// Approximate size of an attribute without its texts, in bytes.
const ATTRIBUTE_BYTES: usize = 64;

/// The logger for workers' logs, and the provider for the application's.
#[derive(Debug)]
pub(crate) struct Logs {
    pub(super) provider: SdkLoggerProvider,
    logger: SdkLogger,
}

/// A waiting record.
type Record = Box<(SdkLogRecord, InstrumentationScope)>;

impl Logs {
    pub(super) fn start<E: LogExporter + 'static>(
        exporter: E,
        delivery: Arc<Delivery>,
        config: &OtlpConfig,
        redaction: Redaction,
        handle: &Handle,
    ) -> Self {
        let redactor = Redactor {
            exporter,
            redaction,
            limits: config.limits,
            // Without a processor this logger creates records but exports none.
            maker: SdkLoggerProvider::builder().build().logger("snakepit"),
        };
        let processor = Processor(Queue::start(redactor, delivery, config, handle));
        let provider = SdkLoggerProvider::builder().with_log_processor(processor);
        let provider = provider.build();
        let logger = provider.logger_with_scope(super::scope());
        Self { provider, logger }
    }

    /// Queues a log record of a worker.
    pub(crate) fn record(&self, log: &Log) {
        let mut record = self.logger.create_log_record();
        record.set_timestamp(log.at);
        let (severity, text) = match log.level {
            tracing::Level::ERROR => (Severity::Error, "ERROR"),
            tracing::Level::WARN => (Severity::Warn, "WARN"),
            tracing::Level::INFO => (Severity::Info, "INFO"),
            tracing::Level::DEBUG => (Severity::Debug, "DEBUG"),
            tracing::Level::TRACE => (Severity::Trace, "TRACE"),
        };
        record.set_severity_number(severity);
        record.set_severity_text(text);
        record.set_target(log.logger.to_string());
        record.set_body(log.message.clone().into());
        let origin = &log.origin;
        record.add_attribute("snakepit.pool", origin.pool.as_str().to_owned());
        record.add_attribute("snakepit.worker", origin.worker.as_str().to_owned());
        if let Some(call) = origin.call {
            let id = i64::try_from(call.0).unwrap_or(i64::MAX);
            record.add_attribute("snakepit.call.id", id);
        }
        if let Some(exception) = &log.exception {
            record.add_attribute("exception.stacktrace", exception.clone());
        }
        for (name, value) in &log.attributes {
            record.add_attribute(name.clone(), plain(value));
        }
        if let Some(trace) = &log.trace {
            record.set_trace_context(
                TraceId::from_bytes(trace.trace_id()),
                SpanId::from_bytes(trace.span_id()),
                Some(TraceFlags::new(u8::from(trace.is_sampled()))),
            );
        }
        self.logger.emit(record);
    }
}

/// The queue as a processor of the provider.
#[derive(Debug)]
struct Processor(Arc<Queue<Record>>);

impl LogProcessor for Processor {
    fn emit(&self, record: &mut SdkLogRecord, scope: &InstrumentationScope) {
        let make = || Box::new((record.clone(), scope.clone()));
        self.0.put(size(record), make);
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.0.flush()
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.0.shutdown(timeout)
    }
}

/// The consumer of the queue: hides secrets and applies limits, then exports.
struct Redactor<E> {
    exporter: E,
    redaction: Redaction,
    limits: RecordLimits,
    maker: SdkLogger,
}

impl<E: LogExporter + 'static> Export for Redactor<E> {
    type Record = Record;

    async fn export(&self, mut records: Vec<Record>) -> OTelSdkResult {
        for record in &mut records {
            if let Some(changed) = self.changed(&record.0) {
                record.0 = changed;
            }
        }
        let batch: Vec<_> = records
            .iter()
            .map(|record| (&record.0, &record.1))
            .collect();
        self.exporter.export(LogBatch::new(&batch)).await
    }
}

impl<E> Redactor<E> {
    /// Returns a copy without secrets and within the limits. `None` if the record may be exported
    /// as it is.
    fn changed(&self, record: &SdkLogRecord) -> Option<SdkLogRecord> {
        let replaced = |name: &str, value: &AnyValue| {
            let hidden = match value {
                AnyValue::String(text) => self.redaction.text(name, text.as_str()),
                _ => self.redaction.is_secret(name).then(|| MASK.to_owned()),
            };
            hidden.or_else(|| self.limits.shortened(value))
        };
        let most = self.limits.log_attributes;
        let mut attributes = record.attributes_iter();
        if record.attributes_iter().nth(most).is_none() {
            attributes.find(|(name, value)| replaced(name.as_str(), value).is_some())?;
        }
        let mut copy = self.maker.create_log_record();
        if let Some(name) = record.event_name() {
            copy.set_event_name(name);
        }
        if let Some(target) = record.target() {
            copy.set_target(target.clone());
        }
        if let Some(at) = record.timestamp() {
            copy.set_timestamp(at);
        }
        if let Some(at) = record.observed_timestamp() {
            copy.set_observed_timestamp(at);
        }
        if let Some(text) = record.severity_text() {
            copy.set_severity_text(text);
        }
        if let Some(number) = record.severity_number() {
            copy.set_severity_number(number);
        }
        if let Some(body) = record.body() {
            copy.set_body(body.clone());
        }
        if let Some(trace) = record.trace_context() {
            copy.set_trace_context(trace.trace_id, trace.span_id, trace.trace_flags);
        }
        for (name, value) in record.attributes_iter().take(most) {
            let value = match replaced(name.as_str(), value) {
                Some(text) => AnyValue::from(text),
                None => value.clone(),
            };
            copy.add_attribute(name.clone(), value);
        }
        Some(copy)
    }
}

fn plain(value: &Attribute) -> AnyValue {
    match value {
        Attribute::Bool(value) => AnyValue::Boolean(*value),
        Attribute::Integer(value) => AnyValue::Int(*value),
        Attribute::Float(value) => AnyValue::Double(*value),
        Attribute::Text(text) => AnyValue::from(text.to_string()),
        other => AnyValue::from(format!("{other:?}")),
    }
}

/// Returns the approximate size of a record in memory.
fn size(record: &SdkLogRecord) -> usize {
    let attributes = record.attributes_iter();
    let attributes =
        attributes.map(|(name, value)| ATTRIBUTE_BYTES + name.as_str().len() + value_size(value));
    RECORD_BYTES + record.body().map_or(0, value_size) + attributes.sum::<usize>()
}

fn value_size(value: &AnyValue) -> usize {
    match value {
        AnyValue::String(text) => text.as_str().len(),
        AnyValue::Bytes(bytes) => bytes.len(),
        AnyValue::ListAny(values) => values.iter().map(|value| 24 + value_size(value)).sum(),
        AnyValue::Map(entries) => {
            let entries = entries.iter();
            entries
                .map(|(name, value)| 48 + name.as_str().len() + value_size(value))
                .sum()
        }
        _ => 8,
    }
}
