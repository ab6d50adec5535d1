//! Elements of arrays.

use super::{DType, times};
use crate::value::Value;

/// An element, in the widest type of its kind.
pub(super) enum Element {
    Float(f64),
    Complex(f64, f64),
    Int(i64),
    UInt(u64),
    Bool(bool),
    /// A time as a value, and as the number of its steps.
    Time(Value, i64),
}

impl Element {
    /// Decodes an element. `bytes` has the length of its type.
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
            DType::Float16 => Self::Float(half(u16::from_le_bytes(array(bytes)))),
            DType::Complex64 => {
                let part = |bytes| f32::from_le_bytes(array(bytes)).into();
                Self::Complex(part(&bytes[..4]), part(&bytes[4..]))
            }
            DType::Complex128 => {
                let part = |bytes| f64::from_le_bytes(array(bytes));
                Self::Complex(part(&bytes[..8]), part(&bytes[8..]))
            }
            DType::DateTime64(step) => {
                let ticks = i64::from_le_bytes(array(bytes));
                Self::Time(times::moment(ticks, step), ticks)
            }
            DType::TimeDelta64(step) => {
                let ticks = i64::from_le_bytes(array(bytes));
                Self::Time(times::span(ticks, step), ticks)
            }
        }
    }

    pub(super) fn value(self) -> Value {
        match self {
            Self::Float(value) => Value::Float(value),
            Self::Complex(re, im) => Value::List(vec![Value::Float(re), Value::Float(im)]),
            Self::Int(value) => Value::Int(value),
            Self::UInt(value) => Value::from(value),
            Self::Bool(value) => Value::Bool(value),
            Self::Time(value, _) => value,
        }
    }

    /// Appends the element as floats: two for a complex number, the number of steps for a time.
    pub(super) fn floats(self, out: &mut Vec<f64>) {
        match self {
            Self::Float(value) => out.push(value),
            Self::Complex(re, im) => out.extend([re, im]),
            Self::Int(value) => out.push(value as f64),
            Self::UInt(value) => out.push(value as f64),
            Self::Bool(value) => out.push(f64::from(u8::from(value))),
            Self::Time(Value::Null, _) => out.push(f64::NAN),
            Self::Time(_, ticks) => out.push(ticks as f64),
        }
    }
}

/// Decodes a 16-bit float.
fn half(bits: u16) -> f64 {
    let sign = if bits >> 15 == 0 { 1.0 } else { -1.0 };
    let (exponent, fraction) = (i32::from(bits >> 10 & 0x1f), f64::from(bits & 0x3ff));
    sign * match exponent {
        0 => fraction * 2_f64.powi(-24),
        31 if fraction == 0.0 => f64::INFINITY,
        31 => f64::NAN,
        exponent => (1.0 + fraction / 1024.0) * 2_f64.powi(exponent - 15),
    }
}

pub(super) fn array<const N: usize>(bytes: &[u8]) -> [u8; N] {
    bytes.try_into().expect("the chunks have this size")
}

impl DType {
    /// Decodes an element into a value. `bytes` has the length of the type.
    pub(crate) fn read(self, bytes: &[u8]) -> Value {
        Element::read(self, bytes).value()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floats_of_16_bits_are_exact() {
        for (bits, value) in [
            (0x3c00, 1.0),
            (0xc000, -2.0),
            (0x7bff, 65_504.0),
            (0x0001, 5.960_464_477_539_063e-8),
            (0x0400, 6.103_515_625e-5),
            (0x7c00, f64::INFINITY),
            (0xfc00, f64::NEG_INFINITY),
        ] {
            assert_eq!(half(bits), value);
        }
        assert!(half(0x7e00).is_nan() && half(0x8000).is_sign_negative());
    }
}
