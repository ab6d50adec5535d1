//! Export to OpenTelemetry collectors, over gRPC.

mod channel;
mod delivery;
mod layer;
mod logs;
mod metrics;
mod parent;
mod queue;
mod rejected;
mod spans;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use opentelemetry::trace::TracerProvider as _;
use opentelemetry::{InstrumentationScope, KeyValue};
use opentelemetry_otlp::{LogExporter, SpanExporter, WithExportConfig, WithTonicConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkError;
use opentelemetry_sdk::logs::LogExporter as _;
use opentelemetry_sdk::trace::{Sampler, SdkTracerProvider, SpanExporter as _};
use tonic::metadata::MetadataMap;
use tonic::transport::Channel;

use crate::background::Background;
use crate::redact::Redaction;
use crate::{Metrics, OtlpConfig, Sampling, TelemetryConfig, TelemetryError};
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

/// The connections, which signals with the same endpoint share.
struct Connections<'a> {
    config: &'a OtlpConfig,
    metadata: MetadataMap,
    open: BTreeMap<String, (Channel, Arc<Collector>)>,
    metrics: Metrics,
    waiting: Vec<Arc<Delivery>>,
}

impl Connections<'_> {
    fn signal(
        &mut self,
        signal: &'static str,
        endpoint: &str,
    ) -> Result<(Channel, Arc<Delivery>), TelemetryError> {
        if !self.open.contains_key(endpoint) {
            let opened = (
                channel::channel(endpoint, self.config)?,
                Collector::new(endpoint),
            );
            self.open.insert(endpoint.to_owned(), opened);
        }
        let (channel, collector) = self.open[endpoint].clone();
        let metrics = self.metrics.clone();
        let delivery = Delivery::new(signal, collector, metrics, self.config);
        self.waiting.push(Arc::clone(&delivery));
        Ok((channel, delivery))
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
            config: otlp,
            metadata: channel::metadata(&otlp.headers)?,
            open: BTreeMap::new(),
            metrics: metrics.clone(),
            waiting: Vec::new(),
        };
        let resource = resource(config);
        let mut this = Self::default();
        if let Some(endpoint) = &otlp.traces {
            let (channel, delivery) = connections.signal("spans", endpoint)?;
            let mut exporter = SpanExporter::builder()
                .with_tonic()
                .with_channel(channel)
                .with_metadata(connections.metadata.clone())
                .with_timeout(otlp.timeout)
                .build()
                .map_err(|error| refused(&error))?;
            exporter.set_resource(&resource);
            let handle = background.handle();
            let spans = Spans::start(exporter, delivery, otlp, redaction.clone(), handle);
            let provider = SdkTracerProvider::builder()
                .with_sampler(sampler(config.sampling))
                .with_span_processor(spans.clone());
            this.provider = Some(provider.build());
            this.spans = Some(spans);
        }
        if let Some(endpoint) = &otlp.logs {
            let (channel, delivery) = connections.signal("logs", endpoint)?;
            let mut exporter = LogExporter::builder()
                .with_tonic()
                .with_channel(channel)
                .with_metadata(connections.metadata.clone())
                .with_timeout(otlp.timeout)
                .build()
                .map_err(|error| refused(&error))?;
            exporter.set_resource(&resource);
            let handle = background.handle();
            let logs = Logs::start(exporter, delivery, otlp, redaction.clone(), handle);
            this.logs = Some(logs);
        }
        if let Some(endpoint) = &otlp.metrics {
            let (channel, delivery) = connections.signal("metrics", endpoint)?;
            let push = Push::new(channel, delivery, connections.metadata.clone(), &resource);
            let push = push.of(metrics.clone(), otlp);
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
