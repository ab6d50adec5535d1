//! Encoding of a [`Tensor`] as an extension; decoding from an extension, or from nested lists.

use serde::de::{Deserialize, Deserializer, Error};
use serde::ser::{Serialize, Serializer};

use super::Value;
use super::kinds::{code, write};
use crate::value::{DType, Tensor, TimeStep};

/// Version of the block's layout.
const VERSION: u8 = 1;

/// Bytes of the fixed header: version, type, number of dimensions, unit and number of units of a
/// time.
const FIXED: usize = 8;

impl Serialize for Tensor {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let shape = self.shape();
        let mut block = Vec::with_capacity(FIXED + 8 * shape.len() + self.data().len());
        let dimensions = u8::try_from(shape.len()).expect("dimensions are limited");
        let (unit, count) = self
            .dtype()
            .step()
            .map_or((0, 0), |step| (step.unit() as u8, step.count()));
        block.extend_from_slice(&[VERSION, self.dtype().code(), dimensions, unit]);
        block.extend_from_slice(&count.to_le_bytes());
        for length in shape {
            block.extend_from_slice(&(*length as u64).to_le_bytes());
        }
        block.extend_from_slice(self.data());
        write(serializer, code::ARRAY, &block)
    }
}

/// Decodes a block; the array shares its memory.
pub(super) fn read(block: &bytes::Bytes) -> Result<Tensor, String> {
    let Some(&[version, dtype, dimensions, unit, ref count @ ..]) = block.first_chunk::<FIXED>()
    else {
        return Err("the header of an array is cut short".to_owned());
    };
    if version != VERSION {
        return Err(format!("version {version} of arrays is unknown"));
    }
    let step = TimeStep::from_wire(unit, u32::from_le_bytes(*count));
    let dtype = DType::from_wire(dtype, step)
        .ok_or_else(|| format!("type {dtype} of array elements is unknown"))?;
    let data = FIXED + 8 * usize::from(dimensions);
    let Some(lengths) = block.get(FIXED..data) else {
        return Err("the shape of an array is cut short".to_owned());
    };
    let shape = lengths.chunks_exact(8).map(|length| {
        let length = u64::from_le_bytes(length.try_into().expect("the chunks have 8 bytes"));
        usize::try_from(length).map_err(|_| "the shape of an array is too large".to_owned())
    });
    let shape = shape.collect::<Result<Vec<_>, _>>()?;
    Tensor::new(dtype, shape, block.slice(data..)).map_err(|error| error.to_string())
}

impl<'de> Deserialize<'de> for Tensor {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Value::deserialize(deserializer)? {
            Value::Array(tensor) => Ok(tensor),
            value => Self::from_lists(&value, None).map_err(|found| {
                D::Error::custom(format_args!("expected an array of numbers, got {found}"))
            }),
        }
    }
}
