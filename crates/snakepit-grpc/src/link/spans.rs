//! The workers' spans of the calls on one connection. The host gives each its id and makes the span; a worker only tells when it began, and how
//! long it took.

use std::borrow::Cow;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use prost::Message as _;
use snakepit_core::record::{Attribute, Attributes, Recorder, Span, SpanKind, Unmade};
use snakepit_core::{ErrorCode, Request, StopStep, TraceContext, TraceState};

use super::calls::CallMap;
use super::source::Source;
use super::stops;
use crate::frame::Kind;
use crate::pb;

/// Name of the spans.
const NAME: &str = "snakepit.tool";

/// Bytes that such a span takes in memory, about, without the texts that calls bring.
const BYTES: usize = 750;

/// The spans that have begun.
#[derive(Debug, Default)]
pub(super) struct Spans {
    source: OnceLock<Source>,
    open: Mutex<CallMap<Open>>,
    /// Number of open spans, readable without the lock.
    count: AtomicUsize,
}

/// The span of a call that its worker has.
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
    /// The host has asked for its end.
    cancelled: bool,
}

/// The end of the call of a span.
#[derive(Clone, Copy, Debug)]
pub(super) enum Ended<'a> {
    /// It was answered with a result.
    Good,
    /// It failed: a code, and the type of the exception if there is one.
    Failed(&'a str, &'a str),
    /// Its worker is gone.
    Lost(&'a str),
}

impl Spans {
    /// Says where the connection belongs to; without it there are no spans.
    pub(super) fn belong(&self, source: Source) {
        self.source.get_or_init(|| source);
    }

    /// A call is about to be sent: the context of its worker's span, which goes along. `None` if the call has no trace.
    pub(super) fn begin(&self, kind: Kind, request: &Request) -> Option<TraceContext> {
        let parent = request.trace?;
        let context = parent.child();
        if parent.is_sampled()
            && let Some(source) = self.source.get()
            && let Some(recorder) = source.events.recorder()
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

    /// The host asks for the end of a call.
    pub(super) fn cancel(&self, call: u64) {
        if !self.is_idle()
            && let Some(open) = self.lock().get_mut(&call)
        {
            open.cancelled = true;
        }
    }

    /// A call was not begun, or is somebody else's business: there is no span of it.
    pub(super) fn forget(&self, call: u64) {
        drop(self.take(call));
    }

    /// A call was answered; `head` is a `WorkerSpan` or nothing.
    pub(super) fn end(&self, call: u64, head: &Bytes, how: Ended<'_>) {
        if let Some(open) = self.take(call) {
            // One that cannot be read tells nothing.
            let told = pb::WorkerSpan::decode(&head[..]).ok();
            self.record(open, told.filter(|_| !head.is_empty()), how);
        }
    }

    /// A call was answered with an error.
    pub(super) fn fail(&self, call: u64, error: &pb::ToolError, code: ErrorCode) {
        if let Some(open) = self.take(call) {
            self.record(
                open,
                error.span,
                Ended::Failed(code.as_str(), &error.r#type),
            );
        }
    }

    /// The worker is gone, for this reason, and the calls that it had with it.
    pub(super) fn lose(&self, reason: &str) {
        if self.is_idle() {
            return;
        }
        let all = std::mem::take(&mut *self.lock());
        self.count.store(0, Ordering::Release);
        for open in all.into_values() {
            self.record(open, None, Ended::Lost(reason));
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

    /// Hands a span to the recorder. Without the worker's times it lasts from its sending to now.
    fn record(&self, open: Open, told: Option<pb::WorkerSpan>, how: Ended<'_>) {
        let Some(source) = self.source.get() else {
            return;
        };
        let (start, end) = times(open.sent, SystemTime::now().max(open.sent), told.as_ref());
        let step = match (told.map_or(0, |told| told.stopped), how) {
            (0, Ended::Lost(_)) if open.cancelled => Some(StopStep::Kill),
            (0, _) => None,
            (step, _) => Some(stops::step(step)),
        };
        let error = match how {
            Ended::Good => None,
            Ended::Failed(code, "") => Some((code.to_owned(), code.to_owned())),
            Ended::Failed(code, kind) => {
                let kind: String = kind.chars().take(256).collect();
                Some((code.to_owned(), format!("{code}: {kind}")))
            }
            Ended::Lost(reason) => {
                let code = ErrorCode::WorkerDied.as_str();
                let text = format!("{code}: the worker is gone: {reason}");
                Some((code.to_owned(), text))
            }
        };
        let texts = error.as_ref().map_or(0, |(_, text)| text.len());
        let bytes = BYTES + open.tool.len() + open.state.as_str().len() + texts;
        let (pool, worker) = (source.pool.clone(), source.worker.clone());
        let Open {
            context,
            parent,
            state,
            recorder,
            tool,
            number,
            kind,
            ..
        } = open;
        recorder.unmade(Unmade::new(bytes, move || {
            let mut attributes = Attributes::with_capacity(8);
            let mut add = |name, value| attributes.push((Cow::Borrowed(name), value));
            add("snakepit.tool", Attribute::Text(tool.into()));
            add("snakepit.pool", Attribute::Text((&pool).into()));
            add("snakepit.worker", Attribute::Text((&worker).into()));
            add("snakepit.call.id", integer(number));
            let items = match kind {
                Kind::Stream => Some("snakepit.stream.chunks"),
                Kind::Many => Some("snakepit.batch.items"),
                _ => None,
            };
            if let (Some(name), Some(told)) = (items, &told) {
                add(name, integer(told.items));
            }
            if let Some(step) = step {
                let step = Attribute::Text(step.as_str().into());
                add("snakepit.cancel.step", step);
            }
            let (code, error) = error.unzip();
            if let Some(code) = code {
                add("error.type", Attribute::Text(code.into()));
            }
            Span {
                context,
                parent: Some(parent),
                state,
                name: Cow::Borrowed(NAME),
                kind: SpanKind::Server,
                start,
                end,
                attributes,
                events: Vec::new(),
                error: error.map(Cow::Owned),
            }
        }));
    }

    fn lock(&self) -> MutexGuard<'_, CallMap<Open>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn integer(value: u64) -> Attribute {
    Attribute::Integer(i64::try_from(value).unwrap_or(i64::MAX))
}

/// Start and end of a span as the worker tells them, within the time that the host knows it to have had.
fn times(
    sent: SystemTime,
    now: SystemTime,
    told: Option<&pb::WorkerSpan>,
) -> (SystemTime, SystemTime) {
    let Some(told) = told else {
        return (sent, now);
    };
    let start = SystemTime::UNIX_EPOCH.checked_add(Duration::from_nanos(told.start_ns));
    let start = start.map_or(now, |start| start.clamp(sent, now));
    let end = start.checked_add(Duration::from_nanos(told.duration_ns));
    (start, end.map_or(now, |end| end.min(now)))
}

/// The span in which a request was made: one of the call's own trace that the worker names, else the worker's span of the call. Whether the
/// trace is recorded is not for a worker to say.
pub(super) fn asked_in(call: Option<TraceContext>, named: &[u8]) -> Option<TraceContext> {
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
        let between = |told: Option<&_>| times(at(100), at(110), told);
        assert_eq!(between(None), (at(100), at(110)));
        let told = span(102 * second, 3 * second);
        assert_eq!(between(Some(&told)), (at(102), at(105)));
        for (told, expected) in [
            (span(0, 0), (at(100), at(100))),
            (span(u64::MAX, u64::MAX), (at(110), at(110))),
            (span(105 * second, u64::MAX), (at(105), at(110))),
        ] {
            assert_eq!(between(Some(&told)), expected);
        }
    }
}
