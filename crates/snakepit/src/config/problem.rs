//! Conversion of figment's errors into errors with a file and a key.

use std::path::Path;

use figment::error::{Actual, Kind};
use figment::{Figment, Metadata, Profile};

use crate::error::config_error;
use crate::text::nearest;
use crate::{BuildError, ErrorCode};

/// Checks the syntax before the file is merged: later, line and column are lost.
pub(super) fn check_syntax(file: &Path, text: &str) -> Result<(), BuildError> {
    use figment::providers::{Format, Toml};
    let result: Result<figment::value::Dict, _> = Toml::from_str(text);
    result.map(drop).map_err(|error| BuildError::Config {
        error: config_error(
            ErrorCode::InvalidConfig,
            file.file_name()
                .unwrap_or(file.as_os_str())
                .to_string_lossy(),
            format!("is not TOML: {}", error.to_string().trim_end()),
            "correct the line shown",
        ),
        location: Some(file.display().to_string()),
    })
}

/// Returns the source of a key: a file or a variable.
pub(super) fn location(figment: &Figment, key: &str) -> Option<String> {
    figment
        .find_metadata(key)
        .map(|metadata| describe(metadata, key))
}

fn describe(metadata: &Metadata, key: &str) -> String {
    match metadata
        .source
        .as_ref()
        .and_then(figment::Source::file_path)
    {
        Some(path) => path.display().to_string(),
        None => {
            let keys: Vec<&str> = key.split('.').collect();
            metadata.interpolate(&Profile::Default, &keys)
        }
    }
}

/// Converts an error of the extraction.
pub(super) fn explain(
    figment: &Figment,
    file: Option<&Path>,
    error: &figment::Error,
) -> BuildError {
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
        other => (
            ErrorCode::InvalidConfig,
            format!("cannot be read: {other}"),
            "correct the value".to_owned(),
        ),
    };
    let key = path.join(".");
    let location = location(figment, &key)
        .or_else(|| {
            error
                .metadata
                .as_ref()
                .map(|metadata| describe(metadata, &key))
        })
        .or_else(|| file.map(|file| file.display().to_string()));
    BuildError::Config {
        error: config_error(code, key, message, help),
        location,
    }
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
        "path `RelativePathBuf`" | "struct ConfiguredValue" | "struct RelativePathBuf" => "a path",
        table if table.starts_with("struct Raw") => "a table",
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
