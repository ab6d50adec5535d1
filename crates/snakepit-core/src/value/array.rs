//! Writes a [`Tensor`] as an extension; reads it from one, or from nested lists.

use serde::de::{Deserialize, Deserializer, Error};
use serde::ser::{Serialize, Serializer};

use super::Value;
use super::kinds::{code, write};
use crate::{DType, Tensor};

/// Version of the block's layout.
const VERSION: u8 = 1;

/// Version, type, number of dimensions, padding.
const FIXED: usize = 8;

impl Serialize for Tensor {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let shape = self.shape();
        let mut block = Vec::with_capacity(FIXED + 8 * shape.len() + self.data().len());
        let dimensions = u8::try_from(shape.len()).expect("dimensions are limited");
        block.extend_from_slice(&[VERSION, self.dtype().code(), dimensions, 0, 0, 0, 0, 0]);
        for length in shape {
            block.extend_from_slice(&(*length as u64).to_le_bytes());
        }
        block.extend_from_slice(self.data());
        write(serializer, code::ARRAY, &block)
    }
}

/// Reads a block; the array shares its memory.
pub(super) fn read(block: &bytes::Bytes) -> Result<Tensor, String> {
    let Some(&[version, dtype, dimensions, ..]) = block.first_chunk::<FIXED>() else {
        return Err("the header of an array is cut short".to_owned());
    };
    if version != VERSION {
        return Err(format!("version {version} of arrays is unknown"));
    }
    let dtype = DType::from_code(dtype)
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
        let value = Value::deserialize(deserializer)?;
        if let Value::Array(tensor) = value {
            return Ok(tensor);
        }
        nested(&value).ok_or_else(|| D::Error::custom("expected an array of numbers"))
    }
}

/// The array of nested lists of equal lengths: truth values, whole numbers, or floating-point numbers as soon as there is one.
fn nested(value: &Value) -> Option<Tensor> {
    let mut shape = Vec::new();
    let mut inner = value;
    while let Value::List(items) = inner {
        shape.push(items.len());
        match items.first() {
            Some(first) => inner = first,
            None => break,
        }
    }
    let mut leaves = Vec::new();
    flatten(value, &shape, &mut leaves)?;
    let tensor = if let Some(flags) = each(&leaves, |leaf| match leaf {
        Value::Bool(flag) => Some(u8::from(*flag)),
        _ => None,
    }) && !flags.is_empty()
    {
        Tensor::new(DType::Bool, [flags.len()], flags).ok()?
    } else if let Some(numbers) = each(&leaves, |leaf| match leaf {
        Value::Int(number) => Some(*number),
        _ => None,
    }) && !numbers.is_empty()
    {
        Tensor::from(numbers)
    } else {
        Tensor::from(each(&leaves, |leaf| match leaf {
            Value::Float(number) => Some(*number),
            Value::Int(number) => Some(*number as f64),
            Value::UInt(number) => Some(*number as f64),
            _ => None,
        })?)
    };
    tensor.reshape(shape).ok()
}

fn flatten<'a>(value: &'a Value, shape: &[usize], leaves: &mut Vec<&'a Value>) -> Option<()> {
    match (shape.split_first(), value) {
        (None, leaf) => leaves.push(leaf),
        (Some((length, rest)), Value::List(items)) if items.len() == *length => {
            for item in items {
                flatten(item, rest, leaves)?;
            }
        }
        _ => return None,
    }
    Some(())
}

fn each<T>(leaves: &[&Value], convert: impl Fn(&Value) -> Option<T>) -> Option<Vec<T>> {
    leaves.iter().map(|leaf| convert(leaf)).collect()
}
