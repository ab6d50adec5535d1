//! Sizes of values in memory.

use super::{Payload, Value};

/// Returns the size in bytes of a variable's value, whose depth was checked when it was accepted.
pub(crate) fn value_bytes(value: &Value) -> usize {
    deep_bytes(value, Payload::MAX_DEPTH).unwrap_or_default()
}

/// Bytes of any value. `None` if it nests deeper than `depth`.
pub(crate) fn deep_bytes(value: &Value, depth: usize) -> Option<usize> {
    let own = size_of::<Value>();
    let inner = |value| deep_bytes(value, depth.checked_sub(1)?);
    Some(match value {
        Value::List(items) => {
            let items = items.iter().map(inner).sum::<Option<usize>>();
            own + items?
        }
        Value::FrozenSet(set) => {
            let items = set.items().iter().map(inner).sum::<Option<usize>>();
            own + items?
        }
        Value::Map(pairs) => {
            let pairs = pairs
                .iter()
                .map(|(key, value)| Some(inner(key)? + inner(value)?))
                .sum::<Option<usize>>();
            own + pairs?
        }
        flat => own + payload_bytes(flat),
    })
}

/// Returns the bytes of the texts, byte strings, arrays and data frames in a value.
pub(crate) fn payload_bytes(value: &Value) -> usize {
    match value {
        Value::Str(text)
        | Value::DateTime(text)
        | Value::Date(text)
        | Value::Time(text)
        | Value::Decimal(text) => text.len(),
        Value::Bytes(data) => data.len(),
        Value::Array(tensor) => tensor.data().len(),
        Value::List(items) => items.iter().map(payload_bytes).sum(),
        Value::FrozenSet(set) => set.items().iter().map(payload_bytes).sum(),
        Value::Map(pairs) => pairs
            .iter()
            .map(|(key, value)| payload_bytes(key) + payload_bytes(value))
            .sum(),
        Value::DataFrame(frame) => frame.size(),
        _ => 0,
    }
}
