//! Conversion of errors to gRPC statuses: the code, the message, and the whole error in
//! `grpc-status-details-bin`.

use prost::Message as _;
use snakepit_core::error::{Error, ErrorCode, ToolError};
use snakepit_core::printable;
use snakepit_core::state::StateError;
use tonic::{Code, Status};

use crate::convert::tool_error_message;
use crate::pb;

/// Largest size of the details in a trailer, in bytes. Clients reject trailers of more than 8 KiB,
/// and base64 adds a third.
const MAX_DETAILS: usize = 3 << 10;

/// Largest size of a message in a trailer, in bytes. It is percent-encoded there.
const MAX_MESSAGE: usize = 1 << 10;

/// `google.rpc.Status`, as gRPC libraries expect it in `grpc-status-details-bin`.
#[derive(Clone, PartialEq, prost::Message)]
struct RichStatus {
    #[prost(int32, tag = "1")]
    code: i32,
    #[prost(string, tag = "2")]
    message: String,
    #[prost(message, repeated, tag = "3")]
    details: Vec<prost_types::Any>,
}

/// Type URL of the details.
const TOOL_ERROR_URL: &str = "type.googleapis.com/snakepit.bridge.ToolError";

/// The reason a request fails.
pub(super) type Fault = Box<ToolError>;

/// Converts an error.
pub(super) fn from_tool(error: Fault) -> Status {
    let code = code_of(error.code);
    let text = shortened(&error.to_string(), MAX_MESSAGE);
    let rich = RichStatus {
        code: code.into(),
        message: text.clone(),
        details: vec![prost_types::Any {
            type_url: TOOL_ERROR_URL.to_owned(),
            value: details(*error),
        }],
    };
    Status::with_details(code, text, rich.encode_to_vec().into())
}

/// Returns the error in the details of a status. `None` if there is none.
pub(super) fn details_of(status: &Status) -> Option<pb::ToolError> {
    let rich = RichStatus::decode(status.details()).ok()?;
    let error = rich
        .details
        .iter()
        .find(|it| it.type_url == TOOL_ERROR_URL)?;
    pb::ToolError::decode(error.value.as_slice()).ok()
}

/// Converts an error of the state.
pub(super) fn from_state(error: StateError) -> Status {
    from_tool(state_error(error))
}

/// Converts an error of the state into an error with the text that clients of the wire expect.
pub(super) fn state_error(error: StateError) -> Fault {
    let words = match &error {
        StateError::UnknownSession(id) => Some(format!("Session not found: {}", short_name(id))),
        _ => None,
    };
    let mut converted = ToolError::from(error);
    if let Some(words) = words {
        converted.message = words;
    }
    converted.into()
}

/// Converts the error of a failed call into the error that is sent.
pub(super) fn call_error(error: Error) -> Fault {
    match error {
        Error::Tool(error) => error,
        Error::State(error) => state_error(*error),
        other => {
            let mut converted = ToolError::new(other.code(), chain(&other));
            if other.is_retryable() {
                converted.help = "the call has not run; try again".to_owned();
            }
            converted.into()
        }
    }
}

/// Returns the error of a malformed request.
pub(super) fn invalid(message: impl Into<String>) -> Fault {
    ToolError::new(ErrorCode::InvalidRequest, message).into()
}

/// Returns the status of a request that a limit of the server rejects.
pub(super) fn exhausted(code: ErrorCode, message: impl Into<String>, help: &str) -> Status {
    let mut error = ToolError::new(code, message);
    help.clone_into(&mut error.help);
    from_tool(error.into())
}

/// Returns the text of an error with all its causes.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

/// Encodes the error so that it fits into a trailer; the least important parts are omitted first.
fn details(error: ToolError) -> Vec<u8> {
    let mut message = tool_error_message(error);
    let steps: [fn(&mut pb::ToolError); 4] = [
        |it| it.traceback.clear(),
        |it| (it.cause, it.notes) = (None, Vec::new()),
        |it| (it.source, it.file) = (String::new(), String::new()),
        |it| {
            it.message = shortened(&it.message, MAX_MESSAGE);
            it.help = shortened(&it.help, 512);
            it.r#type = shortened(&it.r#type, 256);
            it.module = shortened(&it.module, 256);
        },
    ];
    for step in steps {
        if message.encoded_len() <= MAX_DETAILS {
            break;
        }
        step(&mut message);
    }
    message.encode_to_vec()
}

/// Returns at most `limit` bytes of a text, with a mark if it was truncated.
pub(super) fn shortened(text: &str, limit: usize) -> String {
    printable::shortened(text, limit).into_owned()
}

/// Returns a name, short enough for a message.
pub(super) fn short_name(name: impl AsRef<str>) -> String {
    shortened(name.as_ref(), 128)
}

const fn code_of(code: ErrorCode) -> Code {
    match code {
        ErrorCode::UnknownTool
        | ErrorCode::UnknownPool
        | ErrorCode::UnknownSession
        | ErrorCode::SessionExpired
        | ErrorCode::UnknownVariable
        | ErrorCode::UnknownProgram
        | ErrorCode::UnknownHostTool
        | ErrorCode::UnknownStream => Code::NotFound,
        ErrorCode::MissingArgument
        | ErrorCode::WrongArgument
        | ErrorCode::UnknownArgument
        | ErrorCode::InvalidPayload
        | ErrorCode::InvalidArguments
        | ErrorCode::InvalidState
        | ErrorCode::InvalidMetadata
        | ErrorCode::WrongVariableType
        | ErrorCode::InvalidConstraint
        | ErrorCode::InvalidToolName
        | ErrorCode::InvalidRequest => Code::InvalidArgument,
        ErrorCode::SessionExists | ErrorCode::VariableExists | ErrorCode::DuplicateTool => {
            Code::AlreadyExists
        }
        ErrorCode::StaleSession | ErrorCode::StaleVersion => Code::Aborted,
        ErrorCode::ConstraintViolated
        | ErrorCode::AffinityLost
        | ErrorCode::Deadlock
        | ErrorCode::TooDeep
        | ErrorCode::NotRunning => Code::FailedPrecondition,
        ErrorCode::QuotaExceeded
        | ErrorCode::PayloadTooLarge
        | ErrorCode::Saturated
        | ErrorCode::AffinityBusy
        | ErrorCode::AffinityFull
        | ErrorCode::TooManyTools
        | ErrorCode::TooManyRequests => Code::ResourceExhausted,
        ErrorCode::QueueTimeout | ErrorCode::CallTimeout | ErrorCode::HostToolTimeout => {
            Code::DeadlineExceeded
        }
        ErrorCode::Closed
        | ErrorCode::StateClosed
        | ErrorCode::NotReady
        | ErrorCode::StartGaveUp
        | ErrorCode::StartFailed
        | ErrorCode::Quarantined
        | ErrorCode::CircuitOpen
        | ErrorCode::WorkerDied => Code::Unavailable,
        ErrorCode::Cancelled => Code::Cancelled,
        ErrorCode::WrongCallKind => Code::Unimplemented,
        _ => Code::Internal,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn details_carry_the_error() {
        let mut error = ToolError::new(ErrorCode::ToolRaised, "bad");
        error.type_name = "ValueError".into();
        let status = from_tool(error.into());
        assert_eq!(status.code(), Code::Internal);
        assert_eq!(status.message(), "ValueError: bad");
        let rich = RichStatus::decode(status.details()).unwrap();
        assert_eq!(rich.details[0].type_url, TOOL_ERROR_URL);
        let message = pb::ToolError::decode(rich.details[0].value.as_slice()).unwrap();
        assert_eq!(
            (message.code.as_str(), message.r#type.as_str()),
            ("SP3001", "ValueError")
        );
    }

    #[test]
    fn details_fit_in_a_trailer_however_large_the_error() {
        let mut error = ToolError::new(ErrorCode::ToolRaised, "ä".repeat(100_000));
        error.traceback = "line\n".repeat(100_000);
        error.help = "x".repeat(100_000);
        error.module = "m".repeat(100_000);
        error.notes = vec!["n".repeat(10_000); 100];
        error.cause = Some(Box::new(error.clone()));
        let status = from_tool(error.into());
        assert!(
            status.details().len() < 2 * MAX_DETAILS,
            "{}",
            status.details().len()
        );
        assert!(status.message().len() <= MAX_MESSAGE + "…".len());
        let rich = RichStatus::decode(status.details()).unwrap();
        let message = pb::ToolError::decode(rich.details[0].value.as_slice()).unwrap();
        assert_eq!(message.code, "SP3001");
    }
}
