//! A line of an executable about one call.

use serde_json::{Map, Value as Json};
use snakepit::{ErrorCode, ToolError};

/// Longest part of a line that an error shows, in bytes.
const SHOWN: usize = 200;

/// A line about one call.
#[derive(Debug)]
pub(super) enum LineReply {
    Chunk(Json),
    /// The end of a stream.
    End,
    Result(Json),
    Error(ToolError),
}

impl LineReply {
    /// Reads a line. `None` if it has no number of a call. A line with a number that is no JSON, or
    /// has no answer, is the failure of that call: nothing else would end it.
    pub(super) fn read(line: &str) -> Option<(u64, Self)> {
        match serde_json::from_str(line) {
            Ok(Json::Object(mut message)) => {
                let id = message.get("id").and_then(Json::as_u64)?;
                let reply = Self::answer(&mut message).unwrap_or_else(|| {
                    let reason = "has none of `result`, `chunk`, `end` and `error`";
                    Self::unusable(line, reason)
                });
                Some((id, reply))
            }
            Ok(_) => None,
            Err(error) => Some((number(line)?, Self::unusable(line, &error.to_string()))),
        }
    }

    fn answer(message: &mut Map<String, Json>) -> Option<Self> {
        // A line with an error and a result is a failure, which must not be lost.
        if let Some(error) = message.remove("error").filter(|error| !error.is_null()) {
            return Some(Self::Error(failure(&error)));
        }
        if let Some(result) = message.remove("result") {
            return Some(Self::Result(result));
        }
        if let Some(chunk) = message.remove("chunk") {
            return Some(Self::Chunk(chunk));
        }
        let end = message.get("end") == Some(&Json::Bool(true));
        end.then_some(Self::End)
    }

    fn unusable(line: &str, reason: &str) -> Self {
        let line = snakepit_core::printable::shortened(line, SHOWN);
        let message = format!("the answer of the program is unusable: {reason}: {line}");
        let mut error = ToolError::new(ErrorCode::InvalidPayload, message);
        error.help =
            "write a line of JSON with `id` and `result`, `chunk`, `end` or `error`".into();
        Self::Error(error)
    }
}

/// Returns the number of the call of a line that begins with `{` and is no JSON, such as one with a
/// bare `NaN`.
fn number(line: &str) -> Option<u64> {
    let (_, rest) = line.trim_start().strip_prefix('{')?.split_once("\"id\"")?;
    let rest = rest.trim_start().strip_prefix(':')?.trim_start();
    let end = rest.find(|c: char| !c.is_ascii_digit())?;
    rest[..end].parse().ok()
}

fn failure(error: &Json) -> ToolError {
    let entry = |name: &str| error.get(name).and_then(Json::as_str).map(str::to_owned);
    let message = entry("message").or_else(|| error.as_str().map(str::to_owned));
    let message = message.unwrap_or_else(|| error.to_string());
    let code = entry("code").and_then(|code| ErrorCode::parse(&code));
    let mut told = ToolError::new(code.unwrap_or(ErrorCode::ToolRaised), message);
    told.type_name = entry("type").unwrap_or_default();
    told.traceback = entry("traceback").unwrap_or_default();
    told.help = entry("help").unwrap_or_default();
    told
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the call and the code of a line that is a failure.
    fn failed(line: &str) -> (u64, ErrorCode) {
        match LineReply::read(line) {
            Some((id, LineReply::Error(error))) => (id, error.code),
            other => panic!("{line}: {other:?}"),
        }
    }

    #[test]
    fn a_line_that_cannot_be_used_ends_its_call() {
        for line in [
            r#"{"id":1,"result":NaN}"#,
            r#"{ "id" : 1, "result": [1, Infinity]}"#,
            r#"{"result": -NaN, "id": 1}"#,
            r#"{"id":1,"result":{"a":1}"#,
            r#"{"id":1}"#,
            r#"{"id":1,"end":false}"#,
        ] {
            assert_eq!(failed(line), (1, ErrorCode::InvalidPayload), "{line}");
        }
        let both = r#"{"id":7,"result":1,"error":"no"}"#;
        assert_eq!(failed(both), (7, ErrorCode::ToolRaised));
    }

    #[test]
    fn a_line_without_a_call_is_output() {
        for line in [
            "not json",
            "",
            "17",
            "{}",
            "{\"id\":-1}",
            "{\"id\":x",
            "{id:1",
            "{\"id\":1",
        ] {
            assert!(LineReply::read(line).is_none(), "{line}");
        }
        assert!(matches!(
            LineReply::read("{\"id\":1,\"result\":null,\"error\":null}"),
            Some((1, LineReply::Result(Json::Null)))
        ));
    }
}
