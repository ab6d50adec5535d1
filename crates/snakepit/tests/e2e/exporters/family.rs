//! Parents and children among the spans that a collector received.

use opentelemetry_proto::tonic::trace::v1::Span;

use super::collector::All;

impl All {
    /// Returns the only span of this name.
    pub(super) fn only(&self, name: &str) -> &Span {
        let named = self.spans.iter().filter(|span| span.name == name);
        one(&named.collect::<Vec<_>>())
    }

    /// Returns the only child of this name.
    pub(super) fn child(&self, parent: &Span, name: &str) -> &Span {
        one(&self.children(parent, name))
    }

    /// Returns the children of this name.
    pub(super) fn children(&self, parent: &Span, name: &str) -> Vec<&Span> {
        let spans = self.spans.iter();
        let children = spans.filter(|span| {
            span.trace_id == parent.trace_id && span.parent_span_id == parent.span_id
        });
        children.filter(|span| span.name == name).collect()
    }

    /// Returns all spans of a trace, in the order of their starts.
    pub(super) fn trace(&self, root: &Span) -> Vec<Span> {
        let spans = self
            .spans
            .iter()
            .filter(|span| span.trace_id == root.trace_id);
        let mut spans: Vec<_> = spans.cloned().collect();
        spans.sort_by_key(|span| span.start_time_unix_nano);
        spans
    }
}

#[track_caller]
fn one<'a>(spans: &[&'a Span]) -> &'a Span {
    match spans {
        [span] => span,
        _ => panic!("one span: {spans:#?}"),
    }
}
