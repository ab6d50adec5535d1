//! The caller's headers of a request: its deadline, its place in a trace, its correlation id.

use std::sync::Arc;

use prost::Message;
use snakepit_core::events::{TraceContext, TraceState};
use snakepit_core::host_tools::ToolCall;
use tokio::time::Instant;
use tonic::metadata::{Ascii, MetadataMap, MetadataValue};
use tonic::{Request, Response, Status};

use super::deadline;
use super::status::from_tool;
use crate::budget::Budget;

/// Header of the caller's span, as [W3C Trace Context](https://www.w3.org/TR/trace-context/)
/// defines it.
pub(super) const TRACE_PARENT: &str = "traceparent";

/// Header of the tracing systems' own data beside it.
pub(super) const TRACE_STATE: &str = "tracestate";

/// Header of a correlation id, which the records of a call carry, in requests and in their answers.
pub(super) const CORRELATION: &str = "x-snakepit-correlation-id";

/// Header in which a client reports the largest answer that it accepts, in bytes.
const LIMIT: &str = "x-snakepit-max-message";

/// Bytes of an answer besides its payload.
const AROUND: usize = 4 << 10;

/// Longest correlation id in bytes.
const MAX_CORRELATION: usize = 256;

/// The caller of a request.
#[derive(Clone, Debug, Default)]
pub(super) struct Caller {
    /// Time at which the caller stops waiting.
    pub(super) deadline: Option<Instant>,
    /// The span in which the caller makes the request.
    pub(super) trace: Option<TraceContext>,
    /// The trace state that belongs to that span; empty without a span.
    pub(super) trace_state: TraceState,
    pub(super) correlation: Option<Arc<str>>,
    /// Largest answer that the caller accepts, in bytes. `None` if it does not report one.
    limit: Option<usize>,
}

impl Caller {
    /// Reads the caller from the headers. A header that is invalid or repeated is ignored, because
    /// no call should fail because of its records.
    pub(super) fn of<T>(request: &Request<T>) -> Self {
        let headers = request.metadata();
        let trace = only(headers, TRACE_PARENT).and_then(|text| text.parse().ok());
        let trace_state = trace.map_or_else(TraceState::default, |_: TraceContext| state(headers));
        let correlation = only(headers, CORRELATION).filter(|text| {
            let shown = |byte: u8| (b' '..=b'~').contains(&byte);
            (1..=MAX_CORRELATION).contains(&text.len()) && text.bytes().all(shown)
        });
        Self {
            limit: only(headers, LIMIT).and_then(|text| text.parse().ok()),
            deadline: deadline::of(request),
            trace,
            trace_state,
            correlation: correlation.map(Arc::from),
        }
    }

    /// Returns the largest payload of an answer in bytes, if the server sends `own` at most.
    pub(super) fn limit(&self, own: usize) -> usize {
        let limit = self.limit.map(|limit| limit.saturating_sub(AROUND));
        limit.map_or(own, |limit| limit.min(own))
    }

    /// Returns a function that answers the request, but fails if the whole answer is larger than
    /// the caller accepts, or than `own`.
    pub(super) fn within<M: Message>(
        &self,
        own: usize,
    ) -> impl FnOnce(M) -> Result<Response<M>, Status> + use<M> {
        let mut budget = Budget::new(self.limit.map_or(own, |limit| limit.min(own)));
        move |answer| {
            budget.take(answer.encoded_len()).map_err(from_tool)?;
            Ok(Response::new(answer))
        }
    }

    /// Copies the caller into a call of a host tool.
    pub(super) fn name(&self, call: &mut ToolCall) {
        call.deadline = self.deadline;
        call.trace = self.trace;
        call.trace_state.clone_from(&self.trace_state);
        call.correlation.clone_from(&self.correlation);
    }

    /// Returns the correlation id to the caller, with the answer.
    pub(super) fn answer<T>(&self, message: T) -> Response<T> {
        let mut response = Response::new(message);
        let value = self
            .correlation
            .as_deref()
            .map(MetadataValue::<Ascii>::try_from);
        if let Some(Ok(value)) = value {
            response.metadata_mut().insert(CORRELATION, value);
        }
        response
    }
}

/// Joins the members of all headers of this name, in order. A header that is not text makes the
/// result empty.
fn state(headers: &MetadataMap) -> TraceState {
    let mut values = headers.get_all(TRACE_STATE).iter();
    let Some(first) = values.next() else {
        return TraceState::default();
    };
    let texts: Result<Vec<_>, _> = std::iter::once(first)
        .chain(values)
        .map(MetadataValue::to_str)
        .collect();
    texts.map_or_else(
        |_| TraceState::default(),
        |texts| TraceState::parse(&texts.join(",")),
    )
}

/// Returns the value of a header that is present exactly once.
fn only<'a>(headers: &'a MetadataMap, name: &str) -> Option<&'a str> {
    let mut values = headers.get_all(name).iter();
    let value = values.next()?;
    if values.next().is_some() {
        return None;
    }
    value.to_str().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    fn caller(headers: &[(&'static str, &str)]) -> Caller {
        let mut request = Request::new(());
        for (name, value) in headers {
            request.metadata_mut().append(*name, value.parse().unwrap());
        }
        Caller::of(&request)
    }

    #[test]
    fn headers_that_cannot_be_used_are_none() {
        let good = caller(&[
            (TRACE_PARENT, PARENT),
            (CORRELATION, "order 7"),
            (TRACE_STATE, "a=b"),
            (TRACE_STATE, "c=d, e=f"),
        ]);
        assert_eq!(good.trace_state.as_str(), "a=b,c=d,e=f");
        for bad in ["a", "a=b,a=c", "A=b"] {
            let caller = caller(&[(TRACE_PARENT, PARENT), (TRACE_STATE, bad)]);
            assert!(
                caller.trace.is_some() && caller.trace_state.is_empty(),
                "{bad}"
            );
        }
        assert!(caller(&[(TRACE_STATE, "a=b")]).trace_state.is_empty());
        assert_eq!(good.trace.unwrap().to_string(), PARENT);
        assert_eq!(good.correlation.as_deref(), Some("order 7"));
        let answer = good.answer(());
        assert_eq!(answer.metadata().get(CORRELATION).unwrap(), "order 7");
        for bad in [
            "",
            "00-00-00-00",
            &PARENT.to_uppercase(),
            &PARENT.replace("4bf92f3577b34da6a3ce929d0e0e4736", &"0".repeat(32)),
        ] {
            assert_eq!(caller(&[(TRACE_PARENT, bad)]).trace, None, "{bad}");
        }
        assert_eq!(
            caller(&[(TRACE_PARENT, PARENT), (TRACE_PARENT, PARENT)]).trace,
            None
        );
        for bad in ["", &"x".repeat(257)] {
            assert_eq!(caller(&[(CORRELATION, bad)]).correlation, None, "{bad}");
        }
        assert!(caller(&[]).answer(()).metadata().is_empty());
    }
}
