//! Markers: placeholders in a result for values that could not be sent.

use super::Value;

/// Key that tells a marker apart from other maps.
const MARK: &str = "__ffi_unserializable__";
const TYPE: &str = "__type__";
const REPR: &str = "__repr__";

/// A marker that a worker sent in place of a value that cannot be sent. Workers do so if
/// `SNAKEPIT_UNSERIALIZABLE` is `marker`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Unserializable<'a> {
    /// Type of the value, with its module: `module.Class`.
    pub type_name: &'a str,
    /// Text of the value, shortened and without secrets; `None` unless the worker's settings
    /// include it.
    pub repr: Option<&'a str>,
}

impl Value {
    /// Returns the marker; `None` if the value is not one.
    pub fn as_unserializable(&self) -> Option<Unserializable<'_>> {
        let text = |key| match self.get(key) {
            Some(Self::Str(text)) => Some(text.as_str()),
            _ => None,
        };
        if self.get(MARK) != Some(&Self::Bool(true)) {
            return None;
        }
        Some(Unserializable {
            type_name: text(TYPE)?,
            repr: text(REPR),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_markers_are_recognised() {
        let pair = |key: &str, value: Value| (Value::from(key), value);
        let mark = || pair(MARK, true.into());
        let kind = || pair(TYPE, "m.C".into());
        let marker = Value::Map(vec![mark(), kind()]);
        let expected = Unserializable {
            type_name: "m.C",
            repr: None,
        };
        assert_eq!(marker.as_unserializable(), Some(expected));
        let told = Value::Map(vec![mark(), kind(), pair(REPR, "<C>".into())]);
        assert_eq!(told.as_unserializable().and_then(|it| it.repr), Some("<C>"));
        for other in [
            Value::Null,
            Value::Map(vec![kind()]),
            Value::Map(vec![mark()]),
            Value::Map(vec![pair(MARK, 1_i64.into()), kind()]),
        ] {
            assert_eq!(other.as_unserializable(), None);
        }
    }
}
