//! Single calls, and the account of running ones.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use snakepit_core::call::Request;
use snakepit_core::error::{Direction, ErrorCode, ToolError};
use snakepit_core::value::Payload;
use snakepit_core::worker::CallError;
use tokio_util::sync::CancellationToken;

use super::encode::with_headers;
use super::failure::died;
use super::{GrpcWorker, decode};
use crate::frame::Kind;
use crate::link::spans::Ended;

/// One running call. Dropping it ends the account.
#[derive(Debug)]
pub(super) struct Running {
    worker: Arc<GrpcWorker>,
    call: u64,
    /// Cancelled when the call is to end.
    pub(super) cancelled: CancellationToken,
}

impl Running {
    pub(super) fn begin(worker: &Arc<GrpcWorker>, request: &Request) -> Self {
        let cancelled = CancellationToken::new();
        let call = request.call.0;
        worker.open().insert(call, cancelled.clone());
        Self {
            worker: Arc::clone(worker),
            call,
            cancelled,
        }
    }

    /// Ends the call's span with its outcome.
    pub(super) fn end(&self, error: Option<&CallError>) {
        let spans = &self.worker.spans;
        let (none, large) = (Bytes::new(), ErrorCode::PayloadTooLarge.as_str());
        match error {
            None => spans.end(self.call, &none, Ended::Good),
            Some(CallError::Tool(error)) => {
                let failed = Ended::Failed(error.code.as_str(), &error.type_name);
                spans.end(self.call, &none, failed);
            }
            Some(CallError::TooLarge { .. }) => {
                spans.end(self.call, &none, Ended::Failed(large, ""));
            }
            Some(CallError::Died { exit, .. }) => {
                spans.end(self.call, &none, Ended::Lost(&exit.reason));
            }
            Some(_) => spans.forget(self.call),
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.worker.open().remove(&self.call);
        self.worker.spans.forget(self.call);
    }
}

impl GrpcWorker {
    /// Runs one call. Resolves once the tool has ended, or the worker can no longer be used.
    ///
    /// # Errors
    /// See [`CallError`].
    pub async fn call(self: Arc<Self>, request: Request) -> Result<Payload, CallError> {
        let running = Running::begin(&self, &request);
        let result = self.run(&running, &request, &request.args).await;
        running.end(result.as_ref().err());
        result
    }

    /// Sends one call and reads its answer.
    pub(super) async fn run(
        &self,
        running: &Running,
        request: &Request,
        args: &Payload,
    ) -> Result<Payload, CallError> {
        if running.cancelled.is_cancelled() {
            return Err(cancelled());
        }
        let span = self.spans.begin(Kind::Call, request);
        let message = with_headers(self.message(request, args, span, false)?, span);
        let mut client = self.calls.clone();
        let answer = tokio::select! {
            biased;
            answer = client.execute_tool(message) => answer,
            reason = self.broken() => return Err(died(reason)),
        };
        match answer {
            Ok(answer) => {
                self.refusals.store(0, Ordering::Relaxed);
                self.fits(decode::response(&request.tool, answer.into_inner())?)
            }
            Err(status) => Err(self.failed(&status, "ExecuteTool")),
        }
    }

    /// Rejects a result that is above the limit: the message around it may be larger.
    pub(super) fn fits(&self, result: Payload) -> Result<Payload, CallError> {
        if result.bytes.len() <= self.limit {
            return Ok(result);
        }
        Err(CallError::TooLarge {
            direction: Direction::Reply,
            size: result.bytes.len() as u64,
            limit: self.limit as u64,
        })
    }
}

/// Returns the error of a call that was cancelled before it was sent.
pub(super) fn cancelled() -> CallError {
    let message = "the call was cancelled before it was sent";
    CallError::Tool(Box::new(ToolError::new(ErrorCode::Cancelled, message)))
}
