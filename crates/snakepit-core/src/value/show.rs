//! Display of a [`Value`].

use std::fmt;

use super::Value;
use super::json::{float, uuid_text};

/// Writes compact text similar to JSON, for people: bytes as their length, kinds that JSON lacks as
/// their text.
impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("null"),
            Self::Bool(value) => value.fmt(f),
            Self::Int(value) => value.fmt(f),
            Self::UInt(value) => value.fmt(f),
            Self::Float(value) => f.write_str(&float(*value)),
            Self::Str(value) => write!(f, "{value:?}"),
            Self::Bytes(data) => write!(f, "<{} bytes>", data.len()),
            Self::List(items) => {
                f.write_str("[")?;
                for (index, item) in items.iter().enumerate() {
                    write!(f, "{}{item}", if index == 0 { "" } else { ", " })?;
                }
                f.write_str("]")
            }
            Self::FrozenSet(set) => {
                f.write_str("{")?;
                for (index, item) in set.items().iter().enumerate() {
                    write!(f, "{}{item}", if index == 0 { "" } else { ", " })?;
                }
                f.write_str("}")
            }
            Self::Map(pairs) => {
                f.write_str("{")?;
                for (index, (key, value)) in pairs.iter().enumerate() {
                    write!(f, "{}{key}: {value}", if index == 0 { "" } else { ", " })?;
                }
                f.write_str("}")
            }
            Self::DateTime(text) | Self::Date(text) | Self::Time(text) | Self::Decimal(text) => {
                f.write_str(text)
            }
            Self::Duration(micros) => write!(f, "{} s", *micros as f64 / 1e6),
            Self::Uuid(bytes) => f.write_str(&uuid_text(bytes)),
            Self::Array(tensor) => write!(
                f,
                "<{} array of shape {:?}>",
                tensor.dtype(),
                tensor.shape()
            ),
            Self::DataFrame(frame) => {
                write!(f, "<{} of {} bytes>", frame.kind(), frame.size())
            }
        }
    }
}
