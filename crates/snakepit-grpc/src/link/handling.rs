//! The handling of one request: its answer, cancellation, deadline and panic.

use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use snakepit_core::error::{ErrorCode, ToolError};
use tokio::sync::oneshot;
use tokio::time::Instant;

pub(super) type HostReply = Result<Bytes, Box<ToolError>>;
pub(super) type Handling = Pin<Box<dyn Future<Output = HostReply> + Send>>;

/// Waits for the handler's answer, the worker's cancellation, or the deadline.
pub(super) async fn finish(
    mut handling: Handling,
    mut cancelled: oneshot::Receiver<()>,
    deadline: Option<Instant>,
) -> HostReply {
    let never = Instant::now() + Duration::from_secs(365 * 24 * 3600);
    let mut late = pin!(tokio::time::sleep_until(deadline.unwrap_or(never)));
    poll_fn(|context| {
        if let Poll::Ready(answer) = poll_caught(handling.as_mut(), context) {
            return Poll::Ready(answer);
        }
        if Pin::new(&mut cancelled).poll(context).is_ready() {
            return Poll::Ready(Err(refusal(
                ErrorCode::Cancelled,
                "the request was cancelled",
                "",
            )));
        }
        if deadline.is_some() && late.as_mut().poll(context).is_ready() {
            return Poll::Ready(Err(refusal(
                ErrorCode::CallTimeout,
                "the host did not answer in time",
                "allow more time for the request or for the call",
            )));
        }
        Poll::Pending
    })
    .await
}

/// Polls a handler and converts its panic into an error.
pub(super) fn poll_caught(
    handling: Pin<&mut (dyn Future<Output = HostReply> + Send)>,
    context: &mut Context<'_>,
) -> Poll<HostReply> {
    catch_unwind(AssertUnwindSafe(|| handling.poll(context))).unwrap_or_else(|_| {
        Poll::Ready(Err(refusal(
            ErrorCode::HostToolPanicked,
            "the host panicked while it answered",
            "read the log of the host",
        )))
    })
}

pub(super) fn refusal(code: ErrorCode, message: impl Into<String>, help: &str) -> Box<ToolError> {
    let mut error = Box::new(ToolError::new(code, message));
    error.help = help.to_owned();
    error
}

pub(super) fn over_limit(what: &str, size: u64, limit: usize) -> Box<ToolError> {
    refusal(
        ErrorCode::PayloadTooLarge,
        format!("{what} of {size} bytes is larger than the limit of {limit} bytes"),
        "send less, or raise `max_payload` of the pool",
    )
}
