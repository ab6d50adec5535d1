//! Keyword arguments of one call.

use serde::ser::{Error as _, SerializeMap};
use serde::{Serialize, Serializer};

use crate::{Payload, PayloadError};

/// Keyword arguments of mixed types, in the order given; usually written with
/// [`args!`](crate::args!).
///
/// Each value is encoded when it is added. If encoding fails, the call returns the error; building
/// the arguments does not fail.
#[derive(Clone, Debug, Default)]
pub struct Args {
    entries: Vec<(String, Result<Payload, PayloadError>)>,
}

impl Args {
    /// Creates an empty set of arguments.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds one argument.
    #[must_use]
    pub fn with(mut self, name: impl Into<String>, value: impl Serialize) -> Self {
        self.entries.push((name.into(), Payload::encode(&value)));
        self
    }
}

impl Serialize for Args {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.entries.len()))?;
        for (name, value) in &self.entries {
            let value = value
                .as_ref()
                .map_err(|error| S::Error::custom(format!("argument `{name}`: {error}")))?;
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

/// Builds keyword arguments: `args! { "xs" => [1.0, 2.0], "label" => "a" }`.
///
/// ```
/// let args = snakepit::args! { "xs" => [1, 2, 3], "label" => "first" };
/// # let _ = args;
/// ```
#[macro_export]
macro_rules! args {
    ($($name:expr => $value:expr),* $(,)?) => {
        $crate::Args::new()$(.with($name, $value))*
    };
}

#[cfg(test)]
mod tests {
    use super::Args;
    use crate::{Payload, Value};

    #[test]
    fn arguments_become_a_map_in_order() {
        let args = args! { "b" => 1, "a" => "x" };
        let value: Value = Payload::encode(&args).unwrap().decode().unwrap();
        let Value::Map(entries) = value else {
            panic!("not a map")
        };
        assert_eq!(entries[0], (Value::Str("b".into()), Value::Int(1)));
        assert_eq!(entries[1], (Value::Str("a".into()), Value::Str("x".into())));
    }

    #[test]
    fn values_are_sent_as_they_were_encoded() {
        let numbers: Vec<f64> = (0..1000).map(f64::from).collect();
        let args = args! { "xs" => &numbers, "nested" => args! { "n" => numbers.clone() } };
        let value: Value = Payload::encode(&args).unwrap().decode().unwrap();
        let expected: Value = Payload::encode(&numbers).unwrap().decode().unwrap();
        assert_eq!(value.get("xs"), Some(&expected));
        let inner = value.get("nested").and_then(|inner| inner.get("n"));
        assert_eq!(inner, Some(&expected));
        let json = serde_json::to_value(args! { "a" => [1, 2] }).unwrap();
        assert_eq!(json, serde_json::json!({ "a": [1, 2] }));
    }

    #[test]
    fn what_cannot_be_encoded_is_named() {
        struct Never;
        impl serde::Serialize for Never {
            fn serialize<S: serde::Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
                Err(serde::ser::Error::custom("never"))
            }
        }
        let error = Payload::encode(&args! { "a" => 1, "b" => Never }).unwrap_err();
        let text = error.to_string();
        assert!(
            text.contains("argument `b`") && text.contains("never"),
            "{text}"
        );
    }

    #[test]
    fn no_arguments_are_an_empty_map() {
        let value: Value = Payload::encode(&Args::new()).unwrap().decode().unwrap();
        assert_eq!(value, Value::Map(Vec::new()));
    }
}
