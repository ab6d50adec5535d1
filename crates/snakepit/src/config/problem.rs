//! Conversion of figment's errors into errors with a file and a key.

use std::path::Path;

use figment::error::{Actual, Kind};

use crate::error::config_error;
use crate::text::nearest;
use crate::{BuildError, ConfigError, ErrorCode};

/// Checks the syntax before the file is merged: later, line and column are lost.
pub(super) fn check_syntax(file: &Path, text: &str) -> Result<(), BuildError> {
    use figment::providers::{Format, Toml};
    let result: Result<figment::value::Dict, _> = Toml::from_str(text);
    let place = |start| {
        let (line, column) = super::position::of(text, start);
        format!("{}:{line}:{column}", file.display())
    };
    result.map(drop).map_err(|error| BuildError::Config {
        location: error.span().map(|span| place(span.start)),
        error: config_error(
            ErrorCode::InvalidConfig,
            file.file_name()
                .unwrap_or(file.as_os_str())
                .to_string_lossy(),
            format!("is not TOML: {}", error.to_string().trim_end()),
            "correct the line shown",
        ),
    })
}

/// Converts an error of reading into the keys of its setting and an error without a key.
pub(super) fn explain(error: &figment::Error) -> (Vec<String>, ConfigError) {
    let mut path = error.path.clone();
    let (code, message, help) = match &error.kind {
        Kind::UnknownField(name, known) => {
            if path.last() != Some(name) {
                path.push(name.clone());
            }
            let help = match nearest(name, known.iter().copied()) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("known keys: {}", known.join(", ")),
            };
            (ErrorCode::UnknownKey, "is not a known key".to_owned(), help)
        }
        Kind::InvalidType(actual, expected) => (
            ErrorCode::InvalidConfig,
            format!("must be {}, got {}", plain(expected), show(actual)),
            format!("write a value that is {}", plain(expected)),
        ),
        Kind::InvalidValue(actual, expected) => (
            ErrorCode::InvalidConfig,
            format!("must be {}, got {}", plain(expected), show(actual)),
            format!("write {}", plain(expected)),
        ),
        Kind::UnknownVariant(name, known) => (
            ErrorCode::InvalidConfig,
            format!("must be one of {}, got \"{name}\"", quoted(known)),
            match nearest(name, known.iter().copied()) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("write one of {}", quoted(known)),
            },
        ),
        Kind::ISizeOutOfRange(value) => out_of_range(value),
        Kind::USizeOutOfRange(value) => out_of_range(value),
        // The settings' own words.
        Kind::Message(text) if text.starts_with("must be ") => (
            ErrorCode::InvalidConfig,
            text.clone(),
            "write one of these, or leave it out".to_owned(),
        ),
        other => (
            ErrorCode::InvalidConfig,
            format!("cannot be read: {other}"),
            "correct the value".to_owned(),
        ),
    };
    (path, config_error(code, "", message, help))
}

fn quoted(names: &[&str]) -> String {
    let names: Vec<_> = names.iter().map(|name| format!("\"{name}\"")).collect();
    names.join(", ")
}

fn out_of_range(value: &dyn std::fmt::Display) -> (ErrorCode, String, String) {
    let message = format!("is out of range: {value}");
    (
        ErrorCode::InvalidConfig,
        message,
        "write a smaller, positive number".to_owned(),
    )
}

/// Describes a Rust type in the words of a configuration file.
fn plain(expected: &str) -> &str {
    match expected {
        "usize" | "u16" | "u32" | "u64" => "a non-negative integer",
        "a nonzero u16" => "a positive integer",
        "path string" => "a path",
        "a map" => "a table",
        other => other,
    }
}

fn show(actual: &Actual) -> String {
    match actual {
        Actual::Str(text) => format!("\"{text}\""),
        Actual::Unsigned(number) => number.to_string(),
        Actual::Signed(number) => number.to_string(),
        Actual::Float(number) => number.to_string(),
        Actual::Bool(value) => value.to_string(),
        other => other.to_string(),
    }
}
