//! Conversion of lists of numbers into arrays.

use crate::{DType, Tensor, Value};

/// Converts a value into an array: an array itself, nested lists of numbers, or a map of `shape`
/// and `data`. The error says why that is impossible.
///
/// Lists become `dtype`; `None` for 64-bit floats. Arrays are not converted.
pub(super) fn of(value: Value, dtype: Option<DType>) -> Result<Tensor, String> {
    match value {
        Value::Array(tensor) => Ok(tensor),
        Value::Map(_) => {
            let (Some(shape), Some(data)) = (value.get("shape"), value.get("data")) else {
                return Err("a map without `shape` and `data`".into());
            };
            let shape = lengths(shape).ok_or("a map whose `shape` is not a list of lengths")?;
            let tensor = of(data.clone(), dtype)?;
            tensor.reshape(shape).map_err(|_| {
                let n = tensor.len();
                format!("a map whose `data` has {n} elements, which its `shape` does not")
            })
        }
        Value::List(items) => {
            let mut shape = Vec::new();
            measure(&items, &mut shape)?;
            let dtype = dtype.unwrap_or(DType::Float64);
            let mut data = Vec::with_capacity(dtype.size() * items.len());
            write(&items, &shape, dtype, &mut data)?;
            Tensor::new(dtype, shape, data).map_err(|error| error.to_string())
        }
        other => Err(super::spec::describe(&other)),
    }
}

fn lengths(shape: &Value) -> Option<Vec<usize>> {
    let Value::List(items) = shape else {
        return None;
    };
    let length = |item: &Value| match item {
        Value::Int(length) => usize::try_from(*length).ok(),
        _ => None,
    };
    items.iter().map(length).collect()
}

/// Measures the shape by the first item of each level.
fn measure(items: &[Value], shape: &mut Vec<usize>) -> Result<(), String> {
    if shape.len() == Tensor::MAX_DIMENSIONS {
        return Err(format!(
            "a list nested deeper than {} levels",
            Tensor::MAX_DIMENSIONS
        ));
    }
    shape.push(items.len());
    match items.first() {
        Some(Value::List(inner)) => measure(inner, shape),
        _ => Ok(()),
    }
}

fn write(items: &[Value], shape: &[usize], dtype: DType, data: &mut Vec<u8>) -> Result<(), String> {
    let (length, rest) = shape.split_first().expect("one length for each level");
    if items.len() != *length {
        return Err("a list whose rows have different lengths".into());
    }
    for item in items {
        match (item, rest) {
            (Value::List(inner), [_, ..]) => write(inner, rest, dtype, data)?,
            (item, []) => element(item, dtype, data)?,
            _ => return Err("a list whose rows nest differently".into()),
        }
    }
    Ok(())
}

fn element(item: &Value, dtype: DType, data: &mut Vec<u8>) -> Result<(), String> {
    macro_rules! whole {
        ($type:ty) => {{
            let value = match item {
                Value::Int(value) => <$type>::try_from(*value).ok(),
                Value::UInt(value) => <$type>::try_from(*value).ok(),
                _ => return Err(wrong(item)),
            };
            let value =
                value.ok_or_else(|| format!("a list with {item}, which {dtype} cannot hold"))?;
            data.extend_from_slice(&value.to_le_bytes());
        }};
    }
    let float = || match item {
        Value::Float(value) => Ok(*value),
        Value::Int(value) => Ok(*value as f64),
        Value::UInt(value) => Ok(*value as f64),
        _ => Err(wrong(item)),
    };
    match dtype {
        DType::Float32 => data.extend_from_slice(&(float()? as f32).to_le_bytes()),
        DType::Float64 => data.extend_from_slice(&float()?.to_le_bytes()),
        DType::Int8 => whole!(i8),
        DType::Int16 => whole!(i16),
        DType::Int32 => whole!(i32),
        DType::Int64 => whole!(i64),
        DType::UInt8 => whole!(u8),
        DType::UInt16 => whole!(u16),
        DType::UInt32 => whole!(u32),
        DType::UInt64 => whole!(u64),
        DType::Bool => match item {
            Value::Bool(value) => data.push(u8::from(*value)),
            _ => return Err(wrong(item)),
        },
    }
    Ok(())
}

fn wrong(item: &Value) -> String {
    format!("a list with {}", super::spec::describe(item))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list<T: Into<Value>>(items: impl IntoIterator<Item = T>) -> Value {
        Value::List(items.into_iter().map(Into::into).collect())
    }

    #[test]
    fn lists_become_arrays() {
        let rows = list([list([1.0, 2.0]), list([3.0, 4.0]), list([5, 6])]);
        let tensor = of(rows, None).unwrap();
        assert_eq!(
            (tensor.shape(), tensor.dtype()),
            (&[3, 2][..], DType::Float64)
        );
        assert_eq!(tensor.to_f64(), [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
        let map = Value::Map(vec![
            ("shape".into(), list([2_i64, 2])),
            ("data".into(), list([1, 2, 3, 4])),
        ]);
        assert_eq!(of(map, Some(DType::Int8)).unwrap().shape(), [2, 2]);
    }

    #[test]
    fn what_is_wrong_is_said() {
        let found = |value, dtype| of(value, dtype).unwrap_err();
        assert!(found(list([list([1]), list([1, 2])]), None).contains("different lengths"));
        assert!(found(list([list([1]), 2.into()]), None).contains("nest differently"));
        assert!(found(list(["x"]), None).contains("text"));
        assert!(found(list([300]), Some(DType::UInt8)).contains("uint8 cannot hold"));
        assert!(found(list([1.5]), Some(DType::Int8)).contains("a float"));
    }
}
