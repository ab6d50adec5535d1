//! The status of a failed rpc as the error of a call.

use std::error::Error as _;
use std::sync::atomic::Ordering;

use snakepit_core::error::{Direction, ErrorCode, ToolError};
use snakepit_core::printable::shortened;
use snakepit_core::worker::{CallError, WorkerExit};
use tonic::{Code, Status};

use super::GrpcWorker;
use crate::convert;
use crate::pb;
use crate::service::status;

/// The beginning of the reason if a call has lost its connection.
pub const LOST: &str = "lost its connection";

/// Longest text of a status in a message, in bytes.
const MAX_TEXT: usize = 2048;

/// Number of calls in a row that a worker may refuse before it is given up. The pool sends each of
/// them again.
const MAX_REFUSALS: u32 = 5;

impl GrpcWorker {
    /// Converts the status of a call that was sent. A call whose connection is lost ends with its
    /// worker, since the tool may still run.
    pub(super) fn failed(&self, status: &Status, rpc: &str) -> CallError {
        if refused(status) {
            let times = self.refusals.fetch_add(1, Ordering::Relaxed) + 1;
            if times >= MAX_REFUSALS {
                let slots = self.info.slots;
                self.cut(&format!(
                    "has refused {times} calls in a row (HTTP/2 REFUSED_STREAM): its server must \
                     allow more streams than the {slots} slots of the worker"
                ));
            }
            return CallError::NotBegun;
        }
        self.refusals.store(0, Ordering::Relaxed);
        if status.source().is_some() {
            let reason = format!("{LOST}: {}", told(status));
            self.cut(&reason);
            return died(reason);
        }
        if let Some(size) = too_large(status) {
            return CallError::TooLarge {
                direction: Direction::Reply,
                size,
                limit: self.limit as u64,
            };
        }
        CallError::Tool(Box::new(of_call(status, rpc)))
    }
}

/// Returns the error of a call whose worker is gone.
pub(super) fn died(reason: String) -> CallError {
    let mut exit = WorkerExit::default();
    exit.reason = reason;
    CallError::Died {
        exit: Box::new(exit),
        ambiguous: true,
    }
}

/// Returns true if the worker's HTTP/2 layer has refused a call before anything of it ran.
fn refused(status: &Status) -> bool {
    let mut cause = status.source();
    while let Some(error) = cause {
        if let Some(error) = error.downcast_ref::<h2::Error>() {
            return error.reason() == Some(h2::Reason::REFUSED_STREAM);
        }
        cause = error.source();
    }
    false
}

/// Returns the size of an answer that is above the limit. tonic reports it in the text alone.
fn too_large(status: &Status) -> Option<u64> {
    let text = status.message();
    let (_, rest) = text.split_once("decoded message length too large: found ")?;
    (status.code() == Code::OutOfRange).then_some(())?;
    rest.split(' ').next()?.parse().ok()
}

/// Returns the error that the details of a status contain.
pub(super) fn reported(status: &Status) -> Option<pb::ToolError> {
    status::details_of(status)
}

/// Describes a status in one line.
pub(super) fn told(status: &Status) -> String {
    let text = shortened(status.message(), MAX_TEXT);
    format!("{}: {text}", name(status.code()))
}

fn of_call(status: &Status, rpc: &str) -> ToolError {
    if let Some(error) = reported(status) {
        return convert::tool_error(error);
    }
    let text = shortened(status.message(), MAX_TEXT);
    match status.code() {
        Code::Unimplemented => {
            let message = format!("the worker does not implement `{rpc}`: {text}");
            let mut error = ToolError::new(ErrorCode::WrongCallKind, message);
            error.help = "implement it in the worker, or call the tool in another way".to_owned();
            error
        }
        Code::ResourceExhausted => {
            let message = format!("the worker has refused the call: {text}");
            let mut error = ToolError::new(ErrorCode::PayloadTooLarge, message);
            error.help =
                "raise the limit of received messages of the worker's gRPC server".to_owned();
            error
        }
        Code::Cancelled => ToolError::new(ErrorCode::Cancelled, text),
        // Workers of the original library put a description of the exception there.
        code => super::decode::failure(&text, name(code)),
    }
}

/// Returns the name of a code as the gRPC specification spells it.
const fn name(code: Code) -> &'static str {
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "CANCELLED",
        Code::Unknown => "UNKNOWN",
        Code::InvalidArgument => "INVALID_ARGUMENT",
        Code::DeadlineExceeded => "DEADLINE_EXCEEDED",
        Code::NotFound => "NOT_FOUND",
        Code::AlreadyExists => "ALREADY_EXISTS",
        Code::PermissionDenied => "PERMISSION_DENIED",
        Code::ResourceExhausted => "RESOURCE_EXHAUSTED",
        Code::FailedPrecondition => "FAILED_PRECONDITION",
        Code::Aborted => "ABORTED",
        Code::OutOfRange => "OUT_OF_RANGE",
        Code::Unimplemented => "UNIMPLEMENTED",
        Code::Internal => "INTERNAL",
        Code::Unavailable => "UNAVAILABLE",
        Code::DataLoss => "DATA_LOSS",
        Code::Unauthenticated => "UNAUTHENTICATED",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_of_the_worker_is_an_error_of_its_tool() {
        let error = of_call(&Status::internal("no luck"), "ExecuteTool");
        assert_eq!(error.code, ErrorCode::ToolRaised);
        assert_eq!(
            (error.type_name.as_str(), error.message.as_str()),
            ("INTERNAL", "no luck")
        );
        let error = of_call(&Status::unimplemented("what"), "ExecuteTool");
        assert_eq!(error.code, ErrorCode::WrongCallKind);
        let json = r#"{"type": "ValueError", "message": "bad", "traceback": "at home"}"#;
        let error = of_call(&Status::internal(json), "ExecuteTool");
        assert_eq!(
            (error.type_name.as_str(), error.message.as_str()),
            ("ValueError", "bad")
        );
        assert_eq!(error.traceback, "at home");
        let status = status::from_tool(ToolError::new(ErrorCode::UnknownTool, "no `x`").into());
        assert_eq!(of_call(&status, "ExecuteTool").code, ErrorCode::UnknownTool);
    }

    #[test]
    fn the_size_of_a_large_answer_is_read_from_tonics_text() {
        let text = "Error, decoded message length too large: found 70 bytes, the limit is: 9 bytes";
        assert_eq!(too_large(&Status::out_of_range(text)), Some(70));
        assert_eq!(too_large(&Status::internal(text)), None);
        assert_eq!(too_large(&Status::out_of_range("too large")), None);
    }
}
