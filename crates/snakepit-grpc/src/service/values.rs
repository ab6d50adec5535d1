//! The wire form of the values of variables and programs.

use snakepit_core::value::{DType, DataFrame, DataFrameKind, Payload, Tensor, Value};

use super::json;
use super::status::{Fault, invalid, short_name};
use crate::pb;
use crate::pb::variable_value::Kind;

/// Converts a client's value.
///
/// # Errors
/// The value is missing, malformed or nested too deeply.
pub(super) fn read(value: Option<pb::VariableValue>) -> Result<Value, Fault> {
    match value.and_then(|value| value.kind) {
        None => Err(invalid("the value is missing")),
        Some(Kind::Json(text)) => json::parse(text.as_bytes())
            .map_err(|reason| invalid(format!("the value is not valid JSON: {reason}"))),
        Some(Kind::Msgpack(bytes)) => Payload::from_msgpack(bytes)
            .decode()
            .map_err(|error| invalid(format!("the value is not valid MessagePack: {error}"))),
        Some(Kind::Buffer(buffer)) => read_buffer(buffer),
        Some(Kind::DataFrame(frame)) => read_frame(frame).map_err(invalid).map(Value::DataFrame),
    }
}

/// Converts a client's data frame. Its stream is checked when it is read.
///
/// # Errors
/// The class is unknown.
pub(super) fn read_frame(frame: pb::DataFrame) -> Result<DataFrame, String> {
    let kind = match frame.kind.as_str() {
        "" => DataFrameKind::Arrow,
        name => DataFrameKind::parse(name).ok_or_else(|| {
            let name = short_name(name);
            format!("the class `{name}` of a data frame is unknown: leave it empty")
        })?,
    };
    Ok(DataFrame::from_ipc(frame.ipc).with_kind(kind))
}

/// Converts a data frame for a client.
pub(super) fn write_frame(frame: &DataFrame) -> pb::DataFrame {
    let kind = match frame.kind() {
        DataFrameKind::Arrow => "",
        kind => kind.python_name(),
    };
    pb::DataFrame {
        kind: kind.to_owned(),
        ipc: frame.ipc().clone(),
    }
}

fn read_buffer(buffer: pb::Buffer) -> Result<Value, Fault> {
    if buffer.dtype.is_empty() {
        if !buffer.shape.is_empty() {
            return Err(invalid("a buffer with a shape needs a `dtype`"));
        }
        return Ok(Value::Bytes(buffer.data));
    }
    let dtype = DType::parse(&buffer.dtype).ok_or_else(|| {
        let name = short_name(&buffer.dtype);
        invalid(format!("the buffer's dtype `{name}` is unknown"))
    })?;
    let shape: Result<Vec<usize>, _> = buffer.shape.into_iter().map(usize::try_from).collect();
    let shape = shape.map_err(|_| invalid("the buffer's shape is beyond the address space"))?;
    Tensor::new(dtype, shape, buffer.data)
        .map(Value::Array)
        .map_err(|error| invalid(error.to_string()))
}

/// Converts a value for a client: bytes and arrays become buffers (small readable arrays JSON),
/// data frames remain data frames, values that JSON preserves become JSON, and all others
/// MessagePack.
pub(super) fn write(value: &Value) -> pb::VariableValue {
    let kind = match value {
        // As the value of a variable the text becomes an array again.
        Value::Array(tensor) if is_readable(tensor) => Kind::Json(whole_text(value)),
        Value::Array(tensor) => Kind::Buffer(pb::Buffer {
            dtype: tensor.dtype().to_string(),
            shape: tensor.shape().iter().map(|length| *length as u64).collect(),
            data: tensor.data().clone(),
        }),
        Value::Bytes(data) => Kind::Buffer(pb::Buffer {
            data: data.clone(),
            ..pb::Buffer::default()
        }),
        Value::DataFrame(frame) => Kind::DataFrame(write_frame(frame)),
        value if survives_json(value) => Kind::Json(whole_text(value)),
        value => match Payload::encode(value) {
            Ok(payload) => Kind::Msgpack(payload.bytes),
            // Fails only for values that are nested deeper than any peer may send.
            Err(_) => Kind::Json(whole_text(value)),
        },
    };
    pb::VariableValue { kind: Some(kind) }
}

fn whole_text(value: &Value) -> String {
    value.json_preview(usize::MAX)
}

/// Size in bytes below which an array is sent as text, so that a client that does not support
/// buffers can read and write it.
const READABLE: usize = 10 << 10;

/// Returns `true` for a small array whose nested lists convert back to the same array: of booleans,
/// `int64` or `float64`.
fn is_readable(tensor: &Tensor) -> bool {
    let usual = matches!(tensor.dtype(), DType::Bool | DType::Int64 | DType::Float64);
    let small = !tensor.is_empty() && tensor.data().len() < READABLE;
    usual
        && small
        && match tensor.to_nested() {
            Value::List(items) => items.iter().all(survives_json),
            _ => false,
        }
}

/// Returns `true` if the value's JSON converts back to the same value.
fn survives_json(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(_) | Value::Int(_) | Value::UInt(_) | Value::Str(_) => true,
        Value::Float(number) => number.is_finite(),
        Value::List(items) => items.iter().all(survives_json),
        Value::Map(pairs) => pairs.iter().all(|(key, value)| {
            matches!(key, Value::Str(key) if !key.starts_with('$')) && survives_json(value)
        }),
        _ => false,
    }
}

/// Returns the approximate size of a value in memory in bytes.
pub(super) fn size(value: &Value) -> u64 {
    let inner = match value {
        Value::Str(text)
        | Value::DateTime(text)
        | Value::Date(text)
        | Value::Time(text)
        | Value::Decimal(text) => text.len() as u64,
        Value::Bytes(data) => data.len() as u64,
        Value::List(items) => items.iter().map(size).sum(),
        Value::FrozenSet(set) => set.items().iter().map(size).sum(),
        Value::Map(pairs) => pairs
            .iter()
            .map(|(key, value)| size(key) + size(value))
            .sum(),
        Value::Array(tensor) => tensor.data().len() as u64,
        Value::DataFrame(frame) => frame.size() as u64,
        _ => 0,
    };
    size_of::<Value>() as u64 + inner
}

#[cfg(test)]
mod tests {
    use snakepit_core::value::FrozenSet;

    use super::*;

    fn there_and_back(value: &Value) -> Value {
        read(Some(write(value))).unwrap()
    }

    #[test]
    fn values_survive() {
        for value in [
            Value::Null,
            Value::UInt(u64::MAX),
            Value::Float(f64::INFINITY),
            Value::Float(1.0),
            Value::Bytes(vec![0, 255].into()),
            Value::List(vec![
                Value::Bytes(vec![1].into()),
                Value::Date("2024-01-01".into()),
            ]),
            Value::Map(vec![(Value::Int(1), Value::Null)]),
            Value::Map(vec![("$bytes".into(), "AAAA".into())]),
            Value::Array(Tensor::from(vec![1.5_f32; 4096])),
            Value::Array(Tensor::from(vec![1_i32, 2])),
            Value::Array(
                Tensor::new(DType::parse("datetime64[25s]").unwrap(), [1], vec![1; 8]).unwrap(),
            ),
            Value::Array(Tensor::new(DType::Complex128, [0, 2], vec![]).unwrap()),
            Value::DataFrame(DataFrame::from_ipc(vec![1; 100])),
            Value::DataFrame(
                DataFrame::from_ipc(vec![2; 100]).with_kind(DataFrameKind::PolarsSeries),
            ),
            Value::List(vec![Value::DataFrame(DataFrame::from_ipc(vec![3; 100]))]),
            Value::Map(vec![(
                FrozenSet::new([1.into(), 2.into()]).into(),
                Value::List(vec![Tensor::from(vec![0.5]).into()]),
            )]),
            // Small as an array, but large as nested lists.
            Value::Array(
                Tensor::new(
                    DType::UInt8,
                    [&[2000][..], &[1; 31]].concat(),
                    vec![0; 2000],
                )
                .unwrap(),
            ),
        ] {
            assert_eq!(there_and_back(&value), value);
        }
    }

    #[test]
    fn malformed_values_are_refused() {
        let buffer = |dtype: &str, shape: Vec<u64>| {
            let data = vec![0; 8].into();
            let dtype = dtype.to_owned();
            Some(pb::VariableValue {
                kind: Some(Kind::Buffer(pb::Buffer { dtype, shape, data })),
            })
        };
        let msgpack = |bytes: Vec<u8>| {
            Some(pb::VariableValue {
                kind: Some(Kind::Msgpack(bytes.into())),
            })
        };
        let json = |text: &str| {
            Some(pb::VariableValue {
                kind: Some(Kind::Json(text.to_owned())),
            })
        };
        let frame = |kind: &str| {
            let (kind, ipc) = (kind.to_owned(), Vec::new().into());
            Some(pb::VariableValue {
                kind: Some(Kind::DataFrame(pb::DataFrame { kind, ipc })),
            })
        };
        for (value, reason) in [
            (None, "missing"),
            (Some(pb::VariableValue::default()), "missing"),
            (json("{"), "not valid JSON"),
            (json(&"[".repeat(200)), "127 levels"),
            (msgpack(vec![0x91]), "not valid MessagePack"),
            (msgpack(vec![]), "not valid MessagePack"),
            (
                msgpack([vec![0x91; 200], vec![0xc0]].concat()),
                "not valid MessagePack",
            ),
            (buffer("float128", vec![4]), "unknown"),
            (buffer("float32", vec![3]), "8 bytes of data"),
            (buffer("float32", vec![u64::MAX, 2]), "can be addressed"),
            (buffer("uint8", vec![1; 40]), "dimensions"),
            (buffer("", vec![8]), "needs a `dtype`"),
            (
                frame("pandas.Frame"),
                "`pandas.Frame` of a data frame is unknown",
            ),
        ] {
            let error = read(value).unwrap_err();
            assert!(error.message.contains(reason), "{}", error.message);
        }
    }
}
