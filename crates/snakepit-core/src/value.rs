//! Any value that a payload can hold.

mod array;
mod counted;
mod data_frame;
mod described;
mod expand;
pub(crate) mod explain;
mod frozen_set;
mod json;
mod json_error;
mod kind_name;
mod kinds;
mod marker;
pub(crate) mod metadata;
pub(crate) mod names;
mod payload;
mod schema;
mod secret_names;
mod serde_impl;
mod shared;
mod show;
mod size;
mod tensor;
mod text;
mod whole_numbers;

use bytes::Bytes as RawBytes;

#[cfg(feature = "arrow")]
pub use data_frame::Batches;
pub use data_frame::{DataFrame, DataFrameError, DataFrameKind};
pub use frozen_set::FrozenSet;
#[cfg(feature = "arrow")]
use json::Form;
pub use json_error::JsonError;
pub(crate) use kind_name::kind_of;
pub use kinds::{Bytes, Date, DateTime, Decimal, Time, TimeDelta, Uuid};
use kinds::{code::DATA_FRAME, write as write_extension};
pub use marker::Unserializable;
pub use metadata::{Metadata, MetadataError};
pub use names::near as similar_names;
pub use payload::{Encoding, Payload, PayloadError};
pub use secret_names::is_secret_name;
pub(crate) use size::{deep_bytes, payload_bytes, value_bytes};
#[cfg(feature = "ndarray")]
pub use tensor::NdArray;
pub use tensor::{DType, Tensor, TensorElement, TensorError, TimeStep, TimeUnit};
pub use text::JsonText;

/// Any value that crosses between the host and a worker. `docs/values.md` has the full table.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub enum Value {
    /// The absent value: `None` in Python.
    #[default]
    Null,
    /// A truth value.
    Bool(bool),
    /// An integer.
    Int(i64),
    /// An integer above `i64::MAX`.
    UInt(u64),
    /// A floating-point number, including NaN and the infinities.
    Float(f64),
    /// Text.
    Str(String),
    /// Bytes.
    Bytes(RawBytes),
    /// A list of values.
    List(Vec<Self>),
    /// Pairs of keys and values in order; keys may be of any kind.
    Map(Vec<(Self, Self)>),
    /// Date and time as ISO 8601 text, with an offset if it has one.
    DateTime(String),
    /// Date as ISO 8601 text.
    Date(String),
    /// Time of day as ISO 8601 text.
    Time(String),
    /// Time span in microseconds.
    Duration(i64),
    /// UUID.
    Uuid([u8; 16]),
    /// Decimal number as text.
    Decimal(String),
    /// An array of numbers, truth values or times.
    Array(Tensor),
    /// An immutable set, which can be a key.
    FrozenSet(FrozenSet),
    /// A data frame, or a single column.
    DataFrame(DataFrame),
}

impl Value {
    /// Returns the value of a text key. `None` if this is not a map, or the map does not have the
    /// key.
    pub fn get(&self, key: &str) -> Option<&Self> {
        let Self::Map(pairs) = self else { return None };
        pairs
            .iter()
            .find(|(name, _)| matches!(name, Self::Str(name) if name == key))
            .map(|(_, value)| value)
    }
}

macro_rules! from {
    ($($from:ty => |$value:ident| $to:expr;)*) => {
        $(impl From<$from> for Value {
            fn from($value: $from) -> Self {
                $to
            }
        })*
    };
}

from! {
    bool => |value| Self::Bool(value);
    i32 => |value| Self::Int(value.into());
    i64 => |value| Self::Int(value);
    u64 => |value| i64::try_from(value).map_or(Self::UInt(value), Self::Int);
    f64 => |value| Self::Float(value);
    &str => |value| Self::Str(value.to_owned());
    String => |value| Self::Str(value);
    Tensor => |value| Self::Array(value);
    DataFrame => |value| Self::DataFrame(value);
    Vec<Value> => |value| Self::List(value);
    RawBytes => |value| Self::Bytes(value);
    serde_json::Value => |value| Self::from_json(value);
}
