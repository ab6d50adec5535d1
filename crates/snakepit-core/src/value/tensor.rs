//! Arrays of numbers as one block of bytes.

mod dtype;
mod element;
mod lists;
#[cfg(feature = "ndarray")]
mod nd;
mod time_step;
mod times;
mod typed;

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;

use self::element::{Element, array};
use crate::code::ErrorCode;
use crate::value::Value;
pub use dtype::DType;
#[cfg(feature = "ndarray")]
pub use nd::NdArray;
pub use time_step::{TimeStep, TimeUnit};
pub use typed::TensorElement;

/// An array of numbers: little endian, C order, without gaps. Cheap to clone.
///
/// ```
/// # use snakepit_core::value::{DType, Tensor};
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
    /// Largest number of dimensions.
    pub const MAX_DIMENSIONS: usize = 32;

    /// Wraps data in this layout. An empty shape is a single number.
    ///
    /// # Errors
    /// More dimensions than [`Self::MAX_DIMENSIONS`], a size beyond the address space, or a length
    /// of the data that does not match type and shape.
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

    /// Returns the type of the elements.
    pub const fn dtype(&self) -> DType {
        self.dtype
    }

    /// Returns the length of each dimension, outermost first.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// Returns the bytes of the elements.
    pub const fn data(&self) -> &Bytes {
        &self.data
    }

    /// Returns the number of elements.
    pub fn len(&self) -> usize {
        self.data.len() / self.dtype.size()
    }

    /// Returns whether there are no elements.
    pub fn is_empty(&self) -> bool {
        self.data.is_empty()
    }

    /// Returns the same elements in another shape.
    ///
    /// # Errors
    /// The shape has another number of elements.
    pub fn reshape(&self, shape: impl Into<Arc<[usize]>>) -> Result<Self, TensorError> {
        Self::new(self.dtype, shape, self.data.clone())
    }

    /// Returns the elements as 64-bit floats, in order; large integers lose digits. A complex
    /// number becomes two floats, a time the number of its steps (NaN for not-a-time).
    pub fn to_f64(&self) -> Vec<f64> {
        let mut floats = Vec::with_capacity(self.len() * self.dtype.parts());
        self.each(|element| element.floats(&mut floats));
        floats
    }

    /// Returns the elements as 32-bit floats, in order, rounded if necessary.
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

    /// Converts the array into nested lists of numbers, truth values or times: a plain value
    /// without dimensions, an empty list without elements. A complex number becomes a list of its
    /// real and its imaginary part, not-a-time becomes [`Value::Null`], and a time span that is not
    /// a whole number of microseconds becomes a text such as `1 nanoseconds`.
    ///
    /// Returns the array itself, as [`Value::Array`], if there would be more than 1,024 lists and
    /// more than four times as many lists as elements: many dimensions of length 1 would let a
    /// small array grow without bound.
    pub fn to_nested(&self) -> Value {
        if self.is_empty() {
            // Lists along the other dimensions could far outnumber the elements.
            return Value::List(Vec::new());
        }
        if !self.nests() {
            return Value::Array(self.clone());
        }
        nest(&self.shape, &mut self.flat().into_iter())
    }

    /// Returns `true` if nested lists would have few lists in proportion to the elements.
    pub(crate) fn nests(&self) -> bool {
        let (mut lists, mut level) = (0_usize, 1_usize);
        for length in &*self.shape {
            lists = lists.saturating_add(level);
            level = level.saturating_mul(*length);
        }
        lists <= self.len().saturating_mul(4).saturating_add(1024)
    }

    /// Returns the elements in C order.
    pub(crate) fn flat(&self) -> Vec<Value> {
        let mut values = Vec::with_capacity(self.len());
        self.each(|element| values.push(element.value()));
        values
    }

    fn each(&self, mut take: impl FnMut(Element)) {
        // A separate loop for each common type.
        macro_rules! each {
            ($($dtype:ident)*) => {
                match self.dtype {
                    $(DType::$dtype => {
                        let elements = self.data.chunks_exact(DType::$dtype.size());
                        elements.for_each(|bytes| take(Element::read(DType::$dtype, bytes)));
                    })*
                    dtype => {
                        let elements = self.data.chunks_exact(dtype.size());
                        elements.for_each(|bytes| take(Element::read(dtype, bytes)));
                    }
                }
            };
        }
        each!(Float32 Float64 Int8 Int16 Int32 Int64 UInt8 UInt16 UInt32 UInt64 Bool);
    }
}

/// Returns the size of the data in bytes; `None` if it exceeds the address space. Zero in one
/// dimension must not hide an absurd length in another.
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

impl<T: TensorElement> From<&[T]> for Tensor {
    fn from(elements: &[T]) -> Self {
        Self::from(elements.to_vec())
    }
}

/// The elements are not copied.
impl<T: TensorElement> From<Vec<T>> for Tensor {
    fn from(elements: Vec<T>) -> Self {
        Self {
            dtype: T::DTYPE,
            shape: [elements.len()].into(),
            data: typed::bytes_of(elements),
        }
    }
}

impl fmt::Debug for Tensor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Tensor({} {:?})", self.dtype, self.shape)
    }
}

/// The reason why an array cannot be created or converted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TensorError {
    /// The array has more dimensions than [`Tensor::MAX_DIMENSIONS`].
    #[error("the array has {0} dimensions, more than {max}", max = Tensor::MAX_DIMENSIONS)]
    Dimensions(usize),
    /// The shape requires more bytes than the address space has.
    #[error("the array's shape needs more bytes than can be addressed")]
    Overflow,
    /// The length of the data does not match type and shape.
    #[error("the array has {actual} bytes of data where its type and shape need {expected}")]
    Size {
        /// Bytes that type and shape require.
        expected: usize,
        /// Bytes of the data.
        actual: usize,
    },
    /// The elements have another type than the requested one.
    #[error(
        "the array has elements of type {actual} (shape {shape:?}), but {expected} was requested"
    )]
    Elements {
        /// The requested type.
        expected: DType,
        /// The type of the elements.
        actual: DType,
        /// The shape of the array.
        shape: Arc<[usize]>,
    },
    /// The array has another number of dimensions than the requested one.
    #[error("the array ({actual}, shape {shape:?}) does not have {expected} dimensions")]
    Rank {
        /// The requested number of dimensions.
        expected: usize,
        /// The type of the elements.
        actual: DType,
        /// The shape of the array.
        shape: Arc<[usize]>,
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
