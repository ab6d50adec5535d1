//! A span in progress: the recorder receives it once no more facts can be added.

mod ending;

use std::borrow::Cow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use tokio::time::Instant;

use crate::events::record::{
    Attribute, Attributes, Begun, Recorder, Span, SpanEvent, SpanKind, Text, Unmade,
};
use crate::events::{Events, TraceContext, TraceState};
use crate::id::WorkerId;
pub(crate) use ending::{CallEnding, Ending};

/// Approximate bytes of memory of a call's span, without the texts of the call.
const BYTES: usize = 1200;

/// Bytes of memory of each further moment.
const MOMENT_BYTES: usize = 256;

/// Largest number of moments of one span. Only calls that are given back again and again have more.
const MOMENTS: usize = 128;

/// A span in progress. It is recorded when its last handle is dropped, if it has an end by then.
/// Facts learned after the end of a call, for example the step that stopped its tool, still belong
/// to its span.
pub(crate) struct OpenSpan {
    recorder: Arc<Box<dyn Recorder>>,
    begun: Begun,
    name: &'static str,
    kind: SpanKind,
    /// The same moment on both clocks. The wall clock is read once, so that children lie within
    /// their parents.
    wall: SystemTime,
    from: Instant,
    parts: Mutex<Parts>,
}

/// Facts noted until the end. The span of a call that is sent once, as most are, allocates memory
/// only for its attributes, and those are made later.
#[derive(Default)]
struct Parts {
    last: Option<Ending>,
    attributes: Attributes,
    /// The first dispatch of the call.
    sent: Option<(SystemTime, Sent)>,
    events: Vec<SpanEvent>,
    end: Option<SystemTime>,
    error: Option<&'static str>,
}

/// The facts of a span that is over.
pub(crate) struct Facts {
    context: TraceContext,
    parent: Option<[u8; 8]>,
    state: TraceState,
    name: &'static str,
    kind: SpanKind,
    time: (SystemTime, SystemTime),
    parts: Parts,
}

impl Facts {
    /// Makes the span.
    pub(crate) fn span(self) -> Span {
        let Parts {
            last,
            attributes: others,
            sent,
            events,
            error,
            ..
        } = self.parts;
        let mut attributes = last.map(Ending::attributes).unwrap_or_default();
        attributes.extend(others);
        let sent = sent.map(|(at, sent)| sent.event(at));
        let mut events: Vec<_> = sent.into_iter().chain(events).collect();
        events.sort_by_key(|event| event.at);
        let (start, end) = self.time;
        Span {
            context: self.context,
            parent: self.parent,
            state: self.state,
            name: Cow::Borrowed(self.name),
            kind: self.kind,
            start,
            end: end.max(start),
            attributes,
            events,
            error: error.map(Cow::Borrowed),
        }
    }
}

/// The dispatch of a call to a worker.
#[derive(Clone)]
pub(crate) struct Sent {
    pub(crate) worker: WorkerId,
    pub(crate) attempt: u32,
}

impl Sent {
    fn event(self, at: SystemTime) -> SpanEvent {
        SpanEvent {
            name: Cow::Borrowed("snakepit.dispatched"),
            at,
            attributes: vec![
                text("snakepit.worker", &self.worker),
                number("snakepit.attempt", self.attempt.into()),
            ],
        }
    }
}

/// The place of a call in a trace, and its span if that is recorded.
#[derive(Clone, Default)]
pub(crate) struct Traced {
    /// Context for everything that the call does. `None` if it is not traced.
    pub(crate) context: Option<TraceContext>,
    /// State of tracing systems that belongs to the context.
    pub(crate) state: TraceState,
    /// The span. `None` if there is no recorder.
    pub(crate) span: Option<Arc<OpenSpan>>,
}

impl Traced {
    /// Begins the span of a call that is made `now`, on the caller's thread. Without a recorder the
    /// call has the context of its caller.
    #[inline]
    pub(crate) fn begin(
        events: &Events,
        parent: (Option<TraceContext>, &TraceState),
        (name, kind): (&'static str, SpanKind),
        now: Instant,
    ) -> Self {
        let (parent, state) = (parent.0, parent.0.map(|_| parent.1.clone()));
        let Some(recorder) = events.span_recorder() else {
            return Self {
                context: parent,
                state: state.unwrap_or_default(),
                span: None,
            };
        };
        let Some(mut begun) = recorder.begin(parent) else {
            return Self::default();
        };
        if let Some(state) = state {
            begun.state = state;
        }
        let state = begun.state.clone();
        let (context, sampled) = (Some(begun.context), begun.context.is_sampled());
        let span = sampled.then(|| Arc::new(OpenSpan::new(recorder, begun, (name, kind), now)));
        Self {
            context,
            state,
            span,
        }
    }
}

impl OpenSpan {
    fn new(
        recorder: Arc<Box<dyn Recorder>>,
        begun: Begun,
        (name, kind): (&'static str, SpanKind),
        now: Instant,
    ) -> Self {
        let (from, wall) = both_clocks(now);
        Self {
            recorder,
            begun,
            name,
            kind,
            wall,
            from,
            parts: Mutex::default(),
        }
    }

    fn parts(&self) -> MutexGuard<'_, Parts> {
        self.parts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn at(&self, moment: Instant) -> SystemTime {
        self.wall + moment.saturating_duration_since(self.from)
    }

    /// Notes that the call was sent.
    pub(crate) fn sent(&self, moment: Instant, sent: Sent) {
        let (mut parts, at) = (self.parts(), self.at(moment));
        if parts.sent.is_none() {
            parts.sent = Some((at, sent));
        } else if parts.events.len() < MOMENTS {
            parts.events.push(sent.event(at));
        }
    }

    /// Notes a moment.
    pub(crate) fn event(&self, name: &'static str, moment: Instant, attributes: Attributes) {
        let mut parts = self.parts();
        if parts.events.len() < MOMENTS {
            parts.events.push(SpanEvent {
                name: Cow::Borrowed(name),
                at: self.at(moment),
                attributes,
            });
        }
    }

    /// Adds an attribute.
    pub(crate) fn attribute(&self, name: Cow<'static, str>, value: Attribute) {
        self.parts().attributes.push((name, value));
    }

    /// Records a part of the work as a child span.
    pub(crate) fn child(
        &self,
        name: &'static str,
        (from, until): (Instant, Instant),
        error: Option<&'static str>,
    ) {
        let (start, end) = (self.at(from), self.at(until));
        let span = Span {
            context: self.begun.context.child(),
            parent: Some(self.begun.context.span_id()),
            state: self.begun.state.clone(),
            name: Cow::Borrowed(name),
            kind: SpanKind::Internal,
            start,
            end: end.max(start),
            attributes: Attributes::new(),
            events: Vec::new(),
            error: error.map(Cow::Borrowed),
        };
        self.give(|recorder| recorder.span(span));
    }

    /// Sets the end. Only the first call has an effect.
    pub(crate) fn end(&self, moment: Instant, error: Option<&'static str>, ending: Ending) {
        let mut parts = self.parts();
        if parts.end.is_none() {
            parts.end = Some(self.at(moment));
            parts.error = error;
            parts.last = Some(ending);
        }
    }

    /// Calls the recorder. A panic in it must not end the call.
    fn give(&self, to: impl FnOnce(&dyn Recorder)) {
        if catch_unwind(AssertUnwindSafe(|| to(&**self.recorder))).is_err() {
            tracing::error!(target: crate::events::TARGET, "the span recorder panicked; a span was lost");
        }
    }
}

impl Drop for OpenSpan {
    fn drop(&mut self) {
        let parts = std::mem::take(self.parts.get_mut().unwrap_or_else(PoisonError::into_inner));
        let Some(end) = parts.end else {
            return;
        };
        let moments = parts.events.len() * MOMENT_BYTES;
        let texts = parts.last.as_ref().map_or(0, Ending::bytes);
        let bytes = BYTES + texts + moments;
        let state = std::mem::take(&mut self.begun.state);
        let bytes = bytes + state.as_str().len();
        let facts = Facts {
            context: self.begun.context,
            parent: self.begun.parent,
            state,
            name: self.name,
            kind: self.kind,
            time: (self.wall, end),
            parts,
        };
        let span = Unmade::open(bytes, facts);
        self.give(|recorder| recorder.unmade(span));
    }
}

/// Returns the same moment on both clocks, usually `now`. If the thread is suspended between
/// reading the two clocks, all times of the span would be shifted, so it reads them again.
fn both_clocks(now: Instant) -> (Instant, SystemTime) {
    /// Largest number of readings.
    const LOOKS: usize = 4;
    /// Tolerated time between reading the two clocks.
    const CLOSE: Duration = Duration::from_micros(2);
    let mut from = now;
    for _ in 1..LOOKS {
        let (wall, after) = (SystemTime::now(), Instant::now());
        if after.saturating_duration_since(from) <= CLOSE {
            return (from, wall);
        }
        from = after;
    }
    (from, SystemTime::now())
}

/// An attribute with a text.
pub(crate) fn text(name: &'static str, value: impl Into<Text>) -> (Cow<'static, str>, Attribute) {
    (Cow::Borrowed(name), Attribute::Text(value.into()))
}

/// An attribute with a whole number.
pub(crate) fn number(name: &'static str, value: u64) -> (Cow<'static, str>, Attribute) {
    let value = i64::try_from(value).unwrap_or(i64::MAX);
    (Cow::Borrowed(name), Attribute::Integer(value))
}
