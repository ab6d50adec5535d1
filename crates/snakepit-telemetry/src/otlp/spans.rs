//! Spans on their way to a collector: those of this program and those of workers, in one queue.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use opentelemetry::trace::{Event, SpanContext, SpanId, SpanKind, Status, TraceFlags, TraceId};
use opentelemetry::{Array, InstrumentationScope, KeyValue, Value};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{
    BatchConfigBuilder, BatchSpanProcessor, Span as SdkSpan, SpanData, SpanEvents, SpanExporter,
    SpanLinks, SpanProcessor,
};
use snakepit_core::TraceContext;
use snakepit_core::record::{self, Attribute, Attributes, Span};

use super::delivery::Delivery;
use crate::OtlpConfig;
use crate::redact::{MASK, Redaction};

/// What a span takes without its attributes, about.
const SPAN_BYTES: usize = 320;

/// What an attribute takes without its text, about.
const ATTRIBUTE_BYTES: usize = 64;

/// The queue. Shared by the recorder and the provider of the application's own spans.
#[derive(Debug)]
pub(crate) struct Spans {
    batches: BatchSpanProcessor,
    delivery: Arc<Delivery>,
    redaction: Redaction,
    scope: InstrumentationScope,
    over: AtomicBool,
}

impl Spans {
    pub(super) fn new<E: SpanExporter + 'static>(
        exporter: E,
        delivery: Arc<Delivery>,
        (config, redaction, resource): (&OtlpConfig, Redaction, &Resource),
    ) -> Arc<Self> {
        let exporter = Watched {
            exporter,
            delivery: Arc::clone(&delivery),
        };
        let batch = BatchConfigBuilder::default()
            .with_max_queue_size(config.queue)
            .with_max_export_batch_size(config.batch)
            .with_scheduled_delay(config.delay);
        let mut batches = BatchSpanProcessor::new(exporter, batch.build());
        batches.set_resource(resource);
        Arc::new(Self {
            batches,
            delivery,
            redaction,
            scope: super::scope(),
            over: AtomicBool::new(false),
        })
    }

    /// Takes a span of this library or of a worker.
    pub(crate) fn record(&self, span: Span) {
        let error = span.error;
        let events = span
            .events
            .into_iter()
            .map(|event| Event::new(event.name, event.at, self.attributes(event.attributes), 0));
        let mut span_events = SpanEvents::default();
        span_events.events = events.collect();
        self.put(SpanData {
            span_context: context(&span.context),
            parent_span_id: span.parent.map_or(SpanId::INVALID, SpanId::from_bytes),
            parent_span_is_remote: false,
            span_kind: match span.kind {
                record::SpanKind::Client => SpanKind::Client,
                record::SpanKind::Server => SpanKind::Server,
                _ => SpanKind::Internal,
            },
            name: span.name,
            start_time: span.start,
            end_time: span.end.max(span.start),
            attributes: self.attributes(span.attributes),
            dropped_attributes_count: 0,
            events: span_events,
            links: SpanLinks::default(),
            status: error.map_or(Status::Unset, Status::error),
            instrumentation_scope: self.scope.clone(),
        });
    }

    fn attributes(&self, attributes: Attributes) -> Vec<KeyValue> {
        let shown = attributes.into_iter().map(|(name, value)| {
            let value = self.redaction.attribute(&name, &value).into_owned();
            KeyValue::new(name, plain(value))
        });
        shown.collect()
    }

    fn put(&self, span: SpanData) {
        if self.over.load(Ordering::Relaxed) {
            self.delivery.too_late();
        } else if self.delivery.admit(size(&span)) {
            self.batches.on_end(span);
        }
    }

    /// Hides secrets in the attributes of a span of the application.
    fn redact(&self, attributes: &mut [KeyValue]) {
        for attribute in attributes {
            let name = attribute.key.as_str();
            let hidden = match &attribute.value {
                Value::String(text) => self.redaction.text(name, text.as_str()),
                _ => self.redaction.is_secret(name).then(|| MASK.to_owned()),
            };
            if let Some(hidden) = hidden {
                attribute.value = hidden.into();
            }
        }
    }
}

/// The queue as the application's provider sees it.
#[derive(Clone, Debug)]
pub(super) struct Shared(pub(super) Arc<Spans>);

impl SpanProcessor for Shared {
    fn on_start(&self, _span: &mut SdkSpan, _context: &opentelemetry::Context) {}

    fn on_end(&self, mut span: SpanData) {
        if span.span_context.is_sampled() {
            self.0.redact(&mut span.attributes);
            for event in &mut span.events.events {
                self.0.redact(&mut event.attributes);
            }
            self.0.put(span);
        }
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.0.batches.force_flush()
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        if self.0.over.swap(true, Ordering::Relaxed) {
            return Ok(());
        }
        self.0.batches.shutdown_with_timeout(timeout)
    }
}

/// An exporter whose requests are watched.
#[derive(Debug)]
struct Watched<E> {
    exporter: E,
    delivery: Arc<Delivery>,
}

impl<E: SpanExporter> SpanExporter for Watched<E> {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let (records, bytes) = (batch.len(), batch.iter().map(size).sum());
        let result = self.exporter.export(batch).await;
        let error = result.as_ref().err().map(super::reason);
        self.delivery.over(records, error.as_deref());
        self.delivery.release(records, bytes);
        result
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.exporter.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.exporter.set_resource(resource);
    }
}

/// Returns the context in the words of the SDK.
pub(super) fn context(trace: &TraceContext) -> SpanContext {
    let flags = TraceFlags::new(u8::from(trace.is_sampled()));
    SpanContext::new(
        TraceId::from_bytes(trace.trace_id()),
        SpanId::from_bytes(trace.span_id()),
        flags,
        false,
        opentelemetry::trace::TraceState::NONE,
    )
}

fn plain(value: Attribute) -> Value {
    match value {
        Attribute::Bool(value) => Value::Bool(value),
        Attribute::Integer(value) => Value::I64(value),
        Attribute::Float(value) => Value::F64(value),
        Attribute::Text(text) => Value::String(text.into()),
        other => Value::String(format!("{other:?}").into()),
    }
}

/// Size of a span in memory, about. It must not change on the way.
fn size(span: &SpanData) -> usize {
    let of = |attributes: &[KeyValue]| attributes.iter().map(attribute_size).sum::<usize>();
    let events = span.events.iter();
    let events = events.map(|event| SPAN_BYTES / 4 + event.name.len() + of(&event.attributes));
    let links = span.links.iter();
    let links = links.map(|link| SPAN_BYTES / 4 + of(&link.attributes));
    let status = match &span.status {
        Status::Error { description } => description.len(),
        _ => 0,
    };
    let own = SPAN_BYTES + span.name.len() + status + of(&span.attributes);
    own + events.sum::<usize>() + links.sum::<usize>()
}

fn attribute_size(attribute: &KeyValue) -> usize {
    let value = match &attribute.value {
        Value::String(text) => text.as_str().len(),
        Value::Array(Array::String(texts)) => texts.iter().map(|it| it.as_str().len() + 24).sum(),
        Value::Array(Array::Bool(values)) => values.len(),
        Value::Array(Array::I64(values)) => values.len() * 8,
        Value::Array(Array::F64(values)) => values.len() * 8,
        _ => 0,
    };
    ATTRIBUTE_BYTES + attribute.key.as_str().len() + value
}
