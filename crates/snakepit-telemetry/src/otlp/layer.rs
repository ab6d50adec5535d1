//! The layer that exports spans and logs of the application.

use opentelemetry_appender_tracing::layer::OpenTelemetryTracingBridge;
use tracing::{Metadata, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::filter::DynFilterFn;
use tracing_subscriber::layer::{Context, Filter};
use tracing_subscriber::registry::LookupSpan;

use super::Otlp;
use crate::levels::Levels;

/// Target of the logs of workers, which the recorder exports with all their attributes.
const PYTHON: &str = "snakepit::python";

impl Otlp {
    /// Returns the layers. Levels and targets decide about the export; telemetry's own activity is
    /// never exported.
    pub(crate) fn layers<S>(&self, levels: &Levels) -> Vec<Box<dyn Layer<S> + Send + Sync>>
    where
        S: Subscriber + for<'a> LookupSpan<'a> + Send + Sync,
    {
        let mut layers: Vec<Box<dyn Layer<S> + Send + Sync>> = Vec::new();
        if let Some(tracer) = self.tracer() {
            let spans = tracing_opentelemetry::layer()
                .with_tracer(tracer)
                .with_location(false)
                .with_threads(false)
                .with_tracked_inactivity(false);
            layers.push(spans.with_filter(filter(levels.clone(), true)).boxed());
        }
        if let Some(logs) = &self.logs {
            let logs = OpenTelemetryTracingBridge::new(&logs.provider);
            layers.push(logs.with_filter(filter(levels.clone(), false)).boxed());
        }
        layers
    }
}

fn filter<S: Subscriber>(levels: Levels, spans: bool) -> impl Filter<S> {
    let most = levels.most();
    let passes = move |metadata: &Metadata<'_>, _: &Context<'_, S>| {
        let level = levels.of_target(metadata.target());
        *metadata.level() <= level
            && (spans || metadata.target() != PYTHON)
            && !opentelemetry::Context::is_current_telemetry_suppressed()
    };
    DynFilterFn::new(passes).with_max_level_hint(most)
}
