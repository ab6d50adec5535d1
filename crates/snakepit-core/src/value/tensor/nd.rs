//! Conversion between tensors and arrays of the crate `ndarray`.

use std::fmt;

use ndarray::{Array, ArrayBase, CowArray, Data, Dimension, IxDyn};
use serde::de::{Deserialize, Deserializer, Error as _};
use serde::ser::{Error as _, Serialize, Serializer};

use super::{Tensor, TensorElement, TensorError};

impl Tensor {
    /// Returns an array of `ndarray`: a view if the memory is aligned for the elements, else a
    /// copy. `into_owned` converts it into an `Array`.
    ///
    /// ```
    /// # use ndarray::{Ix2, array};
    /// # use snakepit_core::value::Tensor;
    /// let tensor = Tensor::try_from(array![[1.0, 2.0], [3.0, 4.0]])?;
    /// assert_eq!(tensor.to_ndarray::<f64, Ix2>()?.sum(), 10.0);
    /// # Ok::<(), snakepit_core::value::TensorError>(())
    /// ```
    ///
    /// # Errors
    /// The elements have another type, or `D` another number of dimensions.
    pub fn to_ndarray<T: TensorElement, D: Dimension>(
        &self,
    ) -> Result<CowArray<'_, T, D>, TensorError> {
        let wrong = || TensorError::Rank {
            expected: D::NDIM.unwrap_or_default(),
            actual: self.dtype,
            shape: self.shape.clone(),
        };
        let shape = IxDyn(&self.shape);
        let array: CowArray<'_, T, IxDyn> = match self.elements()? {
            std::borrow::Cow::Borrowed(elements) => {
                let view = ndarray::ArrayView::from_shape(shape, elements);
                view.map_err(|_| TensorError::Overflow)?.into()
            }
            std::borrow::Cow::Owned(elements) => {
                let array = Array::from_shape_vec(shape, elements);
                array.map_err(|_| TensorError::Overflow)?.into()
            }
        };
        array.into_dimensionality().map_err(|_| wrong())
    }

    /// Creates a tensor from an array or a view of any layout. The elements are copied in C order.
    ///
    /// # Errors
    /// More dimensions than [`MAX_DIMENSIONS`](Self::MAX_DIMENSIONS).
    pub fn from_ndarray<T, S, D>(array: &ArrayBase<S, D>) -> Result<Self, TensorError>
    where
        T: TensorElement,
        S: Data<Elem = T>,
        D: Dimension,
    {
        let elements = match array.as_slice() {
            Some(elements) => elements.to_vec(),
            None => array.iter().copied().collect(),
        };
        Self::from_elements(array.shape(), elements)
    }
}

/// An array in C order is not copied.
impl<T: TensorElement, D: Dimension> TryFrom<Array<T, D>> for Tensor {
    type Error = TensorError;

    fn try_from(array: Array<T, D>) -> Result<Self, TensorError> {
        if !array.is_standard_layout() {
            return Self::from_ndarray(&array);
        }
        let (shape, count) = (array.shape().to_vec(), array.len());
        match array.into_raw_vec_and_offset() {
            (elements, None | Some(0)) if elements.len() == count => {
                Self::from_elements(shape, elements)
            }
            (elements, offset) => {
                let start = offset.unwrap_or_default();
                let part = elements.get(start..start + count);
                Self::from_elements(shape, part.unwrap_or_default().to_vec())
            }
        }
    }
}

/// An array of `ndarray` that serde can serialize and deserialize: as an argument, a result, or a
/// field.
///
/// ```
/// # use ndarray::{Ix1, array};
/// # use snakepit_core::value::{NdArray, Payload};
/// let payload = Payload::encode(&NdArray(array![1.0, 2.0]))?;
/// let NdArray(back): NdArray<f64, Ix1> = payload.decode()?;
/// assert_eq!(back, array![1.0, 2.0]);
/// # Ok::<(), snakepit_core::value::PayloadError>(())
/// ```
#[derive(Clone, PartialEq)]
pub struct NdArray<T, D: Dimension>(pub Array<T, D>);

impl<T: fmt::Debug, D: Dimension> fmt::Debug for NdArray<T, D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl<T: TensorElement, D: Dimension> Serialize for NdArray<T, D> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let tensor = Tensor::from_ndarray(&self.0).map_err(S::Error::custom)?;
        tensor.serialize(serializer)
    }
}

impl<'de, T: TensorElement, D: Dimension> Deserialize<'de> for NdArray<T, D> {
    fn deserialize<De: Deserializer<'de>>(deserializer: De) -> Result<Self, De::Error> {
        let tensor = Tensor::deserialize(deserializer)?;
        match tensor.to_ndarray() {
            Ok(array) => Ok(Self(array.into_owned())),
            Err(error) => {
                crate::value::shared::refuse();
                Err(De::Error::custom(error))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use ndarray::{Axis, Ix0, Ix1, Ix2, array};

    use super::*;
    use crate::value::{DType, Payload};

    #[test]
    fn arrays_in_c_order_are_not_copied() {
        let numbers = array![[1_i32, 2, 3], [4, 5, 6]];
        let place = numbers.as_ptr();
        let tensor = Tensor::try_from(numbers).unwrap();
        assert_eq!(tensor.data().as_ptr().cast(), place);
        let view = tensor.to_ndarray::<i32, Ix2>().unwrap();
        assert!(view.is_view());
        assert_eq!((view[[1, 0]], view.as_ptr()), (4, place));
    }

    #[test]
    fn other_layouts_are_copied_in_c_order() {
        let numbers = array![[1.0, 2.0], [3.0, 4.0]];
        let turned = Tensor::try_from(numbers.clone().reversed_axes()).unwrap();
        assert_eq!(turned.to_f64(), [1.0, 3.0, 2.0, 4.0]);
        let column = Tensor::from_ndarray(&numbers.column(1)).unwrap();
        assert_eq!(
            (column.shape(), column.to_f64()),
            (&[2][..], vec![2.0, 4.0])
        );
        let mut part = numbers;
        part.slice_axis_inplace(Axis(0), (1..).into());
        let part = Tensor::try_from(part).unwrap();
        assert_eq!((part.shape(), part.to_f64()), (&[1, 2][..], vec![3.0, 4.0]));
        let none = Tensor::try_from(Array::<f32, _>::zeros((0, 3))).unwrap();
        assert_eq!(none.to_ndarray::<f32, Ix2>().unwrap().shape(), [0, 3]);
        let one = Tensor::try_from(ndarray::arr0(7_u8)).unwrap();
        assert_eq!(one.to_ndarray::<u8, Ix0>().unwrap()[()], 7);
    }

    #[test]
    fn memory_of_any_alignment_is_read() {
        let data = array![1.0_f64, 2.0];
        for padding in 0..8 {
            // The text before it shifts the block in the payload.
            let payload = Payload::encode(&("x".repeat(padding), NdArray(data.clone()))).unwrap();
            let (_, back): (String, NdArray<f64, Ix1>) = payload.decode().unwrap();
            assert_eq!(back.0, data);
        }
    }

    #[test]
    fn errors_name_type_and_shape() {
        let tensor = Tensor::from(vec![1_i16, 2]);
        let error = tensor.to_ndarray::<i16, Ix2>().unwrap_err().to_string();
        assert_eq!(
            error,
            "the array (int16, shape [2]) does not have 2 dimensions"
        );
        let error = tensor.to_ndarray::<f32, Ix1>().unwrap_err().to_string();
        assert!(
            error.contains("int16 (shape [2])") && error.contains("float32"),
            "{error}"
        );
        let payload = Payload::encode(&tensor).unwrap();
        let error = payload
            .decode::<NdArray<u8, Ix1>>()
            .unwrap_err()
            .to_string();
        assert!(error.contains("int16 (shape [2])"), "{error}");
        let lists: NdArray<i64, Ix2> = Payload::encode(&[[1, 2]]).unwrap().decode().unwrap();
        assert_eq!(lists.0, array![[1, 2]]);
        assert_eq!(DType::Int64, Tensor::try_from(lists.0).unwrap().dtype());
    }
}
