//! Messages to and from the types of `snakepit-core`.

mod description;

use prost::Message as _;
use snakepit_core::{ErrorCode, TelemetryControl, ToolError, ToolInfo, WorkerInfo};

use crate::frame::MAX_HEAD;
use crate::pb;

pub use description::description;

/// Characters kept of the name of a runtime or a module.
const MAX_NAME: usize = 256;

/// Causes kept of an error: a peer cannot make us nest without end.
const MAX_CAUSES: usize = 16;

/// Bytes of a text of an error that many calls share.
const MAX_BRIEF: usize = 256;

/// Bytes kept of a text of an error that is too long for a head.
const MAX_TEXT: usize = 64 << 10;

/// Notes kept of an error.
const MAX_NOTES: usize = 100;

/// When a worker reports an error.
#[derive(Clone, Copy)]
enum Moment {
    /// As the answer to a call.
    Call,
    /// In place of its description.
    Start,
}

impl Moment {
    /// Returns whether a worker may give the code: those of the input and output of a call, of its
    /// tool, and of sessions and host tools, whose errors a tool may let pass; at the start those of
    /// the adapter. The codes of pools and workers are the host's own, and it acts on them.
    const fn allows(self, code: ErrorCode) -> bool {
        match self {
            Self::Call => matches!(code.as_str().as_bytes()[2], b'2' | b'3' | b'7' | b'8'),
            Self::Start => matches!(code, ErrorCode::AdapterFailed | ErrorCode::NoTools),
        }
    }

    /// What any other code counts as.
    const fn otherwise(self) -> ErrorCode {
        match self {
            Self::Call => ErrorCode::ToolRaised,
            Self::Start => ErrorCode::AdapterFailed,
        }
    }
}

/// A worker's answer to a call that failed. A code that is unknown, or that only the host may give, counts as an exception of the tool.
pub fn tool_error(message: pb::ToolError) -> ToolError {
    tool_error_at(message, Moment::Call, 0)
}

/// The code of a worker's answer to a call that failed, as in [`tool_error`].
pub(crate) fn code_of_call(code: &str) -> ErrorCode {
    let claimed = ErrorCode::parse(code);
    let allowed = claimed.filter(|code| Moment::Call.allows(*code));
    allowed.unwrap_or(Moment::Call.otherwise())
}

/// A worker's error in place of its description. A code that is none of the adapter's counts as a failure to load.
pub fn start_error(message: pb::ToolError) -> ToolError {
    tool_error_at(message, Moment::Start, 0)
}

fn tool_error_at(message: pb::ToolError, moment: Moment, depth: usize) -> ToolError {
    let claimed = ErrorCode::parse(&message.code);
    let code = claimed.filter(|code| moment.allows(*code));
    let mut error = ToolError::new(code.unwrap_or(moment.otherwise()), message.message);
    error.type_name = message.r#type;
    error.module = message.module;
    error.traceback = message.traceback;
    error.notes = message.notes;
    if error.notes.len() > MAX_NOTES {
        let more = error.notes.len() - MAX_NOTES;
        error.notes.truncate(MAX_NOTES);
        error.notes.shrink_to_fit();
        error.notes.push(format!("{more} more notes are left out"));
    }
    if let (Some(claimed), None) = (claimed, code) {
        let note = format!("the worker gave the code {claimed}, which only the host may give");
        error.notes.push(note);
    }
    error.file = message.file;
    error.line = message.line;
    error.source_line = message.source;
    error.help = message.help;
    error.path = message.path;
    if depth < MAX_CAUSES {
        error.cause = message
            .cause
            .map(|cause| Box::new(tool_error_at(*cause, moment, depth + 1)));
    }
    error
}

/// The error without what may be long: for the other calls that share it.
pub(crate) fn brief(error: &ToolError) -> ToolError {
    let mut brief = ToolError::new(error.code, clip(&error.message, MAX_BRIEF));
    brief.type_name = clip(&error.type_name, MAX_BRIEF);
    brief.module = clip(&error.module, MAX_BRIEF);
    brief.file = clip(&error.file, MAX_BRIEF);
    brief.line = error.line;
    brief.help = clip(&error.help, MAX_BRIEF);
    brief
}

/// The beginning of a text, in bytes.
fn clip(text: &str, limit: usize) -> String {
    beginning(text, limit).to_owned()
}

/// The same without a copy.
pub(crate) fn beginning(text: &str, limit: usize) -> &str {
    let mut ends = (0..=limit.min(text.len())).rev();
    let end = ends.find(|at| text.is_char_boundary(*at));
    &text[..end.unwrap_or(0)]
}

/// The settings of telemetry for a worker.
pub fn telemetry_settings(settings: &TelemetryControl) -> pb::TelemetrySettings {
    let levels = settings.levels.iter();
    pb::TelemetrySettings {
        enabled: settings.enabled,
        sampling: settings.sampling,
        allow: settings.allow.clone(),
        deny: settings.deny.clone(),
        levels: levels
            .map(|(name, level)| (name.clone(), u32::from(*level)))
            .collect(),
    }
}

/// The same for the environment of a worker, see [`TELEMETRY`](crate::worker_env::TELEMETRY).
pub fn telemetry_variable(settings: &TelemetryControl) -> String {
    let message = telemetry_settings(settings).encode_to_vec();
    message.iter().map(|byte| format!("{byte:02x}")).collect()
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
        span: None,
    }
}

/// The head of a frame that carries an error. What does not fit in a head is left out.
pub fn tool_error_head(error: ToolError) -> Vec<u8> {
    let message = tool_error_message(error);
    let head = message.encode_to_vec();
    if head.len() <= MAX_HEAD {
        return head;
    }
    let short = |text: String| clip(&text, MAX_TEXT);
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

/// What a worker said of itself. A schema that is not JSON becomes `null`; names of runtimes and modules are cut.
pub fn worker_info(message: pb::DescribeResponse) -> WorkerInfo {
    let mut info = WorkerInfo::default();
    info.runtime = short_name(&message.runtime);
    info.runtime_version = short_name(&message.runtime_version);
    info.gil_reenabled_by =
        Some(short_name(&message.gil_reenabled_by)).filter(|module| !module.is_empty());
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

/// The beginning of a name that a peer gave.
pub(crate) fn short_name(name: &str) -> String {
    name.chars().take(MAX_NAME).collect()
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
    fn a_worker_gives_no_code_of_the_host() {
        for code in ErrorCode::ALL {
            let message = || pb::ToolError {
                code: code.as_str().to_owned(),
                cause: Some(Box::new(pb::ToolError {
                    code: "SP5001".into(),
                    ..Default::default()
                })),
                ..Default::default()
            };
            let error = tool_error(message());
            let own = matches!(code.as_str().as_bytes()[2], b'2' | b'3' | b'7' | b'8');
            assert_eq!(error.code == *code, own, "{code}");
            assert_eq!(error.notes.is_empty(), own, "{code}");
            assert!(own || error.code == ErrorCode::ToolRaised, "{code}");
            assert_eq!(error.cause.unwrap().code, ErrorCode::ToolRaised);
            let error = start_error(message());
            let own = matches!(code, ErrorCode::AdapterFailed | ErrorCode::NoTools);
            assert_eq!(error.code == *code, own, "{code}");
            assert!(own || error.code == ErrorCode::AdapterFailed, "{code}");
        }
    }

    #[test]
    fn notes_are_counted() {
        let error = tool_error(pb::ToolError {
            notes: vec![String::new(); 500_000],
            ..Default::default()
        });
        assert_eq!(error.notes.len(), MAX_NOTES + 1);
        assert_eq!(error.notes[MAX_NOTES], "499900 more notes are left out");
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
