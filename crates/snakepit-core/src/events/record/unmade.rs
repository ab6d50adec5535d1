//! Spans whose attributes are made later, by the consumer of a recorder's queue.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

use super::{Attribute, Attributes, Span, SpanKind};
use crate::events::open_span::{Facts, number, text};
use crate::events::{TraceContext, TraceState};
use crate::id::{PoolName, WorkerId};

/// A span that is over, and whose attributes are made on demand. It holds the facts themselves, so
/// a queue that has room needs no memory for it.
pub struct Unmade {
    bytes: usize,
    kind: Kind,
}

enum Kind {
    Open(Facts),
    Tool(ToolSpan),
}

/// The facts of a worker's span of a call.
pub struct ToolSpan {
    /// Identity of the span.
    pub context: TraceContext,
    /// Id of its parent span.
    pub parent: [u8; 8],
    /// State of tracing systems that belongs to the span.
    pub state: TraceState,
    /// Start and end, wall-clock time.
    pub time: (SystemTime, SystemTime),
    /// Tool.
    pub tool: Arc<str>,
    /// Pool of the worker.
    pub pool: PoolName,
    /// Worker.
    pub worker: WorkerId,
    /// Number of the call.
    pub number: u64,
    /// Number of chunks or items, with the name of the attribute. `None` for one result.
    pub items: Option<(&'static str, u64)>,
    /// Cancel step that stopped the call. `None` if it was not stopped.
    pub step: Option<&'static str>,
    /// Error code and description. `None` if the call succeeded.
    pub error: Option<(String, String)>,
}

/// Name of the spans of tools.
const TOOL: &str = "snakepit.tool";

/// Approximate size of a tool's span in memory in bytes, without its texts.
const TOOL_BYTES: usize = 750;

impl Unmade {
    pub(crate) const fn open(bytes: usize, facts: Facts) -> Self {
        let kind = Kind::Open(facts);
        Self { bytes, kind }
    }

    /// Approximate bytes of memory of the span.
    pub const fn bytes(&self) -> usize {
        self.bytes
    }

    /// Makes the span.
    pub fn make(self) -> Span {
        match self.kind {
            Kind::Open(facts) => facts.span(),
            Kind::Tool(facts) => facts.span(),
        }
    }
}

impl From<ToolSpan> for Unmade {
    fn from(facts: ToolSpan) -> Self {
        let error = facts.error.as_ref().map_or(0, |(_, text)| text.len());
        Self {
            bytes: TOOL_BYTES + facts.tool.len() + facts.state.as_str().len() + error,
            kind: Kind::Tool(facts),
        }
    }
}

impl ToolSpan {
    fn span(self) -> Span {
        let mut attributes = Attributes::with_capacity(8);
        attributes.extend([
            text("snakepit.tool", self.tool),
            text("snakepit.pool", &self.pool),
            text("snakepit.worker", &self.worker),
            number("snakepit.call.id", self.number),
        ]);
        attributes.extend(self.items.map(|(name, count)| number(name, count)));
        attributes.extend(self.step.map(|step| text("snakepit.cancel.step", step)));
        let (code, error) = self.error.unzip();
        let code = code.map(|code| (Cow::Borrowed("error.type"), Attribute::Text(code.into())));
        attributes.extend(code);
        Span {
            context: self.context,
            parent: Some(self.parent),
            state: self.state,
            name: Cow::Borrowed(TOOL),
            kind: SpanKind::Server,
            start: self.time.0,
            end: self.time.1,
            attributes,
            events: Vec::new(),
            error: error.map(Cow::Owned),
        }
    }
}

impl fmt::Debug for Unmade {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Unmade")
            .field("bytes", &self.bytes)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for ToolSpan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ToolSpan")
            .field("context", &self.context)
            .finish_non_exhaustive()
    }
}
