//! The span that is current where a call is made.

use opentelemetry::trace::{SpanContext, TraceContextExt as _};
use snakepit_core::events::{TraceContext, TraceState};
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

/// Returns the current span: OpenTelemetry's own, or `tracing`'s if its layer does not activate it.
/// `None` if there is none.
pub(crate) fn current() -> Option<(TraceContext, TraceState)> {
    let active = opentelemetry::Context::map_current(|context| {
        context
            .has_active_span()
            .then(|| ours(context.span().span_context()))
    });
    active.flatten().or_else(|| {
        let span = tracing::Span::current();
        if span.is_none() {
            return None;
        }
        let context = span.context();
        ours(context.span().span_context())
    })
}

fn ours(span: &SpanContext) -> Option<(TraceContext, TraceState)> {
    let (trace, own) = (span.trace_id().to_bytes(), span.span_id().to_bytes());
    let context = TraceContext::new(trace, own, span.is_sampled())?;
    let state = span.trace_state();
    // Most spans have no state; this case needs no allocation.
    let state = if state == &opentelemetry::trace::TraceState::NONE {
        TraceState::default()
    } else {
        TraceState::parse(&state.header())
    };
    Some((context, state))
}
