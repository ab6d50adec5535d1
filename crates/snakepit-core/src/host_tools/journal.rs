//! The journal of one call of a host tool: its events, its span, and its observer.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::{Inner, ToolCall};
use crate::call::{CallObserver, EndedCall, SentCall};
use crate::code::ErrorCode;
use crate::events::open_span::{Ending, Traced};
use crate::events::record::SpanKind;
use crate::events::{Events, emit, kind};
use crate::id::{CallId, SessionId, Slot};
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
    observed: Option<Observed>,
    begun: Instant,
    over: bool,
}

/// A call that is observed.
struct Observed {
    observer: Arc<dyn CallObserver>,
    number: CallId,
    mark: u32,
}

impl Journal {
    /// Begins the journal of a call, whose own calls become children of its span.
    pub(super) fn begin(tools: &Inner, call: &mut ToolCall, tool: &str) -> Self {
        let (begun, events) = (Instant::now(), tools.sessions.events());
        let traced = if call.worker.is_some() && call.trace.is_none() {
            // The call of the worker is not traced, and neither are the calls nested in it.
            Traced::default()
        } else {
            let what = ("snakepit.host_tool", SpanKind::Server);
            Traced::begin(events, (call.trace, &call.trace_state), what, begun)
        };
        call.trace = traced.context;
        call.trace_state = traced.state.clone();
        let tool: Arc<str> = match tool.len() {
            // The name comes from a peer, and may be of any length.
            LONG.. => names::short(tool).into(),
            _ => tool.into(),
        };
        let observer = tools.observer.get();
        let observed = observer.map(|observer| Observed::begin(observer, call, &tool, begun));
        let this = Self {
            events: events.clone(),
            tool,
            session: call.session.clone(),
            depth: call.chain.depth(),
            traced,
            observed,
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
        let told = self.traced.span.is_some() || self.events.enabled(kind::HostToolCompleted);
        if !told && self.observed.is_none() {
            return;
        }
        let now = Instant::now();
        if let Some(observed) = self.observed.take() {
            observed.end(&self.tool, (self.begun, now), (outcome, code));
        }
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

impl Observed {
    /// Gives the call a number, which further calls name as their caller.
    fn begin(
        observer: &Arc<dyn CallObserver>,
        call: &mut ToolCall,
        tool: &Arc<str>,
        begun: Instant,
    ) -> Self {
        let number = CallId::next();
        let mark = observer.sent(&SentCall {
            call: number,
            attempt: number,
            tool,
            session: call.session.as_ref(),
            worker: call.worker.as_ref(),
            slot: Slot(0),
            caller: call.call,
            begun,
            at: begun,
            deadline: call.deadline,
            queued: Duration::ZERO,
            bytes: 0,
            items: 1,
            mark: None,
        });
        call.chain = std::mem::take(&mut call.chain).called_by(number);
        Self {
            observer: Arc::clone(observer),
            number,
            mark,
        }
    }

    fn end(
        self,
        tool: &Arc<str>,
        (begun, at): (Instant, Instant),
        (outcome, code): (&'static str, Option<&'static str>),
    ) {
        self.observer.ended(&EndedCall {
            call: self.number,
            tool,
            begun,
            at,
            queued: Duration::ZERO,
            outcome,
            code,
            attempts: 1,
            bytes: 0,
            items: 1,
            mark: Some(self.mark),
        });
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        if !self.over {
            self.close("cancelled", Some(ErrorCode::Cancelled.as_str()));
        }
    }
}
