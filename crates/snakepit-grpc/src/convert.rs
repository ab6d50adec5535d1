//! Messages to and from the types of `snakepit-core`.

use prost::Message as _;
use snakepit_core::{ErrorCode, ToolError, ToolInfo, WorkerInfo};

use crate::frame::MAX_HEAD;
use crate::pb;

/// Causes kept of an error: a peer cannot make us nest without end.
const MAX_CAUSES: usize = 16;

/// Bytes kept of a text of an error that is too long for a head.
const MAX_TEXT: usize = 64 << 10;

/// A worker's error. An unknown code counts as an exception of the tool.
pub fn tool_error(message: pb::ToolError) -> ToolError {
    tool_error_at(message, 0)
}

fn tool_error_at(message: pb::ToolError, depth: usize) -> ToolError {
    let code = ErrorCode::parse(&message.code).unwrap_or(ErrorCode::ToolRaised);
    let mut error = ToolError::new(code, message.message);
    error.type_name = message.r#type;
    error.module = message.module;
    error.traceback = message.traceback;
    error.notes = message.notes;
    error.file = message.file;
    error.line = message.line;
    error.source_line = message.source;
    error.help = message.help;
    error.path = message.path;
    if depth < MAX_CAUSES {
        error.cause = message
            .cause
            .map(|cause| Box::new(tool_error_at(*cause, depth + 1)));
    }
    error
}

/// The message for an error.
pub fn tool_error_message(error: ToolError) -> pb::ToolError {
    pb::ToolError {
        code: error.code.as_str().to_owned(),
        r#type: error.type_name,
        module: error.module,
        message: error.message,
        traceback: error.traceback,
        notes: error.notes,
        cause: error
            .cause
            .map(|cause| Box::new(tool_error_message(*cause))),
        file: error.file,
        line: error.line,
        source: error.source_line,
        help: error.help,
        path: error.path,
    }
}

/// The head of a frame that carries an error. What does not fit in a head is left out.
pub fn tool_error_head(error: ToolError) -> Vec<u8> {
    let message = tool_error_message(error);
    let head = message.encode_to_vec();
    if head.len() <= MAX_HEAD {
        return head;
    }
    let short = |mut text: String| {
        if text.len() > MAX_TEXT {
            let end = (0..=MAX_TEXT).rev().find(|at| text.is_char_boundary(*at));
            text.truncate(end.unwrap_or(0));
        }
        text
    };
    let message = pb::ToolError {
        code: message.code,
        r#type: short(message.r#type),
        message: short(message.message),
        help: short(message.help),
        path: short(message.path),
        ..pb::ToolError::default()
    };
    message.encode_to_vec()
}

/// What a worker said of itself. A schema that is not JSON becomes `null`.
pub fn worker_info(message: pb::DescribeResponse) -> WorkerInfo {
    let mut info = WorkerInfo::default();
    info.runtime = message.runtime;
    info.runtime_version = message.runtime_version;
    info.gil_reenabled_by = Some(message.gil_reenabled_by).filter(|module| !module.is_empty());
    info.pid = (message.pid != 0).then_some(message.pid);
    info.slots = u16::try_from(message.slots).unwrap_or(u16::MAX);
    // Only a worker that tells its slots tells of its lock too.
    info.gil_enabled = (message.slots > 0).then_some(message.gil_enabled);
    let tools = message.tools.into_iter();
    let (checks, tools): (Vec<_>, Vec<_>) = tools.partition(|tool| tool.health_check);
    info.tools = tools.into_iter().map(tool_info).collect();
    info.health_checks = checks.into_iter().map(|tool| tool.name).collect();
    info
}

fn tool_info(message: pb::ToolSpec) -> ToolInfo {
    let mut info = ToolInfo::default();
    info.name = message.name;
    info.description = message.description;
    info.parameters = serde_json::from_str(&message.parameters_schema).unwrap_or_default();
    info.returns = serde_json::from_str(&message.returns_schema).unwrap_or_default();
    info.streaming = message.supports_streaming;
    info.is_async = message.is_async;
    info.file = message.file;
    info.line = message.line;
    info.signature = message.signature;
    info
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_survives_both_ways() {
        let mut error = ToolError::new(ErrorCode::WrongArgument, "bad");
        error.type_name = "ValueError".into();
        error.notes = vec!["note".into()];
        error.line = 7;
        error.path = "xs[1]".into();
        error.cause = Some(Box::new(ToolError::new(ErrorCode::ToolRaised, "inner")));
        assert_eq!(tool_error(tool_error_message(error.clone())), error);
    }

    #[test]
    fn odd_fields_become_defaults() {
        let unknown = pb::ToolError {
            code: "SP9999".into(),
            ..Default::default()
        };
        assert_eq!(tool_error(unknown).code, ErrorCode::ToolRaised);
        let spec = pb::ToolSpec {
            parameters_schema: "{oops".into(),
            ..Default::default()
        };
        let tools = vec![spec];
        let info = worker_info(pb::DescribeResponse {
            tools,
            ..Default::default()
        });
        assert!(info.tools[0].parameters.is_null() && info.tools[0].returns.is_null());
        assert_eq!(info.pid, None);
        assert_eq!((info.slots, info.gil_enabled), (0, None));
    }

    #[test]
    fn a_worker_tells_its_slots_and_whether_they_take_turns() {
        for lock in [true, false] {
            let info = worker_info(pb::DescribeResponse {
                slots: 16,
                gil_enabled: lock,
                ..Default::default()
            });
            assert_eq!((info.slots, info.gil_enabled), (16, Some(lock)));
        }
    }
}
