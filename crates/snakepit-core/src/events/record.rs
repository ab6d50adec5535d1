//! Spans, log records and measurements, as hosts and workers report them to a [`Recorder`].
//!
//! They follow the data model of [OpenTelemetry](https://opentelemetry.io/docs/specs/otel/),
//! without its crates: the crate `snakepit-telemetry` exports them, and so can any other
//! implementation of [`Recorder`]. [`Events::set_recorder`](crate::events::Events::set_recorder)
//! attaches one.

mod unmade;

use std::borrow::Cow;
use std::fmt;
use std::ops::Deref;
use std::sync::Arc;
use std::time::SystemTime;

use crate::events::{TraceContext, TraceState};
use crate::id::{CallId, PoolName, SessionId, WorkerId};
pub use unmade::{ToolSpan, Unmade};

/// The receiver of spans, log records and measurements. Its methods run on threads that serve
/// calls: they must not block.
pub trait Recorder: fmt::Debug + Send + Sync + 'static {
    /// Begins the span of a call that is made here, on the caller's thread. `parent` is the span
    /// named by the caller. If it is `None`, the recorder uses the span that is current on this
    /// thread, or starts a trace.
    ///
    /// Returns `None` if the call is to have no span, neither here nor in its worker.
    fn begin(&self, parent: Option<TraceContext>) -> Option<Begun>;

    /// Returns true if it receives spans. It is asked when it is set. If it returns false, no span
    /// is begun.
    fn traces(&self) -> bool {
        true
    }

    /// Receives a span that is over. Only sampled spans are passed.
    fn span(&self, span: Span);

    /// Receives a span that is over, like [`span`](Self::span), while a call waits. A recorder with
    /// a queue can put the span into it unmade, so that the consumer of the queue makes it.
    fn unmade(&self, span: Unmade) {
        self.span(span.make());
    }

    /// Receives a log record of a worker.
    fn log(&self, log: &Log);

    /// Receives a measurement of worker code.
    fn measurement(&self, measurement: &Measurement);
}

/// The span of a call that has begun.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Begun {
    /// Identity of the span.
    pub context: TraceContext,
    /// Id of its parent span. `None` if it is the first of its trace.
    pub parent: Option<[u8; 8]>,
    /// State of tracing systems that belongs to the span found by the recorder. If the caller named
    /// a span, the caller's state is used instead.
    pub state: TraceState,
}

/// A piece of work with its start and end.
#[derive(Clone, Debug, PartialEq)]
pub struct Span {
    /// Identity of the span.
    pub context: TraceContext,
    /// Id of its parent span. `None` if it is the first of its trace.
    pub parent: Option<[u8; 8]>,
    /// State of tracing systems that belongs to the span.
    pub state: TraceState,
    /// Name, one of few: never an id or an argument.
    pub name: Cow<'static, str>,
    /// Side of the call that the span describes.
    pub kind: SpanKind,
    /// Start, wall-clock time.
    pub start: SystemTime,
    /// End, wall-clock time; never before `start`.
    pub end: SystemTime,
    /// Attributes.
    pub attributes: Attributes,
    /// Moments within the span.
    pub events: Vec<SpanEvent>,
    /// Error: a code, or a type and a message. `None` if the work succeeded.
    pub error: Option<Cow<'static, str>>,
}

/// The side of a call that a span describes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SpanKind {
    /// The caller.
    Client,
    /// The side that serves the call.
    Server,
    /// Neither side.
    Internal,
}

/// A moment within a span.
#[derive(Clone, Debug, PartialEq)]
pub struct SpanEvent {
    /// Name.
    pub name: Cow<'static, str>,
    /// Wall-clock time.
    pub at: SystemTime,
    /// Attributes.
    pub attributes: Attributes,
}

/// Names and values.
pub type Attributes = Vec<(Cow<'static, str>, Attribute)>;

/// Value of an attribute.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Attribute {
    /// A truth value.
    Bool(bool),
    /// A whole number.
    Integer(i64),
    /// A number.
    Float(f64),
    /// Text.
    Text(Text),
}

/// Text of an attribute. Literals, and texts shared with other records, are not copied.
#[derive(Clone)]
pub enum Text {
    /// A literal.
    Static(&'static str),
    /// Shared text.
    Shared(Arc<str>),
}

impl Deref for Text {
    type Target = str;

    fn deref(&self) -> &str {
        match self {
            Self::Static(text) => text,
            Self::Shared(text) => text,
        }
    }
}

impl PartialEq for Text {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl Eq for Text {}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&**self, f)
    }
}

impl From<&'static str> for Text {
    fn from(text: &'static str) -> Self {
        Self::Static(text)
    }
}

macro_rules! from_id {
    ($($id:ident)*) => {$(
        impl From<&$id> for Text {
            fn from(id: &$id) -> Self {
                Self::Shared(id.to_shared())
            }
        }
    )*};
}

from_id! { PoolName SessionId WorkerId }

impl From<Arc<str>> for Text {
    fn from(text: Arc<str>) -> Self {
        Self::Shared(text)
    }
}

impl From<String> for Text {
    fn from(text: String) -> Self {
        Self::Shared(text.into())
    }
}

/// The worker and the call that a record came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// Pool of the worker.
    pub pool: PoolName,
    /// Worker.
    pub worker: WorkerId,
    /// Call. `None` outside of calls.
    pub call: Option<CallId>,
}

/// A log record of worker code.
#[derive(Clone, Debug, PartialEq)]
pub struct Log {
    /// Wall-clock time.
    pub at: SystemTime,
    /// Severity.
    pub level: tracing::Level,
    /// Name of the logger, for example `urllib3.connectionpool`.
    pub logger: Arc<str>,
    /// Message.
    pub message: String,
    /// Exception with its traceback, as text. `None` if the record has none.
    pub exception: Option<String>,
    /// Further attributes, for example the correlation id.
    pub attributes: Attributes,
    /// Span in which it was written.
    pub trace: Option<TraceContext>,
    /// Worker and call.
    pub origin: Origin,
}

/// A measurement of worker code, for a counter, a gauge or a histogram.
#[derive(Clone, Debug, PartialEq)]
pub struct Measurement {
    /// Name of the instrument.
    pub name: Arc<str>,
    /// Kind of the instrument.
    pub instrument: Instrument,
    /// Unit in [UCUM](https://ucum.org); empty if it was not given.
    pub unit: Arc<str>,
    /// Meaning; empty if it was not given.
    pub description: Arc<str>,
    /// Value; for a counter the increment.
    pub value: f64,
    /// Attributes.
    pub attributes: Attributes,
    /// Span in which it was measured.
    pub trace: Option<TraceContext>,
    /// Worker and call.
    pub origin: Origin,
}

/// Kind of an instrument.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Instrument {
    /// A sum of increments.
    Counter,
    /// The last value.
    Gauge,
    /// A distribution of values.
    Histogram,
}
