//! Values in error messages.

use pyo3::prelude::*;
use pyo3::types::{PyBool, PyBytes, PyDict, PyFloat, PyInt, PyList, PyString};

/// Describes a value for an error message: its type, and the value itself if it is short.
pub(crate) fn describe(value: &Bound<'_, PyAny>) -> String {
    if value.is_none() {
        return "null".to_owned();
    }
    if let Ok(flag) = value.cast::<PyBool>() {
        return format!("bool {}", flag.is_true());
    }
    if let Ok(text) = value.cast::<PyString>() {
        let text = text.to_string_lossy();
        let short: String = text.chars().take(40).collect();
        let dots = if short.len() < text.len() { "…" } else { "" };
        return format!("string {short:?}{dots}");
    }
    if value.is_instance_of::<PyInt>() {
        return format!("integer {value}");
    }
    if value.is_instance_of::<PyFloat>() {
        return format!("float {value}");
    }
    if let Ok(bytes) = value.cast::<PyBytes>() {
        return format!("bytes of length {}", bytes.as_bytes().len());
    }
    if let Ok(list) = value.cast::<PyList>() {
        return format!(
            "list of {} item{}",
            list.len(),
            if list.len() == 1 { "" } else { "s" }
        );
    }
    if let Ok(dict) = value.cast::<PyDict>() {
        let keys: Vec<_> = dict
            .keys()
            .iter()
            .take(5)
            .map(|key| beginning(&key.to_string()))
            .collect();
        let dots = if dict.len() > 5 { ", …" } else { "" };
        return if keys.is_empty() {
            "empty object".to_owned()
        } else {
            format!("object with keys {}{dots}", keys.join(", "))
        };
    }
    let name = value
        .get_type()
        .name()
        .map_or_else(|_| "value".to_owned(), |name| name.to_string());
    format!("{} {value}", name.to_lowercase())
}

/// Returns the beginning of a key. A mark, at which secrets are found, shows that it was cut.
fn beginning(text: &str) -> String {
    match text.char_indices().nth(32) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}
