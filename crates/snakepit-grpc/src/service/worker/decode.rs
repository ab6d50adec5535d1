//! The answers of a worker on gRPC.

use prost_types::Any;
use serde_json::Value as Json;
use snakepit_core::error::{ErrorCode, ToolError};
use snakepit_core::printable::shortened;
use snakepit_core::value::{DataFrame, Payload, Value};
use snakepit_core::worker::CallError;

use crate::pb;
use crate::service::{any, json};
use crate::{convert, pb::Encoding};

/// Longest text of an error in bytes.
const MAX_TEXT: usize = 64 << 10;

/// Converts the answer to a call of `tool`.
///
/// # Errors
/// The error of the tool, or of an answer that cannot be read.
pub(super) fn response(tool: &str, answer: pb::ExecuteToolResponse) -> Result<Payload, CallError> {
    if !answer.success {
        let error = match answer.error {
            Some(error) => convert::tool_error(error),
            None => failure(&answer.error_message, ""),
        };
        return Err(CallError::Tool(Box::new(error)));
    }
    let read = if !answer.payload.is_empty() || answer.encoding != 0 {
        in_one_piece(answer.payload, answer.encoding)
    } else {
        apart(answer.result, answer.binary_result)
    };
    read.map_err(|problem| unreadable(tool, "result", &problem))
}

/// Converts a chunk of a stream. `None` for the empty one that only marks the end.
///
/// # Errors
/// The chunk cannot be read.
pub(super) fn chunk(tool: &str, chunk: pb::ToolChunk) -> Result<Option<Payload>, CallError> {
    if chunk.data.is_empty() && chunk.is_final {
        return Ok(None);
    }
    let read = if chunk.encoding == 0 {
        // Without an encoding: JSON, or else bytes.
        match json::parse(&chunk.data) {
            Ok(value) => encode(&value),
            Err(reason) if looks_like_json(&chunk.data) => Err(Problem::json(&chunk.data, reason)),
            Err(_) => encode(&Value::Bytes(chunk.data)),
        }
    } else {
        in_one_piece(chunk.data, chunk.encoding)
    };
    let read = read.map(Some);
    read.map_err(|problem| unreadable(tool, "chunk", &problem))
}

/// A defect of an answer, and the remedy.
struct Problem {
    message: String,
    help: &'static str,
}

impl Problem {
    fn new(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            help: "correct the worker; `snakepit conform` checks it",
        }
    }

    /// Describes text that is not JSON.
    fn json(text: &[u8], reason: String) -> Self {
        match bare_number(text) {
            Some((word, at)) => Self {
                message: format!("`{word}` at byte {at} is not JSON"),
                help: "send `null`, the text \"NaN\", or MessagePack, which has such numbers",
            },
            None => Self::new(reason),
        }
    }
}

fn in_one_piece(payload: prost::bytes::Bytes, encoding: i32) -> Result<Payload, Problem> {
    match Encoding::try_from(encoding) {
        Ok(Encoding::Msgpack) => Ok(Payload::from_msgpack(payload)),
        Ok(Encoding::Json) => match json::parse(&payload) {
            Ok(value) => encode(&value),
            Err(reason) => Err(Problem::json(&payload, reason)),
        },
        Ok(Encoding::Raw) => encode(&Value::Bytes(payload)),
        Ok(Encoding::Arrow) => encode(&Value::DataFrame(DataFrame::from_ipc(payload))),
        Ok(Encoding::Unspecified) => Err(Problem::new("its payload has no `encoding`")),
        Err(_) => Err(Problem::new(format!(
            "its `encoding` {encoding} is unknown"
        ))),
    }
}

/// Reads a result in `Any` and bytes. Bytes with a description become a list of both.
fn apart(result: Option<Any>, binary: prost::bytes::Bytes) -> Result<Payload, Problem> {
    let empty = |any: &Any| matches!(any.value.as_slice(), b"" | b"{}" | b"null");
    let described = result.filter(|any| binary.is_empty() || !empty(any));
    let value = match &described {
        Some(any) => any::read(any).map_err(|reason| Problem::json(&any.value, reason))?,
        None if binary.is_empty() => Value::Null,
        None => return encode(&Value::Bytes(binary)),
    };
    if binary.is_empty() {
        return encode(&value);
    }
    encode(&Value::List(vec![Value::Bytes(binary), value]))
}

fn encode(value: &Value) -> Result<Payload, Problem> {
    Payload::encode(value).map_err(|error| Problem::new(error.to_string()))
}

fn unreadable(tool: &str, what: &str, problem: &Problem) -> CallError {
    let message = format!(
        "a {what} of tool `{tool}` cannot be read: {}",
        problem.message
    );
    let mut error = ToolError::new(ErrorCode::InvalidPayload, message);
    error.help = problem.help.to_owned();
    CallError::Tool(Box::new(error))
}

/// Converts the text of a failure: a description of an exception in JSON, or any text. `kind` is
/// the type of the error in the second case.
pub(super) fn failure(text: &str, kind: &str) -> ToolError {
    let text = &*shortened(text, MAX_TEXT);
    let json = serde_json::from_str::<Json>(text).ok();
    let entry = |name: &str| Some(json.as_ref()?.get(name)?.as_str()?.to_owned());
    let Some((type_name, message)) = entry("type").zip(entry("message")) else {
        let text = if text.is_empty() {
            "the tool has failed without a message"
        } else {
            text
        };
        let mut error = ToolError::new(ErrorCode::ToolRaised, text);
        error.type_name = kind.to_owned();
        return error;
    };
    let mut error = ToolError::new(ErrorCode::ToolRaised, message);
    error.type_name = convert::short_name(&type_name);
    error.module = convert::short_name(&entry("module").unwrap_or_default());
    error.traceback = entry("traceback").unwrap_or_default();
    error
}

/// Returns true if bytes without an encoding are meant as JSON.
fn looks_like_json(data: &[u8]) -> bool {
    matches!(data.first(), Some(b'{' | b'[')) && bare_number(data).is_some()
}

/// Finds a number that JSON does not have, outside of texts, and its offset.
fn bare_number(text: &[u8]) -> Option<(&'static str, usize)> {
    let (mut quoted, mut escaped) = (false, false);
    for (at, byte) in text.iter().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b'N' | b'I' if !quoted => {
                let words = ["NaN", "Infinity"];
                let found = |word: &&str| text[at..].starts_with(word.as_bytes());
                return words.into_iter().find(found).map(|word| (word, at));
            }
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn any(url: &str, value: &str) -> Option<Any> {
        Some(Any {
            type_url: format!("type.googleapis.com/{url}"),
            value: value.into(),
        })
    }

    fn good(change: impl FnOnce(&mut pb::ExecuteToolResponse)) -> Result<Value, CallError> {
        let mut answer = pb::ExecuteToolResponse {
            success: true,
            ..Default::default()
        };
        change(&mut answer);
        response("t", answer).map(|payload| payload.decode().unwrap())
    }

    #[test]
    fn results_come_in_every_form() {
        let value = |change: &dyn Fn(&mut pb::ExecuteToolResponse)| good(change).unwrap();
        assert_eq!(value(&|_| {}), Value::Null);
        assert_eq!(
            value(&|it| it.result = any("snakepit.float", "5.0")),
            5.0.into()
        );
        assert_eq!(
            value(&|it| it.result = any("snakepit.map", "{}")),
            Value::Map(vec![])
        );
        let bytes = || Value::Bytes(vec![1, 2].into());
        let binary = |it: &mut pb::ExecuteToolResponse| it.binary_result = vec![1, 2].into();
        assert_eq!(value(&binary), bytes());
        assert_eq!(
            value(&|it| {
                binary(it);
                it.result = any("snakepit.map", "{}");
            }),
            bytes()
        );
        assert_eq!(
            value(&|it| {
                binary(it);
                it.result = any("snakepit.string", "\"png\"");
            }),
            Value::List(vec![bytes(), "png".into()])
        );
        for (encoding, payload, expected) in [
            (Encoding::Json, &b"[1]"[..], Value::List(vec![1_i64.into()])),
            (
                Encoding::Msgpack,
                b"\x91\x01",
                Value::List(vec![1_i64.into()]),
            ),
            (Encoding::Raw, b"\x01\x02", bytes()),
            (Encoding::Raw, b"", Value::Bytes(vec![].into())),
        ] {
            let found = value(&|it| {
                it.payload = payload.to_vec().into();
                it.set_encoding(encoding);
            });
            assert_eq!(found, expected);
        }
    }

    #[test]
    fn answers_that_cannot_be_read_say_why() {
        let told = |change: &dyn Fn(&mut pb::ExecuteToolResponse)| match good(change) {
            Err(CallError::Tool(error)) => (error.code, error.message),
            other => panic!("{other:?}"),
        };
        for (text, reason) in [
            ("{\"a\": [1, NaN]}", "`NaN` at byte 10 is not JSON"),
            ("-Infinity", "`Infinity` at byte 1 is not JSON"),
            ("{\"NaN\": oops}", "line 1"),
        ] {
            let (code, message) = told(&|it| it.result = any("snakepit.map", text));
            assert_eq!(code, ErrorCode::InvalidPayload);
            assert!(message.contains(reason), "{message}");
        }
        assert!(
            told(&|it| it.payload = vec![1].into())
                .1
                .contains("no `encoding`")
        );
        assert!(told(&|it| it.encoding = 77).1.contains("77"));
    }

    #[test]
    fn failures_are_described_or_plain() {
        let failed = |message: &str| {
            let answer = pb::ExecuteToolResponse {
                error_message: message.to_owned(),
                ..Default::default()
            };
            match response("t", answer) {
                Err(CallError::Tool(error)) => error,
                other => panic!("{other:?}"),
            }
        };
        assert_eq!(failed("no luck").message, "no luck");
        assert!(failed("").message.contains("without a message"));
        let error = failed(r#"{"type": "KeyError", "message": "'a'"}"#);
        assert_eq!(
            (error.type_name.as_str(), error.message.as_str()),
            ("KeyError", "'a'")
        );
    }

    #[test]
    fn chunks_are_json_or_bytes_and_the_empty_last_one_is_none() {
        let chunk = |data: &[u8], is_final| {
            chunk(
                "t",
                pb::ToolChunk {
                    data: data.to_vec().into(),
                    is_final,
                    ..Default::default()
                },
            )
        };
        let value = |data| {
            chunk(data, false)
                .unwrap()
                .unwrap()
                .decode::<Value>()
                .unwrap()
        };
        assert!(chunk(b"", true).unwrap().is_none());
        assert_eq!(
            value(b"{\"a\":1}"),
            Value::Map(vec![("a".into(), 1_i64.into())])
        );
        assert_eq!(value(b"\xff"), Value::Bytes(vec![0xff].into()));
        assert_eq!(value(b""), Value::Bytes(vec![].into()));
        assert!(chunk(b"[NaN]", false).is_err());
    }
}
