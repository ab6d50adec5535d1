//! The arguments that a client passes to a tool, and the results that it receives.

use std::collections::{BTreeMap, HashMap};

use bytes::Bytes;
use prost_types::Any;
use serde::Serialize;
use snakepit_core::error::{ErrorCode, ToolError};
use snakepit_core::value::{Metadata, Payload, PayloadError, Value};

use super::status::{Fault, invalid, short_name};
use super::{any, json};
use crate::pb;

/// Largest number of arguments of one call.
const MAX_PARAMETERS: usize = 1_000;

/// Largest number of entries, and largest size in bytes, of the metadata of one call.
const MAX_METADATA: (usize, usize) = (128, 16 << 10);

/// The form in which a client requests its results.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// Results as `Any` and bytes; chunks of JSON or bytes.
    Any,
    /// Like [`Any`](Self::Any), but a data frame is an Arrow stream.
    AnyOrArrow,
    /// JSON in one piece.
    Json,
    /// MessagePack in one piece.
    MessagePack,
}

/// Checks the metadata of a call.
///
/// # Errors
/// The metadata has too many entries or bytes.
pub(super) fn metadata(map: HashMap<String, String>) -> Result<Metadata, Fault> {
    let (entries, bytes) = MAX_METADATA;
    let size: usize = map.iter().map(|(key, value)| key.len() + value.len()).sum();
    if map.len() > entries || size > bytes {
        let n = map.len();
        return Err(invalid(format!(
            "the metadata has {n} entries and {size} bytes, and at most {entries} and {bytes} are allowed"
        )));
    }
    Ok(map.into_iter().collect())
}

/// The entry of the metadata in which a client states the form of data frames.
const FRAMES: &str = "data_frames";

/// Returns the form of results in `Any`.
///
/// # Errors
/// The metadata names an unknown form of data frames.
pub(super) fn any_form(metadata: &Metadata) -> Result<Form, Fault> {
    match metadata.get(FRAMES).map(String::as_str) {
        None | Some("json") => Ok(Form::Any),
        Some("arrow") => Ok(Form::AnyOrArrow),
        Some(other) => {
            let other = short_name(other);
            let message =
                format!("the metadata `{FRAMES}` is `json` or `arrow`, and not `{other}`");
            Err(invalid(message))
        }
    }
}

/// Returns the arguments of a call, and the requested form of its result.
///
/// # Errors
/// The error names the malformed part.
pub(super) fn of_call(
    request: pb::ExecuteToolRequest,
    metadata: &Metadata,
) -> Result<(Payload, Form), Fault> {
    if !request.buffers.is_empty() {
        return Err(invalid(
            "`buffers` are not supported; put the bytes into the payload",
        ));
    }
    let in_one_piece = !request.payload.is_empty() || request.encoding != 0;
    if !in_one_piece {
        let args = named(&request.parameters, &request.binary_parameters)?;
        return Ok((args, any_form(metadata)?));
    }
    match pb::Encoding::try_from(request.encoding) {
        Ok(pb::Encoding::Msgpack) => {
            Ok((Payload::from_msgpack(request.payload), Form::MessagePack))
        }
        Ok(pb::Encoding::Json) => {
            let value = json::parse(&request.payload)
                .map_err(|reason| invalid(format!("the payload is not valid JSON: {reason}")))?;
            Ok((Payload::encode(&value).map_err(unfit)?, Form::Json))
        }
        Ok(pb::Encoding::Raw | pb::Encoding::Arrow) => Err(ToolError::new(
            ErrorCode::InvalidArguments,
            "a raw payload holds no arguments: send a map or a list as MessagePack or JSON, or `parameters`",
        )
        .into()),
        _ => Err(invalid("the payload has no valid `encoding`")),
    }
}

/// Encodes arguments by name. A binary argument replaces another one of the same name.
///
/// # Errors
/// `Invalid parameter <name>: <reason>`, or too many arguments.
pub(super) fn named(
    parameters: &HashMap<String, Any>,
    binary: &HashMap<String, Bytes>,
) -> Result<Payload, Fault> {
    let count = parameters.len() + binary.len();
    if count > MAX_PARAMETERS {
        return Err(invalid(format!(
            "the call has {count} parameters, and at most {MAX_PARAMETERS} are allowed"
        )));
    }
    // Each value is encoded at once, so only one decoded value is in memory at a time.
    let mut values = BTreeMap::new();
    for (name, any) in parameters {
        if binary.contains_key(name) {
            continue;
        }
        let value = any::read(any).map_err(|reason| {
            let mut error = invalid(format!("Invalid parameter {}: {reason}", short_name(name)));
            error.help = "send JSON text".to_owned();
            error
        })?;
        let encoded = Payload::encode(&value).map_err(unfit)?;
        values.insert(name, Argument::Encoded(encoded));
    }
    for (name, data) in binary {
        values.insert(name, Argument::Bytes(data.clone().into()));
    }
    Payload::encode(&values).map_err(unfit)
}

/// One of several arguments.
#[derive(Serialize)]
#[serde(untagged)]
enum Argument {
    Encoded(Payload),
    Bytes(snakepit_core::value::Bytes),
}

#[expect(clippy::needless_pass_by_value, reason = "it is given to `map_err`")]
fn unfit(error: PayloadError) -> Fault {
    ToolError::new(ErrorCode::InvalidPayload, error.to_string()).into()
}

/// Largest payload in bytes that is converted to JSON on the current thread; larger ones are
/// converted on a thread for blocking work.
const AT_ONCE: usize = 256 << 10;

/// Processes a payload, on a thread for blocking work if it is large.
///
/// # Errors
/// The errors of `work`.
pub(super) async fn apart<T: Send + 'static>(
    payload: &Payload,
    work: impl FnOnce(&Payload) -> Result<T, Fault> + Send + 'static,
) -> Result<T, Fault> {
    if payload.bytes.len() <= AT_ONCE {
        return work(payload);
    }
    let payload = payload.clone();
    let done = tokio::task::spawn_blocking(move || work(&payload)).await;
    done.unwrap_or_else(|_| Err(super::chunks::panicked()))
}

/// Converts a result to `Any` and bytes; a result of bytes is sent as bytes alone. JSON text has at
/// most `limit` bytes.
///
/// # Errors
/// The payload is malformed, or too large as JSON.
pub(super) fn any_result(
    payload: &Payload,
    form: Form,
    limit: usize,
) -> Result<(Any, Bytes), Fault> {
    let value: Value = payload.decode().map_err(unfit)?;
    Ok(match value {
        Value::DataFrame(frame) if form == Form::AnyOrArrow => {
            (any::write_frame(&frame), Bytes::new())
        }
        Value::Bytes(data) => (any::write(&Value::Map(Vec::new()), limit)?, data),
        value => (any::write(&value, limit)?, Bytes::new()),
    })
}

/// Returns a response that contains only the result. JSON text has at most `limit` bytes.
///
/// # Errors
/// The payload is malformed, or too large as JSON.
pub(super) fn result(
    payload: &Payload,
    form: Form,
    limit: usize,
) -> Result<pb::ExecuteToolResponse, Fault> {
    let mut response = pb::ExecuteToolResponse::default();
    match form {
        Form::Any | Form::AnyOrArrow => {
            let (any, binary) = any_result(payload, form, limit)?;
            (response.result, response.binary_result) = (Some(any), binary);
        }
        Form::Json => {
            let value: Value = payload.decode().map_err(unfit)?;
            response.payload = json::write(&value, limit)?.into();
            response.set_encoding(pb::Encoding::Json);
        }
        Form::MessagePack => {
            response.payload = payload.bytes.clone();
            response.set_encoding(pb::Encoding::Msgpack);
        }
    }
    Ok(response)
}

/// Converts one chunk of a stream to bytes and their encoding. JSON text has at most `limit` bytes.
///
/// # Errors
/// The payload is malformed, or too large as JSON.
pub(super) fn chunk(
    payload: &Payload,
    form: Form,
    limit: usize,
) -> Result<(Bytes, pb::Encoding), Fault> {
    if form == Form::MessagePack {
        return Ok((payload.bytes.clone(), pb::Encoding::Msgpack));
    }
    let value: Value = payload.decode().map_err(unfit)?;
    Ok(match value {
        Value::Bytes(data) if form != Form::Json => (data, pb::Encoding::Raw),
        Value::DataFrame(frame) if form == Form::AnyOrArrow => {
            (frame.ipc().clone(), pb::Encoding::Arrow)
        }
        value => (json::write(&value, limit)?.into(), pb::Encoding::Json),
    })
}

#[cfg(test)]
mod tests {
    use snakepit_core::value::{DataFrame, DataFrameKind};

    use super::*;

    fn parameter(text: &str) -> Any {
        Any {
            type_url: "type.googleapis.com/google.protobuf.StringValue".into(),
            value: text.into(),
        }
    }

    #[test]
    fn binary_arguments_go_before_others() {
        let parameters = HashMap::from([
            ("a".to_owned(), parameter("not json at all")),
            ("b".to_owned(), parameter("[1]")),
        ]);
        let binary = HashMap::from([("a".to_owned(), Bytes::from_static(&[1, 2]))]);
        let value: Value = named(&parameters, &binary).unwrap().decode().unwrap();
        assert_eq!(value.get("a"), Some(&Value::Bytes(vec![1, 2].into())));
        assert_eq!(value.get("b"), Some(&Value::List(vec![1_i64.into()])));
        let error = named(&parameters, &HashMap::new()).unwrap_err();
        assert!(
            error.message.starts_with("Invalid parameter a: "),
            "{error}"
        );
    }

    #[test]
    fn malformed_arguments_are_refused() {
        let base = pb::ExecuteToolRequest::default;
        let msgpack = pb::Encoding::Msgpack.into();
        for (request, reason) in [
            (
                pb::ExecuteToolRequest {
                    payload: Bytes::from_static(b"{}"),
                    ..base()
                },
                "no valid `encoding`",
            ),
            (
                pb::ExecuteToolRequest {
                    encoding: 77,
                    ..base()
                },
                "no valid `encoding`",
            ),
            (
                pb::ExecuteToolRequest {
                    encoding: pb::Encoding::Json.into(),
                    ..base()
                },
                "not valid JSON",
            ),
            (
                pb::ExecuteToolRequest {
                    encoding: pb::Encoding::Raw.into(),
                    ..base()
                },
                "raw payload",
            ),
            (
                pb::ExecuteToolRequest {
                    buffers: vec![pb::Buffer::default()],
                    encoding: msgpack,
                    ..base()
                },
                "`buffers`",
            ),
            (
                pb::ExecuteToolRequest {
                    parameters: (0..1001).map(|n| (n.to_string(), parameter("1"))).collect(),
                    ..base()
                },
                "1001 parameters",
            ),
        ] {
            let error = of_call(request, &Metadata::new()).unwrap_err();
            assert!(error.message.contains(reason), "{error}");
        }
        let many = (0..129).map(|n| (n.to_string(), String::new())).collect();
        assert!(metadata(many).unwrap_err().message.contains("129 entries"));
        let large = HashMap::from([("k".to_owned(), "v".repeat(20_000))]);
        assert!(metadata(large).unwrap_err().message.contains("20001 bytes"));
    }

    #[test]
    fn bytes_travel_by_themselves() {
        let payload = Payload::encode(&Value::Bytes(vec![1].into())).unwrap();
        let (any, binary) = any_result(&payload, Form::Any, 100).unwrap();
        assert_eq!((any.value.as_slice(), &*binary), (&b"{}"[..], &[1][..]));
        assert_eq!(
            chunk(&payload, Form::Any, 100),
            Ok((vec![1].into(), pb::Encoding::Raw))
        );
        assert_eq!(
            chunk(&payload, Form::Json, 100),
            Ok((br#"{"$bytes":"AQ=="}"#.to_vec().into(), pb::Encoding::Json))
        );
        assert!(chunk(&payload, Form::Json, 10).is_err());
    }

    #[test]
    fn data_frames_travel_as_arrow_to_clients_that_ask_for_it() {
        let metadata = |form: &str| Metadata::from([("data_frames".to_owned(), form.to_owned())]);
        let form = any_form(&metadata("arrow")).unwrap();
        assert_eq!(any_form(&metadata("json")), Ok(Form::Any));
        assert!(
            any_form(&metadata("csv"))
                .unwrap_err()
                .message
                .contains("`csv`")
        );
        let frame = DataFrame::from_ipc(vec![7; 40]).with_kind(DataFrameKind::PandasFrame);
        let payload = Payload::encode(&frame).unwrap();
        let (any, binary) = any_result(&payload, form, 10).unwrap();
        assert!(binary.is_empty());
        assert_eq!(any::read(&any), Ok(frame.clone().into()));
        let chunk = |form| chunk(&payload, form, 10);
        assert_eq!(chunk(form), Ok((frame.ipc().clone(), pb::Encoding::Arrow)));
        assert!(chunk(Form::Any).is_err());
        let arguments = HashMap::from([("df".to_owned(), any)]);
        let value: Value = named(&arguments, &HashMap::new())
            .unwrap()
            .decode()
            .unwrap();
        assert_eq!(value.get("df"), Some(&frame.into()));
    }
}
