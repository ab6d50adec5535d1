//! The workers' spans of the calls on one connection. The host assigns the id and creates the span;
//! a worker only reports when it began and how long it took.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use prost::Message as _;
use snakepit_core::call::Request;
use snakepit_core::error::ErrorCode;
use snakepit_core::events::record::{Recorder, ToolSpan};
use snakepit_core::events::{TraceContext, TraceState};
use snakepit_core::worker::CancelStep;

use super::calls::CallMap;
use super::cancel_reports;
use super::mask;
use super::source::Source;
use crate::frame::Kind;
use crate::pb;

/// The spans of running calls.
#[derive(Debug, Default)]
pub(crate) struct Spans {
    source: OnceLock<Source>,
    open: Mutex<CallMap<Open>>,
    /// Number of open spans, readable without the lock.
    count: AtomicUsize,
}

/// The span of a running call.
#[derive(Debug)]
struct Open {
    context: TraceContext,
    parent: [u8; 8],
    state: TraceState,
    recorder: Arc<Box<dyn Recorder>>,
    tool: Arc<str>,
    /// Number of the call.
    number: u64,
    kind: Kind,
    sent: SystemTime,
    /// `true` once the host has requested the call's cancellation.
    cancelled: bool,
}

/// The end of a call, for its span.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Ended<'a> {
    /// The call returned a result.
    Good,
    /// The call failed: an error code, and the type of the exception or an empty text.
    Failed(&'a str, &'a str),
    /// The worker is gone, for this reason.
    Lost(&'a str),
}

impl Spans {
    /// Sets the worker and pool of the connection. Without them no spans are recorded.
    pub(crate) fn belong(&self, source: Source) {
        self.source.get_or_init(|| source);
    }

    /// Begins the span of a call that is about to be sent. Returns the context of the span, which
    /// is sent with the call. `None` if the call has no trace.
    pub(crate) fn begin(&self, kind: Kind, request: &Request) -> Option<TraceContext> {
        let parent = request.trace?;
        let context = parent.child();
        if parent.is_sampled()
            && let Some(source) = self.source.get()
            && let Some(recorder) = source.events.span_recorder()
        {
            let open = Open {
                context,
                parent: parent.span_id(),
                state: request.trace_state.clone(),
                recorder,
                tool: Arc::clone(&request.tool),
                number: request.number.0,
                kind,
                sent: SystemTime::now(),
                cancelled: false,
            };
            let mut map = self.lock();
            map.insert(request.call.0, open);
            self.count.store(map.len(), Ordering::Release);
        }
        Some(context)
    }

    /// Marks the span of a call whose cancellation is requested.
    pub(crate) fn cancel(&self, call: u64) {
        if !self.is_idle()
            && let Some(open) = self.lock().get_mut(&call)
        {
            open.cancelled = true;
        }
    }

    /// Discards the span of a call that was not begun or that is answered elsewhere.
    pub(crate) fn forget(&self, call: u64) {
        drop(self.take(call));
    }

    /// Ends the span of an answered call. `head` is an encoded `WorkerSpan` or empty.
    pub(crate) fn end(&self, call: u64, head: &Bytes, how: Ended<'_>) {
        if let Some(open) = self.take(call) {
            // A malformed report is ignored.
            let reported = pb::WorkerSpan::decode(&head[..]).ok();
            self.record(open, reported.filter(|_| !head.is_empty()), how);
        }
    }

    /// Ends the span of a call that was answered with an error.
    pub(super) fn fail(&self, call: u64, error: &pb::ToolError, code: ErrorCode) {
        if let Some(open) = self.take(call) {
            self.record(
                open,
                error.span,
                Ended::Failed(code.as_str(), &error.r#type),
            );
        }
    }

    /// Ends all spans, because the worker is gone for this reason.
    pub(crate) fn lose(&self, reason: &str) {
        if self.is_idle() {
            return;
        }
        let all = std::mem::take(&mut *self.lock());
        self.count.store(0, Ordering::Release);
        for open in all.into_values() {
            self.record(open, None, Ended::Lost(reason));
        }
    }

    /// Masks the secrets of the worker in one of its errors.
    pub(super) fn mask(&self, error: &mut pb::ToolError) {
        if let Some(mask) = self.source.get().and_then(|source| source.mask.as_deref()) {
            mask::error(error, mask);
        }
    }

    fn is_idle(&self) -> bool {
        self.count.load(Ordering::Acquire) == 0
    }

    fn take(&self, call: u64) -> Option<Open> {
        if self.is_idle() {
            return None;
        }
        let mut map = self.lock();
        let open = map.remove(&call);
        self.count.store(map.len(), Ordering::Release);
        open
    }

    /// Passes a span to the recorder. Without the worker's times the span lasts from the sending of
    /// the call until now.
    fn record(&self, open: Open, reported: Option<pb::WorkerSpan>, how: Ended<'_>) {
        let Some(source) = self.source.get() else {
            return;
        };
        let (start, end) = times(
            open.sent,
            SystemTime::now().max(open.sent),
            reported.as_ref(),
        );
        let step = match (reported.map_or(0, |reported| reported.stopped), how) {
            (0, Ended::Lost(_)) if open.cancelled => Some(CancelStep::Kill),
            (0, _) => None,
            (step, _) => Some(cancel_reports::step(step)),
        };
        let error = match how {
            Ended::Good => None,
            Ended::Failed(code, "") => Some((code.to_owned(), code.to_owned())),
            Ended::Failed(code, kind) => {
                let kind = crate::convert::short_name(kind);
                Some((code.to_owned(), format!("{code}: {kind}")))
            }
            Ended::Lost(reason) => {
                let code = ErrorCode::WorkerDied.as_str();
                let text = format!("{code}: the worker is gone: {reason}");
                Some((code.to_owned(), text))
            }
        };
        let items = match open.kind {
            Kind::Stream => Some("snakepit.stream.chunks"),
            Kind::Many => Some("snakepit.batch.items"),
            _ => None,
        };
        let Open {
            context,
            parent,
            state,
            recorder,
            tool,
            number,
            ..
        } = open;
        let span = ToolSpan {
            context,
            parent,
            state,
            time: (start, end),
            tool,
            pool: source.pool.clone(),
            worker: source.worker.clone(),
            number,
            items: items.zip(reported.map(|reported| reported.items)),
            step: step.map(CancelStep::as_str),
            error,
        };
        recorder.unmade(span.into());
    }

    fn lock(&self) -> MutexGuard<'_, CallMap<Open>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Returns the start and the end of a span as the worker reports them, clamped to the time between
/// the sending of the call and now.
fn times(
    sent: SystemTime,
    now: SystemTime,
    reported: Option<&pb::WorkerSpan>,
) -> (SystemTime, SystemTime) {
    let Some(reported) = reported else {
        return (sent, now);
    };
    let start = SystemTime::UNIX_EPOCH.checked_add(Duration::from_nanos(reported.start_ns));
    let start = start.map_or(now, |start| start.clamp(sent, now));
    let end = start.checked_add(Duration::from_nanos(reported.duration_ns));
    (start, end.map_or(now, |end| end.min(now)))
}

/// Returns the span in which a request was made: the one that the worker names if it belongs to the
/// call's trace, else the worker's span of the call. The sampling decision is the host's; the
/// worker's is ignored.
pub(super) fn request_context(call: Option<TraceContext>, named: &[u8]) -> Option<TraceContext> {
    let call = call?;
    let named = TraceContext::from_bytes(named);
    let own = named.filter(|named| named.trace_id() == call.trace_id());
    let own =
        own.and_then(|own| TraceContext::new(call.trace_id(), own.span_id(), call.is_sampled()));
    Some(own.unwrap_or(call))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_worker_tells_no_times_that_cannot_be() {
        let at = |seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        let span = |start_ns, duration_ns| pb::WorkerSpan {
            start_ns,
            duration_ns,
            ..Default::default()
        };
        let second = 1_000_000_000;
        let between = |reported: Option<&_>| times(at(100), at(110), reported);
        assert_eq!(between(None), (at(100), at(110)));
        let reported = span(102 * second, 3 * second);
        assert_eq!(between(Some(&reported)), (at(102), at(105)));
        for (reported, expected) in [
            (span(0, 0), (at(100), at(100))),
            (span(u64::MAX, u64::MAX), (at(110), at(110))),
            (span(105 * second, u64::MAX), (at(105), at(110))),
        ] {
            assert_eq!(between(Some(&reported)), expected);
        }
    }
}
