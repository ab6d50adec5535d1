//! Conversion of values of embeddings and tensors into arrays.

use crate::value::{DType, Tensor, Value};

/// Converts a value into an array. Accepts an array, nested lists of numbers, or a map of `shape`
/// and `data`. The error is the reason why the value cannot be converted.
///
/// Lists become `dtype`, or with `None` the type that fits their items. Arrays keep their type.
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
        list @ Value::List(_) => Tensor::from_lists(&list, dtype),
        other => Err(crate::value::kind_of(&other)),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_map_of_shape_and_data_is_an_array() {
        let list = |items: &[i64]| Value::List(items.iter().copied().map(Value::Int).collect());
        let map = |shape: Value, data: Value| {
            Value::Map(vec![("shape".into(), shape), ("data".into(), data)])
        };
        let tensor = of(map(list(&[2, 2]), list(&[1, 2, 3, 4])), Some(DType::Int8)).unwrap();
        assert_eq!((tensor.shape(), tensor.dtype()), (&[2, 2][..], DType::Int8));
        let short = of(map(list(&[2, 2]), list(&[1])), None).unwrap_err();
        assert!(short.contains("1 elements"), "{short}");
        assert!(of(map(list(&[-1]), list(&[1])), None).is_err());
        assert!(of(Value::Map(vec![]), None).is_err());
    }
}
