//! The recorder that receives the spans, logs and measurements of a host.

use snakepit_core::events::record::{Begun, Log, Measurement, Recorder, Span, Unmade};
use snakepit_core::events::{TraceContext, TraceState, record};

use crate::levels::Levels;
use crate::redact::Redaction;
use crate::{Metrics, Sampling};

/// The destinations of all records.
#[derive(Debug)]
pub(crate) struct Sinks {
    pub(crate) metrics: Metrics,
    pub(crate) redaction: Redaction,
    pub(crate) sampling: Sampling,
    pub(crate) levels: Levels,
    #[cfg(feature = "otlp")]
    pub(crate) otlp: crate::otlp::Otlp,
}

/// The recorder that is installed in a hub of events.
#[derive(Debug)]
pub(crate) struct Exporter(pub(crate) std::sync::Arc<Sinks>);

impl Recorder for Exporter {
    fn begin(&self, parent: Option<TraceContext>) -> Option<Begun> {
        self.0.begin(parent)
    }

    fn traces(&self) -> bool {
        self.0.has_spans()
    }

    fn span(&self, span: Span) {
        #[cfg(feature = "otlp")]
        if let Some(spans) = &self.0.otlp.spans {
            spans.record(span);
            return;
        }
        drop::<record::Span>(span);
    }

    fn unmade(&self, span: Unmade) {
        #[cfg(feature = "otlp")]
        if let Some(spans) = &self.0.otlp.spans {
            spans.record_unmade(span);
            return;
        }
        drop::<Unmade>(span);
    }

    fn log(&self, log: &Log) {
        let level = self
            .0
            .levels
            .of_worker(log.origin.pool.as_str(), &log.logger);
        if log.level > level {
            return;
        }
        #[cfg(feature = "otlp")]
        if let Some(logs) = &self.0.otlp.logs {
            logs.record(log);
        }
    }

    fn measurement(&self, measurement: &Measurement) {
        self.0.metrics.measure(measurement, &self.0.redaction);
    }
}

impl Sinks {
    fn begin(&self, parent: Option<TraceContext>) -> Option<Begun> {
        let (parent, state) = match (parent, parent.is_none().then(current).flatten()) {
            (None, Some((found, state))) => (Some(found), state),
            (named, _) => (named, TraceState::default()),
        };
        if parent.is_none() && self.sampling.is_off() {
            return None;
        }
        let trace = match parent {
            Some(parent) => parent.trace_id(),
            None => TraceContext::start(false).trace_id(),
        };
        let sampled = self.sampling.keeps(parent.as_ref(), trace);
        let span = fastrand::u64(1..).to_be_bytes();
        let context = TraceContext::new(trace, span, sampled)?;
        Some(Begun {
            context,
            parent: parent.map(|parent| parent.span_id()),
            state,
        })
    }

    #[cfg(feature = "otlp")]
    const fn has_spans(&self) -> bool {
        self.otlp.spans.is_some()
    }

    #[cfg(not(feature = "otlp"))]
    const fn has_spans(&self) -> bool {
        false
    }
}

#[cfg(feature = "otlp")]
fn current() -> Option<(TraceContext, TraceState)> {
    crate::otlp::current()
}

#[cfg(not(feature = "otlp"))]
const fn current() -> Option<(TraceContext, TraceState)> {
    None
}
