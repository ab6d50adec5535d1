//! The kind of a value in words.

use super::Value;

/// Describes the kind of a value in a short phrase.
pub(crate) fn kind_of(value: &Value) -> String {
    match value {
        Value::Null => "nothing".into(),
        Value::Bool(_) => "a truth value".into(),
        Value::Int(_) | Value::UInt(_) => "a whole number".into(),
        Value::Float(_) => "a float".into(),
        Value::Str(_) => "a text".into(),
        Value::Bytes(_) => "bytes".into(),
        Value::List(_) => "a list".into(),
        Value::Map(_) => "a map".into(),
        Value::Array(_) => "an array".into(),
        Value::FrozenSet(_) => "a set".into(),
        Value::DataFrame(_) => "a data frame".into(),
        _ => "a date, time or other special value".into(),
    }
}
