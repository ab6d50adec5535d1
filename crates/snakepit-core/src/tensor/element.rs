//! One element of an array.

use super::DType;
use crate::Value;

/// One element in the widest type of its kind.
pub(super) enum Element {
    Float(f64),
    Int(i64),
    UInt(u64),
    Bool(bool),
}

impl Element {
    /// One element of as many bytes as its type has.
    #[inline]
    pub(super) fn read(dtype: DType, bytes: &[u8]) -> Self {
        match dtype {
            DType::Float32 => Self::Float(f32::from_le_bytes(array(bytes)).into()),
            DType::Float64 => Self::Float(f64::from_le_bytes(array(bytes))),
            DType::Int8 => Self::Int(i8::from_le_bytes(array(bytes)).into()),
            DType::Int16 => Self::Int(i16::from_le_bytes(array(bytes)).into()),
            DType::Int32 => Self::Int(i32::from_le_bytes(array(bytes)).into()),
            DType::Int64 => Self::Int(i64::from_le_bytes(array(bytes))),
            DType::UInt8 => Self::UInt(u8::from_le_bytes(array(bytes)).into()),
            DType::UInt16 => Self::UInt(u16::from_le_bytes(array(bytes)).into()),
            DType::UInt32 => Self::UInt(u32::from_le_bytes(array(bytes)).into()),
            DType::UInt64 => Self::UInt(u64::from_le_bytes(array(bytes))),
            DType::Bool => Self::Bool(bytes != [0]),
        }
    }

    pub(super) fn value(self) -> Value {
        match self {
            Self::Float(value) => Value::Float(value),
            Self::Int(value) => Value::Int(value),
            Self::UInt(value) => Value::from(value),
            Self::Bool(value) => Value::Bool(value),
        }
    }
}

pub(super) fn array<const N: usize>(bytes: &[u8]) -> [u8; N] {
    bytes.try_into().expect("the chunks have this size")
}

impl DType {
    /// One element of as many bytes as the type has.
    pub(crate) fn read(self, bytes: &[u8]) -> Value {
        Element::read(self, bytes).value()
    }
}
