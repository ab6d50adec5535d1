//! Conversion between tensors and slices of Rust types.

use std::borrow::Cow;
use std::sync::Arc;

use bytemuck::{CheckedBitPattern, NoUninit, checked};
use bytes::Bytes;

use super::{DType, Tensor, TensorError};

/// A Rust type for the elements of a [`Tensor`]: floats, integers, `bool`; `half::f16` and
/// `num_complex::Complex` with the features of these names. `i64` also reads the step counts of
/// times.
pub trait TensorElement: sealed::Element {
    /// Type of the elements of arrays created from this Rust type.
    const DTYPE: DType;
}

mod sealed {
    use super::{CheckedBitPattern, DType, NoUninit};

    pub trait Element: CheckedBitPattern + NoUninit + Send + Sync + 'static {
        /// Decodes an element; `bytes` has its size and is little-endian.
        fn read(bytes: &[u8]) -> Self;
        /// Converts the byte order to that of the wire, if it differs.
        fn to_wire(self) -> Self;
        fn reads(dtype: DType) -> bool;
    }
}

impl Tensor {
    /// Returns the elements in C order. The slice is borrowed if the memory is aligned for the
    /// type, and copied otherwise.
    ///
    /// ```
    /// # use snakepit_core::value::Tensor;
    /// let tensor = Tensor::from(vec![1.0_f32, 2.5]);
    /// assert_eq!(*tensor.elements::<f32>()?, [1.0, 2.5]);
    /// assert_eq!(
    ///     tensor.elements::<f64>().unwrap_err().to_string(),
    ///     "the array has elements of type float32 (shape [2]), but float64 was requested",
    /// );
    /// # Ok::<(), snakepit_core::value::TensorError>(())
    /// ```
    ///
    /// # Errors
    /// The elements have another type.
    pub fn elements<T: TensorElement>(&self) -> Result<Cow<'_, [T]>, TensorError> {
        if !T::reads(self.dtype) {
            return Err(TensorError::Elements {
                expected: T::DTYPE,
                actual: self.dtype,
                shape: self.shape.clone(),
            });
        }
        if cfg!(target_endian = "little")
            && let Ok(elements) = checked::try_cast_slice(&self.data)
        {
            return Ok(Cow::Borrowed(elements));
        }
        let elements = self.data.chunks_exact(size_of::<T>());
        Ok(Cow::Owned(elements.map(T::read).collect()))
    }

    /// Creates an array of elements in C order, without copying them.
    ///
    /// # Errors
    /// As for [`new`](Self::new): too many dimensions, or a number of elements that does not match
    /// the shape.
    pub fn from_elements<T: TensorElement>(
        shape: impl Into<Arc<[usize]>>,
        elements: Vec<T>,
    ) -> Result<Self, TensorError> {
        Self::new(T::DTYPE, shape, bytes_of(elements))
    }
}

/// Converts elements into the bytes of the wire, without a copy on little-endian machines.
pub(super) fn bytes_of<T: TensorElement>(elements: Vec<T>) -> Bytes {
    struct Owner<T>(Vec<T>);
    impl<T: NoUninit> AsRef<[u8]> for Owner<T> {
        fn as_ref(&self) -> &[u8] {
            bytemuck::cast_slice(&self.0)
        }
    }
    let elements = if cfg!(target_endian = "little") {
        elements
    } else {
        elements.into_iter().map(T::to_wire).collect()
    };
    Bytes::from_owner(Owner(elements))
}

macro_rules! numbers {
    ($($type:ty => $dtype:ident $([$($reads:tt)+])?;)*) => {$(
        impl TensorElement for $type {
            const DTYPE: DType = DType::$dtype;
        }

        impl sealed::Element for $type {
            fn read(bytes: &[u8]) -> Self {
                Self::from_le_bytes(super::element::array(bytes))
            }

            fn to_wire(self) -> Self {
                Self::from_ne_bytes(self.to_le_bytes())
            }

            fn reads(dtype: DType) -> bool {
                matches!(dtype, DType::$dtype $(| $($reads)+)?)
            }
        }
    )*};
}

numbers! {
    f32 => Float32;
    f64 => Float64;
    i8 => Int8;
    i16 => Int16;
    i32 => Int32;
    i64 => Int64 [DType::DateTime64(_) | DType::TimeDelta64(_)];
    u8 => UInt8;
    u16 => UInt16;
    u32 => UInt32;
    u64 => UInt64;
}

#[cfg(feature = "half")]
numbers! {
    half::f16 => Float16;
}

impl TensorElement for bool {
    const DTYPE: DType = DType::Bool;
}

impl sealed::Element for bool {
    fn read(bytes: &[u8]) -> Self {
        bytes != [0]
    }

    fn to_wire(self) -> Self {
        self
    }

    fn reads(dtype: DType) -> bool {
        dtype == DType::Bool
    }
}

#[cfg(feature = "num-complex")]
macro_rules! complex {
    ($($part:ty => $dtype:ident;)*) => {$(
        impl TensorElement for num_complex::Complex<$part> {
            const DTYPE: DType = DType::$dtype;
        }

        impl sealed::Element for num_complex::Complex<$part> {
            fn read(bytes: &[u8]) -> Self {
                let (re, im) = bytes.split_at(size_of::<$part>());
                let part = |bytes| <$part>::from_le_bytes(super::element::array(bytes));
                Self::new(part(re), part(im))
            }

            fn to_wire(self) -> Self {
                let part = |part: $part| <$part>::from_ne_bytes(part.to_le_bytes());
                Self::new(part(self.re), part(self.im))
            }

            fn reads(dtype: DType) -> bool {
                dtype == DType::$dtype
            }
        }
    )*};
}

#[cfg(feature = "num-complex")]
complex! {
    f32 => Complex64;
    f64 => Complex128;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value::{TimeStep, TimeUnit};

    #[test]
    fn elements_are_borrowed_where_the_memory_is_aligned_and_copied_where_it_is_not() {
        let numbers = vec![1.5_f64, -2.0, f64::MAX];
        let moved = numbers.clone();
        let place = moved.as_ptr();
        let tensor = Tensor::from(moved);
        let elements = tensor.elements::<f64>().unwrap();
        assert_eq!(elements.as_ptr(), place);
        let shifted = [&[0][..], tensor.data()].concat();
        for start in 0..8 {
            let memory = Bytes::from([&[0; 8][..start], &shifted[1..]].concat()).slice(start..);
            let tensor = Tensor::new(DType::Float64, [3], memory).unwrap();
            assert_eq!(*tensor.elements::<f64>().unwrap(), *numbers);
        }
    }

    #[test]
    fn truth_values_of_other_bytes_are_true() {
        let tensor = Tensor::new(DType::Bool, [3], vec![0, 1, 7]).unwrap();
        assert_eq!(*tensor.elements::<bool>().unwrap(), [false, true, true]);
        let tensor = Tensor::from_elements([2], vec![true, false]).unwrap();
        assert_eq!(tensor.data()[..], [1, 0]);
    }

    #[test]
    fn other_types_are_refused_with_type_and_shape() {
        let days = DType::DateTime64(TimeStep::of(TimeUnit::Day));
        let tensor = Tensor::new(days, [1, 1], 3_i64.to_le_bytes().to_vec()).unwrap();
        assert_eq!(*tensor.elements::<i64>().unwrap(), [3]);
        let error = tensor.elements::<u64>().unwrap_err().to_string();
        assert!(
            error.contains("datetime64[D] (shape [1, 1])") && error.contains("uint64"),
            "{error}"
        );
        assert!(Tensor::from_elements([2, 2], vec![1_u8; 3]).is_err());
    }

    #[cfg(all(feature = "half", feature = "num-complex"))]
    #[test]
    fn types_of_other_crates_are_elements() {
        let halves = [1.0, -0.5].map(half::f16::from_f32).to_vec();
        let tensor = Tensor::from(halves.clone());
        assert_eq!(
            (tensor.dtype(), tensor.to_f64()),
            (DType::Float16, vec![1.0, -0.5])
        );
        assert_eq!(*tensor.elements::<half::f16>().unwrap(), *halves);
        let numbers = vec![num_complex::Complex::new(1.0_f32, -2.0)];
        let tensor = Tensor::from(numbers.clone());
        assert_eq!(
            (tensor.dtype(), tensor.to_f64()),
            (DType::Complex64, vec![1.0, -2.0])
        );
        assert_eq!(
            *tensor.elements::<num_complex::Complex<f32>>().unwrap(),
            *numbers
        );
    }
}
