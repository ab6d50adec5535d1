//! Values in `google.protobuf.Any`, by the conventions of the wire: usually JSON text whose type
//! URL is only a hint.

use prost::Message;
use prost_types::Any;
use snakepit_core::value::{DType, DataFrame, Tensor, Value};

use super::status::Fault;
use super::{json, values};
use crate::pb;

/// Type URL of all values that the host sends, except for special numbers.
const STRING_URL: &str = "type.googleapis.com/google.protobuf.StringValue";

/// Type URL of numbers that JSON cannot represent.
const FLOAT_URL: &str = "type.googleapis.com/snakepit.float";

/// Full name of the message of a data frame.
const FRAME: &str = "snakepit.bridge.DataFrame";

/// Longest packed message that contains parts, in bytes: a part of two bytes takes about 70 in
/// memory. JSON text has a limit of its own.
const MAX_PACKED: usize = 1 << 20;

/// Converts a value for a client: JSON of at most `limit` bytes under the type URL of a string, as
/// clients expect.
///
/// # Errors
/// The text would be longer.
pub(super) fn write(value: &Value, limit: usize) -> Result<Any, Fault> {
    let special = matches!(value, Value::Float(number) if !number.is_finite());
    Ok(Any {
        type_url: if special { FLOAT_URL } else { STRING_URL }.to_owned(),
        value: json::write(value, limit)?,
    })
}

/// Converts a data frame for a client that reads them.
pub(super) fn write_frame(frame: &DataFrame) -> Any {
    Any {
        type_url: format!("type.googleapis.com/{FRAME}"),
        value: values::write_frame(frame).encode_to_vec(),
    }
}

/// Converts a client's value.
///
/// # Errors
/// The problem with it: a phrase for the middle of a message.
pub(super) fn read(any: &Any) -> Result<Value, String> {
    let bytes = any.value.as_slice();
    let path = any.type_url.rsplit('/').next().unwrap_or_default();
    if path == FRAME {
        return values::read_frame(message::<pb::DataFrame>(bytes, path)?).map(Value::DataFrame);
    }
    match path.strip_prefix("google.protobuf.") {
        Some("StringValue") => string(bytes),
        Some("BytesValue") => Ok(Value::Bytes(message::<Vec<u8>>(bytes, path)?.into())),
        Some("Struct") => json_or(bytes, |bytes| Ok(from_struct(parts(bytes, path)?))),
        Some("ListValue") => json_or(bytes, |bytes| Ok(from_list(parts(bytes, path)?))),
        Some("Value") => json_or(bytes, |bytes| Ok(from_value(parts(bytes, path)?))),
        Some("BoolValue") => json_or(bytes, |bytes| Ok(message::<bool>(bytes, path)?.into())),
        Some("DoubleValue") => json_or(bytes, |bytes| Ok(message::<f64>(bytes, path)?.into())),
        Some("FloatValue") => json_or(bytes, |bytes| {
            Ok(f64::from(message::<f32>(bytes, path)?).into())
        }),
        Some("Int32Value" | "Int64Value") => {
            json_or(bytes, |bytes| Ok(message::<i64>(bytes, path)?.into()))
        }
        Some("UInt32Value" | "UInt64Value") => {
            json_or(bytes, |bytes| Ok(message::<u64>(bytes, path)?.into()))
        }
        _ => typed(
            path.rsplit('.').next().unwrap_or_default(),
            json::parse(bytes)?,
        ),
    }
}

/// Converts a packed message, or JSON text under the same URL. A packed message is a single field 1
/// that fills the value.
fn string(bytes: &[u8]) -> Result<Value, String> {
    if bytes.is_empty() {
        return Ok(Value::Str(String::new()));
    }
    if let Some(mut rest) = bytes.strip_prefix(b"\n") {
        let length = prost::encoding::decode_varint(&mut rest);
        if length.is_ok_and(|length| length == rest.len() as u64) {
            return String::from_utf8(rest.to_vec())
                .map(Value::Str)
                .map_err(|_| "the text is not UTF-8".to_owned());
        }
    }
    json::parse(bytes)
}

/// Converts JSON text, including the names of special numbers, or else the message that the URL
/// names. JSON is tried first, because the wire's clients send it under these URLs. A packed
/// message is mistaken for JSON only if the bytes of a floating-point number happen to be digits.
fn json_or(
    bytes: &[u8],
    message: impl FnOnce(&[u8]) -> Result<Value, String>,
) -> Result<Value, String> {
    match bytes {
        b"NaN" => Ok(Value::Float(f64::NAN)),
        b"Infinity" => Ok(Value::Float(f64::INFINITY)),
        b"-Infinity" => Ok(Value::Float(f64::NEG_INFINITY)),
        [] => message(bytes),
        _ => json::parse(bytes).or_else(|reason| message(bytes).map_err(|_| reason)),
    }
}

fn message<M: Message + Default>(bytes: &[u8], name: &str) -> Result<M, String> {
    M::decode(bytes).map_err(|_| format!("the bytes are not a {name}"))
}

/// Decodes a packed message that contains parts.
fn parts<M: Message + Default>(bytes: &[u8], name: &str) -> Result<M, String> {
    if bytes.len() > MAX_PACKED {
        return Err(format!("a packed {name} has at most {MAX_PACKED} bytes"));
    }
    message(bytes, name)
}

/// Converts a value to the type that the name requests beyond JSON.
fn typed(name: &str, value: Value) -> Result<Value, String> {
    match (name, value) {
        ("float", value) => float(value),
        ("integer", value) => integer(value),
        ("tensor", value @ Value::Map(_)) => tensor(&value),
        (_, value) => Ok(value),
    }
}

fn float(value: Value) -> Result<Value, String> {
    Ok(Value::Float(match value {
        Value::Float(number) => number,
        Value::Int(number) => number as f64,
        Value::UInt(number) => number as f64,
        Value::Str(text) => match special(&text) {
            Some(number) => number,
            None => text.parse().map_err(|_| "it is not a float".to_owned())?,
        },
        _ => return Err("it is not a float".to_owned()),
    }))
}

/// A number that JSON has only a text for.
fn special(text: &str) -> Option<f64> {
    match text {
        "NaN" => Some(f64::NAN),
        "Infinity" => Some(f64::INFINITY),
        "-Infinity" => Some(f64::NEG_INFINITY),
        _ => None,
    }
}

fn integer(value: Value) -> Result<Value, String> {
    let fault = || "it is not an integer".to_owned();
    match value {
        Value::Int(_) | Value::UInt(_) => Ok(value),
        // Both bounds are exact floats; the upper one is the first number that does not fit.
        Value::Float(number)
            if number.fract() == 0.0 && (-(2_f64.powi(63))..2_f64.powi(63)).contains(&number) =>
        {
            Ok(Value::Int(number as i64))
        }
        Value::Str(text) => text
            .trim()
            .parse::<i64>()
            .map(Value::Int)
            .map_err(|_| fault()),
        _ => Err(fault()),
    }
}

/// Converts `{"shape": [2, 3], "data": […]}`, with nested or flat data.
fn tensor(value: &Value) -> Result<Value, String> {
    let (Some(Value::List(shape)), Some(data)) = (value.get("shape"), value.get("data")) else {
        return Err("a tensor needs a list `shape` and a list `data`".to_owned());
    };
    let length = |value: &Value| match value {
        Value::Int(length) => usize::try_from(*length).ok(),
        _ => None,
    };
    let shape: Option<Vec<usize>> = shape.iter().map(length).collect();
    let shape = shape.ok_or("the shape of a tensor is a list of lengths")?;
    let mut bytes = Vec::new();
    flatten(data, &mut bytes)?;
    Tensor::new(DType::Float64, shape, bytes)
        .map(Value::Array)
        .map_err(|error| error.to_string())
}

fn flatten(value: &Value, bytes: &mut Vec<u8>) -> Result<(), String> {
    match value {
        Value::List(items) => items.iter().try_for_each(|item| flatten(item, bytes)),
        Value::Int(number) => {
            bytes.extend((*number as f64).to_le_bytes());
            Ok(())
        }
        Value::UInt(number) => {
            bytes.extend((*number as f64).to_le_bytes());
            Ok(())
        }
        Value::Float(number) => {
            bytes.extend(number.to_le_bytes());
            Ok(())
        }
        Value::Str(text) => {
            let number = special(text).ok_or("the data of a tensor are numbers")?;
            bytes.extend(number.to_le_bytes());
            Ok(())
        }
        _ => Err("the data of a tensor are numbers".to_owned()),
    }
}

fn from_struct(message: prost_types::Struct) -> Value {
    let pairs = message.fields.into_iter();
    Value::Map(
        pairs
            .map(|(key, value)| (Value::Str(key), from_value(value)))
            .collect(),
    )
}

fn from_list(message: prost_types::ListValue) -> Value {
    Value::List(message.values.into_iter().map(from_value).collect())
}

fn from_value(message: prost_types::Value) -> Value {
    use prost_types::value::Kind;
    match message.kind {
        None | Some(Kind::NullValue(_)) => Value::Null,
        Some(Kind::NumberValue(number)) => Value::Float(number),
        Some(Kind::StringValue(text)) => Value::Str(text),
        Some(Kind::BoolValue(value)) => Value::Bool(value),
        Some(Kind::StructValue(message)) => from_struct(message),
        Some(Kind::ListValue(message)) => from_list(message),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn any(name: &str, value: impl Into<Vec<u8>>) -> Any {
        Any {
            type_url: format!("type.googleapis.com/{name}"),
            value: value.into(),
        }
    }

    fn list(items: impl IntoIterator<Item = i64>) -> Value {
        Value::List(items.into_iter().map(Value::Int).collect())
    }

    #[test]
    fn a_string_comes_packed_or_as_json() {
        let packed = |text: &str| {
            any(
                "google.protobuf.StringValue",
                text.to_owned().encode_to_vec(),
            )
        };
        assert_eq!(read(&packed("a")), Ok("a".into()));
        assert_eq!(read(&packed("{1}")), Ok("{1}".into()));
        let json = |text: &str| any("google.protobuf.StringValue", text);
        assert_eq!(read(&json("\"a\"")), Ok("a".into()));
        assert_eq!(read(&json("[1,2]")), Ok(list([1, 2])));
        // A line feed is also the first byte of a packed string.
        assert_eq!(read(&json("\n[1]")), Ok(list([1])));
        assert_eq!(read(&json("")), Ok("".into()));
        assert!(read(&json("oops")).unwrap_err().contains("line 1"));
        assert!(read(&json("\n\u{2}\u{fffd}")).is_err());
    }

    #[test]
    fn numbers_come_as_json_or_packed() {
        assert_eq!(read(&any("google.protobuf.Value", "5")), Ok(5_i64.into()));
        assert_eq!(read(&any("google.protobuf.Value", "null")), Ok(Value::Null));
        let nan = read(&any("google.protobuf.Value", "NaN")).unwrap();
        assert!(matches!(nan, Value::Float(number) if number.is_nan()));
        let packed = any("google.protobuf.Int64Value", 7_i64.encode_to_vec());
        assert_eq!(read(&packed), Ok(7_i64.into()));
        let packed = any("google.protobuf.DoubleValue", 1.5_f64.encode_to_vec());
        assert_eq!(read(&packed), Ok(1.5.into()));
        assert_eq!(
            read(&any("google.protobuf.BoolValue", vec![])),
            Ok(false.into())
        );
        assert_eq!(
            read(&any("google.protobuf.BoolValue", "true")),
            Ok(true.into())
        );
    }

    #[test]
    fn names_of_types_are_hints() {
        assert_eq!(read(&any("snakepit.float", "3")), Ok(3.0.into()));
        assert_eq!(
            read(&any("snakepit.float", "\"-Infinity\"")),
            Ok(f64::NEG_INFINITY.into())
        );
        assert_eq!(read(&any("snakepit.integer", "3.0")), Ok(3_i64.into()));
        assert_eq!(read(&any("snakepit.integer", "\"12\"")), Ok(12_i64.into()));
        assert!(read(&any("snakepit.integer", "3.5")).is_err());
        assert!(read(&any("snakepit.integer", "9.3e18")).is_err());
        assert_eq!(read(&any("snakepit.map", "{}")), Ok(Value::Map(vec![])));
        assert_eq!(read(&any("anything.at.all", "[]")), Ok(list([])));
        assert_eq!(
            read(&Any::default()).unwrap_err(),
            json::parse(b"").unwrap_err()
        );
    }

    #[test]
    fn a_tensor_has_shape_and_data() {
        let tensor = r#"{"shape": [2, 2], "data": [[1, 2], [3, 4.5]]}"#;
        let expected = Tensor::from(vec![1.0, 2.0, 3.0, 4.5])
            .reshape([2, 2])
            .unwrap();
        assert_eq!(
            read(&any("snakepit.tensor", tensor)),
            Ok(Value::Array(expected))
        );
        for bad in [
            r#"{"shape": [3], "data": [1]}"#,
            r#"{"shape": [-1], "data": []}"#,
            r#"{"shape": [1]}"#,
            r#"{"shape": [1], "data": ["x"]}"#,
            r#"{"shape": [9000000000000000000, 9000000000000000000], "data": []}"#,
        ] {
            assert!(read(&any("snakepit.tensor", bad)).is_err(), "{bad}");
        }
    }

    #[test]
    fn packed_parts_have_no_more_memory_than_their_size_allows() {
        let packed = |values| any("google.protobuf.ListValue", b"\x0a\0".repeat(values));
        let most = MAX_PACKED / 2;
        assert_eq!(
            read(&packed(most)),
            Ok(Value::List(vec![Value::Null; most]))
        );
        assert!(read(&packed(most + 1)).is_err());
    }

    #[test]
    fn special_numbers_survive() {
        let write = |value| write(&value, 100).unwrap();
        let written = write(Value::Float(f64::INFINITY));
        assert_eq!(read(&written), Ok(Value::Float(f64::INFINITY)));
        assert_eq!(
            write("a".into()),
            any("google.protobuf.StringValue", "\"a\"")
        );
    }

    proptest! {
        #[test]
        fn any_bytes_under_any_name_are_a_value_or_an_error(
            name in "(google\\.protobuf\\.(String|Bool|Int64|Double|Bytes)?Value|google\\.protobuf\\.Struct|snakepit\\.(float|integer|tensor))",
            bytes in proptest::collection::vec(0..=u8::MAX, 0..40),
        ) {
            let _ = read(&any(&name, bytes));
        }

        #[test]
        fn every_packed_string_is_read_as_it_is(text in ".*") {
            let packed = any("google.protobuf.StringValue", text.encode_to_vec());
            prop_assert_eq!(read(&packed), Ok(Value::Str(text)));
        }
    }
}
