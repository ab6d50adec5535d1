//! Explanation of why a payload does not fit a type: the place in it, what is found there, and what
//! is expected.

use std::fmt::{self, Display};

use serde::de::{DeserializeOwned, Expected, Unexpected};

use super::Value;
use super::described::Described;
use crate::value::{Payload, is_secret_name};

/// Largest payload that is decoded a second time for the sake of an error message.
const MAX_BYTES: usize = 1 << 20;

/// Replacement for a value whose name says that it is a secret.
const MASK: &str = "<redacted>";

/// Characters of a text that are shown.
const SHOWN: usize = 40;

/// A value that does not fit, and its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mismatch {
    /// The place, for example `xs[1].name`; empty for the whole value.
    pub(crate) path: String,
    /// Predicate of a sentence whose subject is the place: `must be a number, got string "x"`.
    pub(crate) what: String,
    /// The place is a field that is missing.
    pub(crate) missing: bool,
}

/// Finds the value in a payload that does not fit `T`; `None` if it cannot be determined.
pub(crate) fn mismatch<T: DeserializeOwned>(payload: &Payload) -> Option<Mismatch> {
    if payload.bytes.len() > MAX_BYTES {
        return None;
    }
    let value: Value = payload.decode_plain().ok()?;
    let error = serde_path_to_error::deserialize::<_, T>(Described(&value)).err()?;
    let mut path = match error.path().to_string() {
        root if root == "." => String::new(),
        path => path,
    };
    let wrong = error.into_inner();
    if let Some(field) = wrong.missing {
        let dot = if path.is_empty() { "" } else { "." };
        path = format!("{path}{dot}{field}");
    }
    let what = match wrong.hidden {
        Some(hidden) if is_secret_name(&path) => hidden,
        _ => wrong.what,
    };
    Some(Mismatch {
        path,
        what,
        missing: wrong.missing.is_some(),
    })
}

/// The error of one value.
#[derive(Debug)]
pub(super) struct Wrong {
    what: String,
    /// The text without the value; `None` if the text does not show it.
    hidden: Option<String>,
    missing: Option<&'static str>,
}

impl Wrong {
    pub(super) fn new(what: String) -> Self {
        Self {
            what,
            hidden: None,
            missing: None,
        }
    }

    fn hiding(what: String, hidden: String) -> Self {
        Self {
            hidden: Some(hidden),
            ..Self::new(what)
        }
    }
}

impl Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)
    }
}

impl std::error::Error for Wrong {}

impl serde::de::Error for Wrong {
    fn custom<T: Display>(message: T) -> Self {
        Self::hiding(
            format!("is not usable: {message}"),
            "is not usable".to_owned(),
        )
    }

    fn invalid_type(found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        let (expected, found) = (plain(expected), shown(found));
        // Lists, maps and sizes reveal nothing.
        let hidden = match found.split_once(' ') {
            Some((kind @ ("string" | "boolean" | "integer" | "float"), _)) => {
                format!("must be {expected}, got {kind} {MASK}")
            }
            _ => format!("must be {expected}, got {found}"),
        };
        Self::hiding(format!("must be {expected}, got {found}"), hidden)
    }

    fn invalid_value(found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::invalid_type(found, expected)
    }

    fn invalid_length(length: usize, expected: &dyn Expected) -> Self {
        Self::new(format!("must be {}, got {length} items", plain(expected)))
    }

    fn unknown_variant(variant: &str, expected: &'static [&'static str]) -> Self {
        let found = shown(Unexpected::Str(variant));
        let known = expected.join(", ");
        Self::hiding(
            format!("must be one of {known}, got {found}"),
            format!("must be one of {known}, got string {MASK}"),
        )
    }

    fn unknown_field(field: &str, expected: &'static [&'static str]) -> Self {
        let found = shown(Unexpected::Str(field));
        let known = expected.join(", ");
        Self::new(format!(
            "has the unknown field {found}; its fields are {known}"
        ))
    }

    fn missing_field(field: &'static str) -> Self {
        Self {
            missing: Some(field),
            ..Self::new("is missing".to_owned())
        }
    }
}

/// Describes the expectation of a type, without the names of Rust types.
fn plain(expected: &dyn Expected) -> String {
    let text = expected.to_string();
    match text.as_str() {
        "f32" | "f64" => "a number".to_owned(),
        "i8" | "i16" | "i32" | "i64" | "i128" | "isize" => "an integer".to_owned(),
        "u8" | "u16" | "u32" | "u64" | "u128" | "usize" => "a non-negative integer".to_owned(),
        "a sequence" => "a list".to_owned(),
        _ => match text.strip_prefix("struct ") {
            Some(name) => format!("a map with the fields of `{name}`"),
            None => text,
        },
    }
}

/// Describes a value for a message: its kind, and the value itself if it is short.
fn shown(found: Unexpected<'_>) -> String {
    match found {
        Unexpected::Str(text) => {
            let short: String = text.chars().take(SHOWN).collect();
            let dots = if short.len() < text.len() { "…" } else { "" };
            format!("string {short:?}{dots}")
        }
        Unexpected::Bool(value) => format!("boolean {value}"),
        Unexpected::Signed(value) => format!("integer {value}"),
        Unexpected::Unsigned(value) => format!("integer {value}"),
        Unexpected::Float(value) => format!("float {value}"),
        Unexpected::Bytes(data) => format!("bytes of length {}", data.len()),
        Unexpected::Unit | Unexpected::Option => "null".to_owned(),
        Unexpected::Seq => "a list".to_owned(),
        Unexpected::Map => "a map".to_owned(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize)]
    #[expect(dead_code, reason = "only their types matter")]
    struct Flower {
        name: String,
        features: Features,
        kind: Option<Kind>,
    }

    #[derive(Debug, Deserialize)]
    #[expect(dead_code, reason = "only their types matter")]
    struct Features {
        sepal_length: f64,
        counts: Vec<u8>,
    }

    #[derive(Debug, Deserialize)]
    #[expect(dead_code, reason = "only their types matter")]
    enum Kind {
        Iris,
        Rose(bool),
    }

    fn found(json: serde_json::Value) -> (String, String, bool) {
        let payload = Payload::encode(&Value::from(json)).unwrap();
        let found = mismatch::<Flower>(&payload).unwrap();
        (found.path, found.what, found.missing)
    }

    #[test]
    fn the_place_the_kind_and_the_value_are_named() {
        let features = |length: serde_json::Value, counts: serde_json::Value| {
            serde_json::json!({ "name": "a", "features": {
                "sepal_length": length, "counts": counts } })
        };
        let number = serde_json::json!(1);
        for (json, path, what, missing) in [
            (
                features("oops".into(), serde_json::json!([])),
                "features.sepal_length",
                "must be a number, got string \"oops\"",
                false,
            ),
            (
                features(number.clone(), serde_json::json!([1, -1])),
                "features.counts[1]",
                "must be a non-negative integer, got integer -1",
                false,
            ),
            (
                features(number.clone(), serde_json::json!({ "a": 1 })),
                "features.counts",
                "must be a list, got a map",
                false,
            ),
            (
                serde_json::json!({ "name": "a", "features": { "counts": [] } }),
                "features.sepal_length",
                "is missing",
                true,
            ),
            (
                serde_json::json!({ "name": 3 }),
                "name",
                "must be a string, got integer 3",
                false,
            ),
            (serde_json::json!({}), "name", "is missing", true),
            (
                serde_json::json!({ "name": "a", "kind": "Tulip" }),
                "kind",
                "must be one of Iris, Rose, got string \"Tulip\"",
                false,
            ),
            (
                serde_json::json!({ "name": "a", "kind": { "Rose": 1.5 } }),
                "kind.Rose",
                "must be a boolean, got float 1.5",
                false,
            ),
            (
                serde_json::json!("text"),
                "",
                "must be a map with the fields of `Flower`, got string \"text\"",
                false,
            ),
        ] {
            assert_eq!(found(json), (path.to_owned(), what.to_owned(), missing));
        }
    }

    #[derive(Debug, Deserialize)]
    #[expect(dead_code, reason = "only their types matter")]
    struct Login {
        api_token: u64,
        secrets: Option<Vec<bool>>,
        password: Option<Kind>,
    }

    #[test]
    fn values_of_secret_names_are_not_shown() {
        for (json, path, what) in [
            (
                serde_json::json!({ "api_token": "hush" }),
                "api_token",
                "must be a non-negative integer, got string <redacted>",
            ),
            (
                serde_json::json!({ "api_token": 1, "secrets": [true, 7] }),
                "secrets[1]",
                "must be a boolean, got integer <redacted>",
            ),
            (
                serde_json::json!({ "api_token": 1, "secrets": {} }),
                "secrets",
                "must be a list, got a map",
            ),
            (
                serde_json::json!({ "api_token": 1, "password": "hush" }),
                "password",
                "must be one of Iris, Rose, got string <redacted>",
            ),
            (serde_json::json!({}), "api_token", "is missing"),
        ] {
            let payload = Payload::encode(&Value::from(json)).unwrap();
            let found = mismatch::<Login>(&payload).unwrap();
            assert_eq!((&*found.path, &*found.what), (path, what));
        }
    }

    #[test]
    fn a_long_text_is_shortened_and_a_large_payload_left() {
        let payload = Payload::encode(&"x".repeat(1000)).unwrap();
        let found = mismatch::<u64>(&payload).unwrap();
        assert!(
            found.what.len() < 120 && found.what.ends_with('…'),
            "{found:?}"
        );
        let payload = Payload::encode(&"x".repeat(MAX_BYTES)).unwrap();
        assert_eq!(mismatch::<u64>(&payload), None);
        let fine = Payload::encode(&5).unwrap();
        assert_eq!(mismatch::<u64>(&fine), None);
    }
}
