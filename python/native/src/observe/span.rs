//! The worker's span of a call: its trace context from the host, and its duration.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};

use prost::Message as _;
use snakepit_grpc::call_head::CallHead;
use snakepit_grpc::pb;

use crate::cancel::escalation::CancelStep;
use crate::process::clock;

/// Length of a trace context in bytes.
const CONTEXT: usize = 25;

/// Flag of a sampled trace, in the last byte.
const SAMPLED: u8 = 1;

/// Longest correlation id in bytes.
const MAX_CORRELATION: usize = 1024;

/// Longest trace state in bytes.
const MAX_STATE: usize = 512;

/// Trace context and correlation id of a call.
#[derive(Debug)]
pub(crate) struct Traced {
    context: Option<[u8; CONTEXT]>,
    correlation: Option<Box<str>>,
    /// The `tracestate` header of the context.
    state: Option<Box<str>>,
    /// Begin of the call by both clocks, if it is sampled.
    began: Option<(SystemTime, Instant)>,
    /// Chunks or items so far.
    items: AtomicU64,
}

impl Traced {
    /// Reads the head of a call. `None` if it has neither a trace nor a correlation id. A context
    /// of another length is ignored.
    pub(crate) fn new(head: &CallHead<'_>) -> Option<Arc<Self>> {
        if head.trace.is_empty() && head.correlation_id.is_empty() {
            return None;
        }
        let context = <[u8; CONTEXT]>::try_from(head.trace).ok();
        let sampled = context.is_some_and(|context| context[CONTEXT - 1] & SAMPLED != 0);
        let correlation =
            Some(head.correlation_id).filter(|text| (1..=MAX_CORRELATION).contains(&text.len()));
        Some(Arc::new(Self {
            context,
            correlation: correlation.map(Box::from),
            state: Some(head.trace_state)
                .filter(|text| context.is_some() && (1..=MAX_STATE).contains(&text.len()))
                .map(Box::from),
            began: sampled.then(|| (SystemTime::now(), clock::now())),
            items: AtomicU64::new(0),
        }))
    }

    /// Returns trace id, span id and flags.
    pub(crate) fn context(&self) -> Option<&[u8; CONTEXT]> {
        self.context.as_ref()
    }

    pub(crate) fn correlation(&self) -> Option<&str> {
        self.correlation.as_deref()
    }

    pub(crate) fn state(&self) -> Option<&str> {
        self.state.as_deref()
    }

    /// Counts a chunk that was sent, or an item of a batch that is done.
    pub(crate) fn count(&self) {
        self.items.fetch_add(1, Ordering::Relaxed);
    }

    /// Returns the span of a call that ends now; `None` if it is not sampled.
    pub(crate) fn end(&self, stopped: Option<(CancelStep, Duration)>) -> Option<pb::WorkerSpan> {
        let (wall, began) = self.began?;
        let start = wall.duration_since(SystemTime::UNIX_EPOCH);
        let nanos = |time: Duration| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        Some(pb::WorkerSpan {
            start_ns: nanos(start.unwrap_or_default()),
            duration_ns: nanos(clock::now().saturating_duration_since(began)),
            items: self.items.load(Ordering::Relaxed),
            stopped: stopped.map_or(0, |(step, _)| step as u32),
        })
    }

    /// Returns the span encoded as the head of an answer; empty if the call is not sampled.
    pub(crate) fn head(&self, stopped: Option<(CancelStep, Duration)>) -> Vec<u8> {
        self.end(stopped)
            .map_or_else(Vec::new, |span| span.encode_to_vec())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head<'a>(trace: &'a [u8], correlation: &'a str) -> CallHead<'a> {
        let mut head = CallHead::default();
        (head.trace, head.correlation_id) = (trace, correlation);
        head
    }

    #[test]
    fn only_a_sampled_call_has_a_span_in_its_answer() {
        assert!(Traced::new(&head(&[], "")).is_none());
        let off: Vec<u8> = [1; 24].into_iter().chain([0]).collect();
        let unsampled = Traced::new(&head(&off, ""));
        let unsampled = unsampled.unwrap();
        assert!(unsampled.context().is_some() && unsampled.head(None).is_empty());
        let bad = Traced::new(&head(&[1; 24], "id")).unwrap();
        assert_eq!((bad.context(), bad.correlation()), (None, Some("id")));
        for (length, state) in [(CONTEXT, Some("a=b")), (CONTEXT - 1, None)] {
            let mut named = head(&[1; CONTEXT][..length], "id");
            named.trace_state = "a=b";
            assert_eq!(Traced::new(&named).unwrap().state(), state);
            let long = "a".repeat(MAX_STATE + 1);
            named.trace_state = &long;
            assert_eq!(Traced::new(&named).unwrap().state(), None);
        }
        assert!(bad.head(None).is_empty());
        let sampled = Traced::new(&head(&[1; CONTEXT], "")).unwrap();
        sampled.count();
        let head = sampled.head(Some((CancelStep::Again, Duration::ZERO)));
        let span = pb::WorkerSpan::decode(&head[..]).unwrap();
        assert_eq!((span.items, span.stopped), (1, 5));
        assert!(span.start_ns > 1_600_000_000_000_000_000);
    }
}
