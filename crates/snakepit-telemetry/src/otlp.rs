//! Export to OpenTelemetry collectors, over gRPC.

mod channel;
mod cut;
mod delivery;
mod layer;
mod logs;
mod metrics;
mod parent;
mod queue;
mod rejected;
mod spans;

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use opentelemetry::trace::TracerProvider as _;
use opentelemetry::{InstrumentationScope, KeyValue};
use opentelemetry_otlp::{LogExporter, SpanExporter, WithExportConfig, WithTonicConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkError;
use opentelemetry_sdk::logs::LogExporter as _;
use opentelemetry_sdk::trace::{Sampler, SdkTracerProvider, SpanExporter as _, SpanLimits};
use tonic::Request;
use tonic::metadata::MetadataMap;
use tonic::transport::Channel;

use crate::background::Background;
use crate::redact::Redaction;
use crate::{
    Compression, Metrics, OtlpConfig, RecordLimits, Sampling, TelemetryConfig, TelemetryError,
};
use delivery::{Collector, Delivery};
use logs::Logs;
use metrics::Push;
pub(crate) use parent::current;
use spans::Spans;

/// The pipelines of the exported signals.
#[derive(Debug, Default)]
pub(crate) struct Otlp {
    pub(crate) spans: Option<Spans>,
    pub(crate) logs: Option<Logs>,
    provider: Option<SdkTracerProvider>,
    push: Option<Push>,
    waiting: Vec<Arc<Delivery>>,
}

/// The settings of a connection. Signals for which they are equal share it.
type Target = (
    String,
    Option<PathBuf>,
    Option<PathBuf>,
    Option<PathBuf>,
    Duration,
);

/// The open connections.
struct Connections {
    open: BTreeMap<Target, (Channel, Arc<Collector>)>,
    metrics: Metrics,
    waiting: Vec<Arc<Delivery>>,
}

/// The connection of one signal.
struct Connection {
    channel: Channel,
    metadata: MetadataMap,
    delivery: Arc<Delivery>,
    /// The settings of the signal.
    config: OtlpConfig,
}

impl Connections {
    fn signal(
        &mut self,
        signal: &'static str,
        endpoint: &str,
        config: OtlpConfig,
    ) -> Result<Connection, TelemetryError> {
        let target = (
            endpoint.to_owned(),
            config.certificate.clone(),
            config.client_certificate.clone(),
            config.client_key.clone(),
            config.timeout,
        );
        let (channel, collector) = match self.open.entry(target) {
            Entry::Occupied(open) => open.get().clone(),
            Entry::Vacant(vacant) => {
                let channel = channel::channel(endpoint, &config)?;
                vacant.insert((channel, Collector::new(endpoint))).clone()
            }
        };
        let metrics = self.metrics.clone();
        let delivery = Delivery::new(signal, collector, metrics, &config);
        self.waiting.push(Arc::clone(&delivery));
        Ok(Connection {
            channel,
            metadata: channel::metadata(&config.headers)?,
            delivery,
            config,
        })
    }
}

/// Sets up the exporter of a signal by its connection.
fn exporter<B: WithTonicConfig + WithExportConfig>(builder: B, connection: &Connection) -> B {
    // The exporters add headers of the environment; the settings contain those that apply.
    let metadata = connection.metadata.clone();
    let headers = move |mut request: Request<()>| {
        *request.metadata_mut() = metadata.clone();
        Ok(request)
    };
    let builder = builder
        .with_channel(connection.channel.clone())
        .with_interceptor(headers)
        .with_timeout(connection.config.timeout);
    match connection.config.compression {
        Compression::None => builder,
        Compression::Gzip => builder.with_compression(opentelemetry_otlp::Compression::Gzip),
    }
}

impl Otlp {
    /// Creates the pipelines without connecting: a collector may start later.
    pub(crate) fn start(
        config: &TelemetryConfig,
        metrics: &Metrics,
        redaction: &Redaction,
        background: &Background,
    ) -> Result<Self, TelemetryError> {
        let Some(otlp) = &config.otlp else {
            return Ok(Self::default());
        };
        // Connections are driven by the exporters' own runtime.
        let _entered = background.handle().enter();
        let mut connections = Connections {
            open: BTreeMap::new(),
            metrics: metrics.clone(),
            waiting: Vec::new(),
        };
        let resource = resource(config);
        let (mut this, handle) = (Self::default(), background.handle());
        if let Some(endpoint) = &otlp.traces {
            let connection = connections.signal("spans", endpoint, otlp.of(&otlp.for_traces))?;
            let mut exporter = exporter(SpanExporter::builder().with_tonic(), &connection)
                .build()
                .map_err(|error| refused(&error))?;
            exporter.set_resource(&resource);
            let (delivery, own) = (connection.delivery, connection.config);
            let spans = Spans::start(exporter, delivery, &own, redaction.clone(), handle);
            let provider = SdkTracerProvider::builder()
                .with_sampler(sampler(config.sampling))
                .with_span_limits(span_limits(&otlp.limits))
                .with_span_processor(spans.clone());
            this.provider = Some(provider.build());
            this.spans = Some(spans);
        }
        if let Some(endpoint) = &otlp.logs {
            let connection = connections.signal("logs", endpoint, otlp.of(&otlp.for_logs))?;
            let mut exporter = exporter(LogExporter::builder().with_tonic(), &connection)
                .build()
                .map_err(|error| refused(&error))?;
            exporter.set_resource(&resource);
            let (delivery, own) = (connection.delivery, connection.config);
            let logs = Logs::start(exporter, delivery, &own, redaction.clone(), handle);
            this.logs = Some(logs);
        }
        if let Some(endpoint) = &otlp.metrics {
            let connection = connections.signal("metrics", endpoint, otlp.of(&otlp.for_metrics))?;
            let push = Push::new(connection, &resource, metrics.clone());
            push.start(background.parts());
            this.push = Some(push);
        }
        this.waiting = connections.waiting;
        Ok(this)
    }

    /// Exports the waiting records of all signals concurrently, and ends. Returns `false` if the
    /// time limit passes first.
    pub(crate) fn finish(&self, background: &Background, timeout: Duration) -> bool {
        let complete = std::thread::scope(|scope| {
            let spans = scope.spawn(|| match &self.provider {
                Some(provider) => provider.shutdown_with_timeout(timeout).is_ok(),
                None => true,
            });
            let logs = scope.spawn(|| match &self.logs {
                Some(logs) => logs.provider.shutdown_with_timeout(timeout).is_ok(),
                None => true,
            });
            let push = self.push.as_ref();
            let metrics = push.is_none_or(|push| push.last(background.handle(), timeout));
            let spans = spans.join().unwrap_or(false);
            let logs = logs.join().unwrap_or(false);
            metrics && spans && logs
        });
        for delivery in &self.waiting {
            delivery.close();
        }
        complete
    }

    /// Returns the number of records that wait for export.
    pub(crate) fn waiting(&self) -> usize {
        self.waiting.iter().map(|delivery| delivery.waiting()).sum()
    }

    fn tracer(&self) -> Option<opentelemetry_sdk::trace::SdkTracer> {
        let provider = self.provider.as_ref();
        provider.map(|provider| provider.tracer_with_scope(scope()))
    }
}

/// Returns the scope of all records that this library exports.
fn scope() -> InstrumentationScope {
    InstrumentationScope::builder("snakepit")
        .with_version(env!("CARGO_PKG_VERSION"))
        .build()
}

fn resource(config: &TelemetryConfig) -> Resource {
    let attributes = config.resource.iter();
    let attributes = attributes.map(|(name, value)| KeyValue::new(name.clone(), value.clone()));
    let pid = i64::from(std::process::id());
    Resource::builder()
        .with_attribute(KeyValue::new("process.pid", pid))
        .with_attributes(attributes)
        .with_service_name(config.service_name.clone())
        .build()
}

fn sampler(sampling: Sampling) -> Sampler {
    let alone = Sampler::TraceIdRatioBased(sampling.ratio);
    if sampling.parent_based {
        Sampler::ParentBased(Box::new(alone))
    } else {
        alone
    }
}

/// Converts the limits for the provider of the application's own spans.
fn span_limits(limits: &RecordLimits) -> SpanLimits {
    let number = |limit: usize| u32::try_from(limit).unwrap_or(u32::MAX);
    SpanLimits {
        max_attributes_per_span: number(limits.span_attributes),
        max_events_per_span: number(limits.span_events),
        max_links_per_span: number(limits.span_links),
        max_attributes_per_event: number(limits.event_attributes),
        max_attributes_per_link: number(limits.link_attributes),
    }
}

fn refused(error: &opentelemetry_otlp::ExporterBuildError) -> TelemetryError {
    let help = "check the variables that begin with OTEL_EXPORTER_OTLP_";
    TelemetryError::setting("otlp", format!("cannot be used: {error}"), help)
}

/// Returns the cause of a failed export, the same for all signals.
fn reason(error: &OTelSdkError) -> String {
    let text = match error {
        OTelSdkError::InternalFailure(text) => text.clone(),
        other => other.to_string(),
    };
    let own = "export failed with gRPC code: ";
    text.split_once(own)
        .map_or(text.clone(), |(_, reason)| reason.to_owned())
}
