//! Export of spans: those of this program and those of workers, in one queue.

use std::str::FromStr as _;
use std::sync::Arc;
use std::time::Duration;

use opentelemetry::trace::{Event, SpanContext, SpanId, SpanKind, Status, TraceFlags, TraceId};
use opentelemetry::{Array, InstrumentationScope, KeyValue, StringValue, Value};
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{
    Span as SdkSpan, SpanData, SpanEvents, SpanExporter, SpanLinks, SpanProcessor,
};
use snakepit_core::events::record::{Attribute, Attributes, Span, Text, Unmade};
use snakepit_core::events::{TraceContext, TraceState, record};
use tokio::runtime::Handle;

use super::delivery::Delivery;
use super::queue::{Export, Queue};
use crate::redact::{MASK, Redaction};
use crate::{OtlpConfig, RecordLimits};

/// Approximate size of a span without its attributes, in bytes.
const SPAN_BYTES: usize = 320;

/// Approximate size of an attribute without its text, in bytes.
const ATTRIBUTE_BYTES: usize = 64;

/// The queue, shared by the recorder and the provider of the application's own spans.
#[derive(Clone, Debug)]
pub(crate) struct Spans(Arc<Queue<Record>>);

/// A waiting span.
#[derive(Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "nearly all are of the largest kind, and lie in the queue itself"
)]
enum Record {
    /// A span of a call, whose attributes are created later.
    Unmade(Unmade),
    /// A span of this library or of a worker.
    Ours(Box<Span>),
    /// A span of the application.
    Theirs(Box<SpanData>),
}

impl Spans {
    pub(super) fn start<E: SpanExporter + 'static>(
        exporter: E,
        delivery: Arc<Delivery>,
        config: &OtlpConfig,
        redaction: Redaction,
        handle: &Handle,
    ) -> Self {
        let converter = Converter {
            exporter,
            redaction,
            limits: config.limits,
            scope: super::scope(),
        };
        Self(Queue::start(converter, delivery, config, handle))
    }

    /// Queues a span of this library or of a worker.
    pub(crate) fn record(&self, span: Span) {
        self.0.put(size(&span), || Record::Ours(Box::new(span)));
    }

    /// Queues a span of a call.
    pub(crate) fn record_unmade(&self, span: Unmade) {
        self.0.put(span.bytes(), || Record::Unmade(span));
    }
}

/// The queue as a processor of the application's provider.
impl SpanProcessor for Spans {
    fn on_start(&self, _span: &mut SdkSpan, _context: &opentelemetry::Context) {}

    fn on_end(&self, span: SpanData) {
        if span.span_context.is_sampled() {
            let size = data_size(&span);
            self.0.put(size, || Record::Theirs(Box::new(span)));
        }
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.0.flush()
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.0.shutdown(timeout)
    }
}

/// The consumer of the queue: converts waiting spans for the exporter and hides secrets
/// and applies limits.
struct Converter<E> {
    exporter: E,
    redaction: Redaction,
    limits: RecordLimits,
    scope: InstrumentationScope,
}

impl<E: SpanExporter + 'static> Export for Converter<E> {
    type Record = Record;

    fn export(&self, records: Vec<Record>) -> impl Future<Output = OTelSdkResult> + Send {
        let spans = records.into_iter().map(|record| {
            let mut span = match record {
                Record::Unmade(span) => self.converted(span.make()),
                Record::Ours(span) => self.converted(*span),
                Record::Theirs(span) => self.redacted(*span),
            };
            self.limits.cut_span(&mut span);
            span
        });
        self.exporter.export(spans.collect())
    }
}

impl<E> Converter<E> {
    fn converted(&self, span: Span) -> SpanData {
        let error = span.error;
        let events = span
            .events
            .into_iter()
            .map(|event| Event::new(event.name, event.at, self.attributes(event.attributes), 0));
        let mut span_events = SpanEvents::default();
        span_events.events = events.collect();
        SpanData {
            span_context: context(&span.context, &span.state),
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
        }
    }

    fn attributes(&self, attributes: Attributes) -> Vec<KeyValue> {
        let shown = attributes.into_iter().map(|(name, value)| {
            let value = match self.redaction.hidden(&name, &value) {
                Some(hidden) => Value::String(hidden.into()),
                None => plain(value),
            };
            KeyValue::new(name, value)
        });
        shown.collect()
    }

    fn redacted(&self, mut span: SpanData) -> SpanData {
        self.redact(&mut span.attributes);
        for event in &mut span.events.events {
            self.redact(&mut event.attributes);
        }
        span
    }

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

/// Converts a context to the SDK's type.
fn context(trace: &TraceContext, state: &TraceState) -> SpanContext {
    let flags = TraceFlags::new(u8::from(trace.is_sampled()));
    let state = opentelemetry::trace::TraceState::from_str(state.as_str()).unwrap_or_default();
    SpanContext::new(
        TraceId::from_bytes(trace.trace_id()),
        SpanId::from_bytes(trace.span_id()),
        flags,
        false,
        state,
    )
}

fn plain(value: Attribute) -> Value {
    match value {
        Attribute::Bool(value) => Value::Bool(value),
        Attribute::Integer(value) => Value::I64(value),
        Attribute::Float(value) => Value::F64(value),
        Attribute::Text(Text::Static(text)) => Value::String(StringValue::from(text)),
        Attribute::Text(Text::Shared(text)) => Value::String(StringValue::from(text)),
        other => Value::String(format!("{other:?}").into()),
    }
}

/// Returns the approximate size of a span in memory.
fn size(span: &Span) -> usize {
    let of = |attributes: &Attributes| {
        let attributes = attributes.iter();
        let sizes = attributes.map(|(name, value)| {
            let text = match value {
                Attribute::Text(Text::Shared(text)) => text.len(),
                _ => 0,
            };
            ATTRIBUTE_BYTES + name.len() + text
        });
        sizes.sum::<usize>()
    };
    let events = span.events.iter();
    let events = events.map(|event| SPAN_BYTES / 4 + event.name.len() + of(&event.attributes));
    let error = span.error.as_ref().map_or(0, |error| error.len());
    SPAN_BYTES
        + span.name.len()
        + span.state.as_str().len()
        + error
        + of(&span.attributes)
        + events.sum::<usize>()
}

/// Returns the approximate size of a span of the application in memory.
fn data_size(span: &SpanData) -> usize {
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
