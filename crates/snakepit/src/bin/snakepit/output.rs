//! Data on stdout.

use std::io::{self, Write};

use serde_json::Value as Json;
use snakepit::Value;

use crate::failure::Failure;

/// One value on one line: JSON, but a bare text as it is unless JSON is wanted.
pub(crate) fn value(value: &Value, json: bool) -> Result<(), Failure> {
    match value {
        Value::Str(text) if !json => line(text),
        other => line(&other.to_json().to_string()),
    }
}

/// A JSON document, laid out for people.
pub(crate) fn document(document: &Json) -> Result<(), Failure> {
    line(&format!("{document:#}"))
}

/// One line, visible at once.
pub(crate) fn line(text: &str) -> Result<(), Failure> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(text.as_bytes())?;
    stdout.write_all(b"\n")?;
    Ok(stdout.flush()?)
}

/// Bytes as they are.
pub(crate) fn bytes(bytes: &[u8]) -> Result<(), Failure> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(bytes)?;
    Ok(stdout.flush()?)
}
