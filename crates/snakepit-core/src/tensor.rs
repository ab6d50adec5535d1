//! Arrays of numbers as one block of bytes.

mod element;

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;

use self::element::{Element, array};
use crate::{ErrorCode, Value};

macro_rules! dtypes {
    ($($(#[$doc:meta])* $name:ident = $code:literal, $text:literal, $size:literal;)*) => {
        /// Type of the elements of a [`Tensor`].
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum DType {
            $($(#[$doc])* $name,)*
        }

        impl DType {
            /// Every element type.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// The number that stands for it on the wire.
            pub const fn code(self) -> u8 {
                match self {
                    $(Self::$name => $code,)*
                }
            }

            /// The type with this number.
            pub const fn from_code(code: u8) -> Option<Self> {
                match code {
                    $($code => Some(Self::$name),)*
                    _ => None,
                }
            }

            /// Its name, as numpy has it.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$name => $text,)*
                }
            }

            /// The type with this name.
            pub fn parse(name: &str) -> Option<Self> {
                match name {
                    $($text => Some(Self::$name),)*
                    _ => None,
                }
            }

            /// Bytes of one element.
            pub const fn size(self) -> usize {
                match self {
                    $(Self::$name => $size,)*
                }
            }
        }
    };
}

dtypes! {
    /// 32-bit floating point.
    Float32 = 1, "float32", 4;
    /// 64-bit floating point.
    Float64 = 2, "float64", 8;
    /// 8-bit signed.
    Int8 = 3, "int8", 1;
    /// 16-bit signed.
    Int16 = 4, "int16", 2;
    /// 32-bit signed.
    Int32 = 5, "int32", 4;
    /// 64-bit signed.
    Int64 = 6, "int64", 8;
    /// 8-bit unsigned.
    UInt8 = 7, "uint8", 1;
    /// 16-bit unsigned.
    UInt16 = 8, "uint16", 2;
    /// 32-bit unsigned.
    UInt32 = 9, "uint32", 4;
    /// 64-bit unsigned.
    UInt64 = 10, "uint64", 8;
    /// Truth values, one byte each: 0 is false, everything else true.
    Bool = 11, "bool", 1;
}

impl fmt::Display for DType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// An array of numbers: little endian, C order, without gaps. Cheap to clone.
///
/// ```
/// # use snakepit_core::{DType, Tensor};
/// let tensor = Tensor::from(vec![1.0_f32, 2.5]);
/// assert_eq!((tensor.dtype(), tensor.shape()), (DType::Float32, &[2][..]));
/// assert_eq!(tensor.to_f64(), [1.0, 2.5]);
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Tensor {
    dtype: DType,
    shape: Arc<[usize]>,
    data: Bytes,
}

impl Tensor {
    /// Most dimensions.
    pub const MAX_DIMENSIONS: usize = 32;

    /// Wraps data that is laid out already. An empty shape is a single number.
    ///
    /// # Errors
    /// More than [`Self::MAX_DIMENSIONS`], a size beyond the address space, or data of another size than type and shape ask for.
    pub fn new(
        dtype: DType,
        shape: impl Into<Arc<[usize]>>,
        data: impl Into<Bytes>,
    ) -> Result<Self, TensorError> {
        let (shape, data) = (shape.into(), data.into());
        if shape.len() > Self::MAX_DIMENSIONS {
            return Err(TensorError::Dimensions(shape.len()));
        }
        let expected = bytes_of(dtype, &shape).ok_or(TensorError::Overflow)?;
        if expected != data.len() {
            let actual = data.len();
            return Err(TensorError::Size { expected, actual });
        }
        Ok(Self { dtype, shape, data })
    }

    /// Type of the elements.
    pub const fn dtype(&self) -> DType {
        self.dtype
    }

    /// Length of each dimension, outermost first.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// The bytes of the elements.
    pub const fn data(&self) -> &Bytes {
        &self.data
    }

    /// Number of elements.
    pub fn len(&self) -> usize {
        self.data.len() / self.dtype.size()
    }

    /// It has no elements.
    pub fn is_empty(&self) -> bool {
        self.data.is_empty()
    }

    /// The same elements in another shape.
    ///
    /// # Errors
    /// A shape of another number of elements.
    pub fn reshape(&self, shape: impl Into<Arc<[usize]>>) -> Result<Self, TensorError> {
        Self::new(self.dtype, shape, self.data.clone())
    }

    /// The elements as 64-bit floats, in order; large integers lose digits.
    pub fn to_f64(&self) -> Vec<f64> {
        self.elements(|element| match element {
            Element::Float(value) => value,
            Element::Int(value) => value as f64,
            Element::UInt(value) => value as f64,
            Element::Bool(value) => f64::from(u8::from(value)),
        })
    }

    /// The elements as 32-bit floats, in order; rounded where they do not fit.
    pub fn to_f32(&self) -> Vec<f32> {
        if self.dtype == DType::Float32 {
            return self
                .data
                .chunks_exact(4)
                .map(|b| f32::from_le_bytes(array(b)))
                .collect();
        }
        self.to_f64()
            .into_iter()
            .map(|value| value as f32)
            .collect()
    }

    /// As nested lists of numbers or truth values; a plain number when there are no dimensions, an empty list when there are no elements.
    ///
    /// The array itself, as [`Value::Array`], when the lists would outnumber its elements more than four times and be more than 1,024:
    /// many dimensions of length 1 would let a small array grow without measure.
    pub fn to_nested(&self) -> Value {
        if self.is_empty() {
            // Lists along the other dimensions could be many more than the data lets one expect.
            return Value::List(Vec::new());
        }
        if !self.nests() {
            return Value::Array(self.clone());
        }
        nest(&self.shape, &mut self.flat().into_iter())
    }

    /// Nested lists are in proportion to the data.
    pub(crate) fn nests(&self) -> bool {
        let (mut lists, mut level) = (0_usize, 1_usize);
        for length in &*self.shape {
            lists = lists.saturating_add(level);
            level = level.saturating_mul(*length);
        }
        lists <= self.len().saturating_mul(4).saturating_add(1024)
    }

    /// The elements in C order.
    pub(crate) fn flat(&self) -> Vec<Value> {
        self.elements(Element::value)
    }

    fn elements<T>(&self, convert: impl Fn(Element) -> T) -> Vec<T> {
        // A loop of its own for each type.
        macro_rules! each {
            ($($dtype:ident)*) => {
                match self.dtype {
                    $(DType::$dtype => {
                        let elements = self.data.chunks_exact(DType::$dtype.size());
                        let read = |bytes| convert(Element::read(DType::$dtype, bytes));
                        elements.map(read).collect()
                    })*
                }
            };
        }
        each!(Float32 Float64 Int8 Int16 Int32 Int64 UInt8 UInt16 UInt32 UInt64 Bool)
    }
}

/// `None` when it does not fit the address space. Zero in one dimension must not hide an absurd length in another.
fn bytes_of(dtype: DType, shape: &[usize]) -> Option<usize> {
    let limit = isize::MAX as usize;
    let sized = shape
        .iter()
        .try_fold(dtype.size(), |size, length| {
            size.checked_mul((*length).max(1))
        })
        .filter(|size| *size <= limit)?;
    Some(if shape.contains(&0) { 0 } else { sized })
}

fn nest(shape: &[usize], elements: &mut std::vec::IntoIter<Value>) -> Value {
    match shape.split_first() {
        None => elements.next().expect("the size was checked"),
        Some((length, [])) => Value::List(elements.take(*length).collect()),
        Some((length, rest)) => Value::List((0..*length).map(|_| nest(rest, elements)).collect()),
    }
}

macro_rules! from {
    ($($type:ty => $dtype:ident,)*) => {
        $(
            impl From<&[$type]> for Tensor {
                fn from(values: &[$type]) -> Self {
                    let mut data = Vec::with_capacity(size_of_val(values));
                    for value in values {
                        data.extend_from_slice(&value.to_le_bytes());
                    }
                    Self { dtype: DType::$dtype, shape: [values.len()].into(), data: data.into() }
                }
            }

            impl From<Vec<$type>> for Tensor {
                fn from(values: Vec<$type>) -> Self {
                    Self::from(values.as_slice())
                }
            }
        )*
    };
}

from! {
    f32 => Float32,
    f64 => Float64,
    i8 => Int8,
    i16 => Int16,
    i32 => Int32,
    i64 => Int64,
    u8 => UInt8,
    u16 => UInt16,
    u32 => UInt32,
    u64 => UInt64,
}

impl fmt::Debug for Tensor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Tensor({} {:?})", self.dtype, self.shape)
    }
}

/// Why an array cannot be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TensorError {
    /// More dimensions than [`Tensor::MAX_DIMENSIONS`].
    #[error("the array has {0} dimensions, more than {max}", max = Tensor::MAX_DIMENSIONS)]
    Dimensions(usize),
    /// The shape asks for more bytes than there can be.
    #[error("the array's shape asks for more bytes than there can be")]
    Overflow,
    /// The data has another size than type and shape ask for.
    #[error("the array has {actual} bytes of data where its type and shape ask for {expected}")]
    Size {
        /// Bytes that type and shape ask for.
        expected: usize,
        /// Bytes there are.
        actual: usize,
    },
}

impl TensorError {
    /// The stable code.
    pub const fn code(&self) -> ErrorCode {
        ErrorCode::InvalidPayload
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_is_known_by_name_and_number() {
        for dtype in DType::ALL {
            assert_eq!(DType::from_code(dtype.code()), Some(*dtype));
            assert_eq!(DType::parse(dtype.name()), Some(*dtype));
        }
        assert_eq!((DType::from_code(0), DType::parse("float16")), (None, None));
    }

    #[test]
    fn elements_nest_in_c_order() {
        let tensor = Tensor::from(vec![1_i16, -2, 3, -4, 5, -6])
            .reshape([2, 3])
            .unwrap();
        let rows = [[1_i64, -2, 3], [-4, 5, -6]];
        let rows = rows
            .map(|row| Value::List(row.map(Value::Int).to_vec()))
            .to_vec();
        assert_eq!(tensor.to_nested(), Value::List(rows));
        assert_eq!(tensor.to_f32(), [1.0, -2.0, 3.0, -4.0, 5.0, -6.0]);
        let single = Tensor::new(DType::Bool, [], vec![7]).unwrap();
        assert_eq!(single.to_nested(), Value::Bool(true));
    }

    #[test]
    fn data_must_fit_type_and_shape() {
        let size = Tensor::new(DType::Float32, [3], vec![0; 8]).unwrap_err();
        assert_eq!(
            size,
            TensorError::Size {
                expected: 12,
                actual: 8
            }
        );
        let huge = Tensor::new(DType::Float64, [usize::MAX, 0], vec![]).unwrap_err();
        assert_eq!(huge, TensorError::Overflow);
        let deep = Tensor::new(DType::UInt8, vec![1; 33], vec![0]).unwrap_err();
        assert_eq!(deep, TensorError::Dimensions(33));
        assert!(
            Tensor::new(DType::UInt8, [0, 5], vec![])
                .unwrap()
                .is_empty()
        );
    }
}
