//! The journal of one call of a host tool: its events and its span.

use std::sync::Arc;

use tokio::time::Instant;

use super::ToolCall;
use crate::code::ErrorCode;
use crate::events::open_span::{Ending, Traced};
use crate::events::record::SpanKind;
use crate::events::{Events, emit, kind};
use crate::id::SessionId;
use crate::value::names;

/// Length in bytes from which a name is longer than that of any tool.
const LONG: usize = 65;

/// One call of a host tool. Dropping it before [`end`](Self::end) reports that the caller has gone
/// away.
pub(super) struct Journal {
    events: Events,
    tool: Arc<str>,
    session: Option<SessionId>,
    depth: u32,
    traced: Traced,
    begun: Instant,
    over: bool,
}

impl Journal {
    /// Begins the journal of a call, whose own calls become children of its span.
    pub(super) fn begin(events: &Events, call: &mut ToolCall, tool: &str) -> Self {
        let begun = Instant::now();
        let traced = if call.worker.is_some() && call.trace.is_none() {
            // The call of the worker is not traced, and neither are the calls nested in it.
            Traced::default()
        } else {
            let what = ("snakepit.host_tool", SpanKind::Server);
            Traced::begin(events, (call.trace, &call.trace_state), what, begun)
        };
        call.trace = traced.context;
        call.trace_state = traced.state.clone();
        let this = Self {
            events: events.clone(),
            tool: match tool.len() {
                // The name comes from a peer, and may be of any length.
                LONG.. => names::short(tool).into(),
                _ => tool.into(),
            },
            session: call.session.clone(),
            depth: call.chain.depth(),
            traced,
            begun,
            over: false,
        };
        emit!(
            this.events,
            HostToolStarted {
                tool: Arc::clone(&this.tool),
                session: this.session.clone(),
                depth: this.depth,
            }
        );
        this
    }

    /// Ends the call, with this error if it failed.
    pub(super) fn end(&mut self, error: Option<ErrorCode>) {
        let outcome = match error {
            None => "ok",
            Some(ErrorCode::HostToolTimeout) => "call_timeout",
            Some(ErrorCode::Cancelled) => "cancelled",
            Some(_) => "error",
        };
        self.close(outcome, error.map(ErrorCode::as_str));
    }

    fn close(&mut self, outcome: &'static str, code: Option<&'static str>) {
        self.over = true;
        if self.traced.span.is_none() && !self.events.enabled(kind::HostToolCompleted) {
            return;
        }
        let now = Instant::now();
        if let Some(span) = self.traced.span.take() {
            let (tool, depth) = (Arc::clone(&self.tool), self.depth);
            let ending = Ending::HostTool {
                tool,
                depth,
                outcome,
                code,
            };
            span.end(now, code, ending);
        }
        let duration = now.saturating_duration_since(self.begun);
        emit!(
            self.events,
            HostToolCompleted {
                tool: Arc::clone(&self.tool),
                session: self.session.clone(),
                depth: self.depth,
                outcome,
                code,
                duration_us: u64::try_from(duration.as_micros()).unwrap_or(u64::MAX),
            }
        );
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        if !self.over {
            self.close("cancelled", Some(ErrorCode::Cancelled.as_str()));
        }
    }
}
