//! Conversion of messages to and from the types of `snakepit-core`.

mod description;

use prost::Message as _;
use snakepit_core::error::{ErrorCode, ToolError};
use snakepit_core::printable::shortened;
use snakepit_core::worker::{TelemetryControl, ToolInfo, WorkerInfo};

use crate::frame::MAX_HEAD;
use crate::pb;

pub use description::description;

/// Largest number of characters kept of the name of a runtime or a module.
const MAX_NAME: usize = 256;

/// Largest number of causes kept of an error, so that a peer cannot cause unlimited nesting.
const MAX_CAUSES: usize = 16;

/// Largest size in bytes of a text of an error that many calls share.
const MAX_BRIEF: usize = 256;

/// Largest size in bytes kept of a text of an error that is too long for a head.
const MAX_TEXT: usize = 64 << 10;

/// Largest number of notes kept of an error.
const MAX_NOTES: usize = 100;

/// The occasion on which a worker reports an error.
#[derive(Clone, Copy)]
enum Moment {
    /// The worker answers a call.
    Call,
    /// The worker reports that it cannot start, instead of describing itself.
    Start,
}

impl Moment {
    /// Returns `true` if a worker may report the code. For a call these are the codes of its input
    /// and output, of its tool, and of sessions and host tools, whose errors a tool may propagate.
    /// At the start these are the codes of the adapter. The codes of pools and workers belong to
    /// the host, which acts on them.
    const fn allows(self, code: ErrorCode) -> bool {
        match self {
            Self::Call => matches!(code.as_str().as_bytes()[2], b'2' | b'3' | b'7' | b'8'),
            Self::Start => matches!(code, ErrorCode::AdapterFailed | ErrorCode::NoTools),
        }
    }

    /// Returns the code that replaces any other code.
    const fn otherwise(self) -> ErrorCode {
        match self {
            Self::Call => ErrorCode::ToolRaised,
            Self::Start => ErrorCode::AdapterFailed,
        }
    }
}

/// Converts a worker's error answer to a call. A code that is unknown, or that only the host may
/// report, is replaced by that of an exception of the tool.
pub fn tool_error(message: pb::ToolError) -> ToolError {
    tool_error_at(message, Moment::Call, 0)
}

/// Returns the code of a worker's error answer to a call, as in [`tool_error`].
pub(crate) fn code_of_call(code: &str) -> ErrorCode {
    let claimed = ErrorCode::parse(code);
    let allowed = claimed.filter(|code| Moment::Call.allows(*code));
    allowed.unwrap_or(Moment::Call.otherwise())
}

/// Converts a worker's error instead of its description. A code that does not belong to the adapter
/// is replaced by that of a failure to load.
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

/// Returns a copy of the error without long texts, for the other calls that share it.
pub(crate) fn brief(error: &ToolError) -> ToolError {
    let mut brief = ToolError::new(error.code, shortened(&error.message, MAX_BRIEF));
    brief.type_name = shortened(&error.type_name, MAX_BRIEF).into_owned();
    brief.module = shortened(&error.module, MAX_BRIEF).into_owned();
    brief.file = shortened(&error.file, MAX_BRIEF).into_owned();
    brief.line = error.line;
    brief.help = shortened(&error.help, MAX_BRIEF).into_owned();
    brief
}

/// Returns the beginning of a text, at most `limit` bytes.
pub(crate) fn beginning(text: &str, limit: usize) -> &str {
    let mut ends = (0..=limit.min(text.len())).rev();
    let end = ends.find(|at| text.is_char_boundary(*at));
    &text[..end.unwrap_or(0)]
}

/// Converts telemetry settings into the message for a worker.
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

/// Encodes telemetry settings for the environment of a worker, see
/// [`TELEMETRY`](crate::worker_env::TELEMETRY).
pub fn telemetry_variable(settings: &TelemetryControl) -> String {
    let message = telemetry_settings(settings).encode_to_vec();
    message.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Converts an error into its message.
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

/// Encodes the head of a frame that carries an error. Parts that do not fit into a head are
/// omitted.
pub fn tool_error_head(error: ToolError) -> Vec<u8> {
    let message = tool_error_message(error);
    let head = message.encode_to_vec();
    if head.len() <= MAX_HEAD {
        return head;
    }
    let short = |text: String| shortened(&text, MAX_TEXT).into_owned();
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

/// Converts a worker's description. A schema that is not JSON becomes `null`; names of runtimes and
/// modules are truncated.
pub fn worker_info(message: pb::DescribeResponse) -> WorkerInfo {
    let mut info = WorkerInfo::default();
    info.runtime = short_name(&message.runtime);
    info.runtime_version = short_name(&message.runtime_version);
    info.gil_reenabled_by =
        Some(short_name(&message.gil_reenabled_by)).filter(|module| !module.is_empty());
    info.pid = (message.pid != 0).then_some(message.pid);
    info.slots = u16::try_from(message.slots).unwrap_or(u16::MAX);
    // Only a worker that reports its slots also reports the state of its GIL.
    info.gil_enabled = (message.slots > 0).then_some(message.gil_enabled);
    let tools = message.tools.into_iter();
    let (checks, tools): (Vec<_>, Vec<_>) = tools.partition(|tool| tool.health_check);
    info.tools = tools.into_iter().map(tool_info).collect();
    info.health_checks = checks.into_iter().map(|tool| tool.name).collect();
    info
}

/// Returns the beginning of a name that a peer has chosen. A mark, at which secrets are found,
/// shows that it was cut.
pub(crate) fn short_name(name: &str) -> String {
    match name.char_indices().nth(MAX_NAME) {
        Some((end, _)) => format!("{}…", &name[..end]),
        None => name.to_owned(),
    }
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
