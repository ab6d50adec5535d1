//! Keyword arguments of one call.

use serde::ser::{Error as _, SerializeMap};
use serde::{Serialize, Serializer};

use crate::{Payload, PayloadError};

/// Keyword arguments of mixed types, in the order they were given; usually written with [`args!`](crate::args!).
///
/// Each value is encoded when it is added; a value that cannot be encoded fails the call, not the construction.
#[derive(Clone, Debug, Default)]
pub struct Args {
    entries: Vec<(String, Result<crate::Value, PayloadError>)>,
}

impl Args {
    /// No arguments.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds one argument.
    #[must_use]
    pub fn with(mut self, name: impl Into<String>, value: impl Serialize) -> Self {
        let value = Payload::encode(&value).and_then(|payload| payload.decode());
        self.entries.push((name.into(), value));
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

/// Keyword arguments: `args! { "xs" => [1.0, 2.0], "label" => "a" }`.
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
    fn no_arguments_are_an_empty_map() {
        let value: Value = Payload::encode(&Args::new()).unwrap().decode().unwrap();
        assert_eq!(value, Value::Map(Vec::new()));
    }
}
