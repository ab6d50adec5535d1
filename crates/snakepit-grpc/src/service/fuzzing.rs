//! Entry points for fuzzing: readers of untrusted bytes that are otherwise private. Not part of the
//! API.

use prost_types::Any;
use snakepit_core::value::Value;

use super::any;

/// Reads a client's value. `None` if it is rejected.
pub fn read_any(type_url: &str, value: &[u8]) -> Option<Value> {
    let any = Any {
        type_url: type_url.to_owned(),
        value: value.to_vec(),
    };
    any::read(&any).ok()
}

/// Writes a value for a client, with at most `limit` bytes of JSON. `None` if it needs more.
pub fn write_any(value: &Value, limit: usize) -> Option<(String, Vec<u8>)> {
    let any = any::write(value, limit).ok()?;
    Some((any.type_url, any.value))
}
