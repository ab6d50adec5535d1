//! Errors of the conversion between JSON and values.

use crate::code::ErrorCode;
use crate::printable::Printable;

/// The reason why JSON text cannot be read as a [`Value`](crate::value::Value), or a value cannot
/// be written as JSON.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum JsonError {
    /// The text is not JSON, nests deeper than 127 levels, or its values would take too much
    /// memory.
    #[error("{}", Printable(_0))]
    Malformed(String),
    /// An integer has more than 64 bits, and would lose digits.
    #[error("the integer {0} has more than 64 bits")]
    WholeNumber(String),
    /// A key occurs twice in an object, and one of its values would be lost.
    #[error("the key {0:?} appears twice in an object")]
    RepeatedKey(String),
    /// Two keys of a map become the same text; in JSON all keys are texts.
    #[error("two keys of a map are the text {0:?} in JSON")]
    SameKey(String),
    /// A key is a set, which has no order and so no text.
    #[error(
        "the set {0} is a key of a map, which JSON has no text for: send the pairs as a list, or a text for each key"
    )]
    SetKey(String),
    /// A data frame cannot be shown as records.
    #[error("a data frame cannot be JSON: {}", Printable(_0))]
    DataFrame(String),
}

impl JsonError {
    /// The stable code.
    pub const fn code(&self) -> ErrorCode {
        ErrorCode::InvalidPayload
    }
}
