//! Conversion of nested lists into arrays.

use super::{DType, Tensor};
use crate::value::{Value, kind_of};

impl Tensor {
    /// Converts nested lists of equal lengths, or a single number, into an array. The elements
    /// become `dtype`; without it, the type that fits all of them: truth values, integers of 64
    /// bits (signed if possible), else 64-bit floats. The error is the reason why they do not fit.
    pub(crate) fn from_lists(value: &Value, dtype: Option<DType>) -> Result<Self, String> {
        let mut shape = Vec::new();
        measure(value, &mut shape)?;
        let dtype = match dtype {
            Some(dtype) => dtype,
            None => {
                let mut kinds = Kinds::default();
                kinds.look(value)?;
                kinds.dtype()
            }
        };
        let mut data = Vec::new();
        write(value, &shape, dtype, &mut data)?;
        Self::new(dtype, shape, data).map_err(|error| error.to_string())
    }
}

/// Derives the shape from the first item of each level.
fn measure(value: &Value, shape: &mut Vec<usize>) -> Result<(), String> {
    let Value::List(items) = value else {
        return Ok(());
    };
    if shape.len() == Tensor::MAX_DIMENSIONS {
        return Err(format!(
            "a list nested deeper than {} levels",
            Tensor::MAX_DIMENSIONS
        ));
    }
    shape.push(items.len());
    items.first().map_or(Ok(()), |first| measure(first, shape))
}

/// The kinds of elements that occur.
#[derive(Default)]
struct Kinds {
    truth: bool,
    negative: bool,
    large: bool,
    whole: bool,
    float: bool,
}

impl Kinds {
    fn look(&mut self, value: &Value) -> Result<(), String> {
        match value {
            Value::List(items) => items.iter().try_for_each(|item| self.look(item))?,
            Value::Bool(_) => self.truth = true,
            Value::Int(number) => {
                (self.whole, self.negative) = (true, self.negative || *number < 0)
            }
            Value::UInt(_) => (self.whole, self.large) = (true, true),
            Value::Float(_) => self.float = true,
            other => return Err(wrong(other)),
        }
        Ok(())
    }

    const fn dtype(&self) -> DType {
        match self {
            Self {
                truth: true,
                whole: false,
                float: false,
                ..
            } => DType::Bool,
            Self { float: true, .. } | Self { whole: false, .. } => DType::Float64,
            Self { large: false, .. } => DType::Int64,
            Self {
                negative: false, ..
            } => DType::UInt64,
            _ => DType::Float64,
        }
    }
}

fn write(value: &Value, shape: &[usize], dtype: DType, data: &mut Vec<u8>) -> Result<(), String> {
    match (value, shape.split_first()) {
        (Value::List(items), Some((length, rest))) => {
            if items.len() != *length {
                return Err("a list whose rows have different lengths".into());
            }
            items
                .iter()
                .try_for_each(|item| write(item, rest, dtype, data))
        }
        (Value::List(_), None) | (_, Some(_)) => Err("a list whose rows nest differently".into()),
        (element, None) => self::element(element, dtype, data),
    }
}

fn element(item: &Value, dtype: DType, data: &mut Vec<u8>) -> Result<(), String> {
    let cannot = || format!("a list with {item}, which {dtype} cannot hold");
    macro_rules! whole {
        ($type:ty) => {{
            let value = match item {
                Value::Int(value) => <$type>::try_from(*value).ok(),
                Value::UInt(value) => <$type>::try_from(*value).ok(),
                _ => return Err(wrong(item)),
            };
            data.extend_from_slice(&value.ok_or_else(cannot)?.to_le_bytes());
        }};
    }
    // An integer must keep its digits.
    let float = || match item {
        Value::Float(value) => Ok(*value),
        Value::Int(value) if (*value as f64) as i128 == i128::from(*value) => Ok(*value as f64),
        Value::UInt(value) if (*value as f64) as u128 == u128::from(*value) => Ok(*value as f64),
        Value::Int(_) | Value::UInt(_) => Err(cannot()),
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
        _ => {
            return Err(format!(
                "a list, but elements of {dtype} must be passed as an array"
            ));
        }
    }
    Ok(())
}

fn wrong(item: &Value) -> String {
    format!("a list with {}", kind_of(item))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list<T: Into<Value>>(items: impl IntoIterator<Item = T>) -> Value {
        Value::List(items.into_iter().map(Into::into).collect())
    }

    fn of(value: &Value, dtype: Option<DType>) -> Result<Tensor, String> {
        Tensor::from_lists(value, dtype)
    }

    #[test]
    fn lists_become_arrays_of_what_their_items_are() {
        let rows = list([list([1.0, 2.0]), list([3.0, 4.0]), list([5, 6])]);
        let tensor = of(&rows, None).unwrap();
        assert_eq!(
            (tensor.shape(), tensor.dtype()),
            (&[3, 2][..], DType::Float64)
        );
        assert_eq!(tensor.to_f64(), [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
        let large = u64::MAX;
        for (value, dtype, shape) in [
            (list([1, -2]), DType::Int64, &[2][..]),
            (list([1.into(), Value::UInt(large)]), DType::UInt64, &[2]),
            (list([true, false]), DType::Bool, &[2]),
            (list([0.5.into(), Value::Int(1)]), DType::Float64, &[2]),
            (Value::List(vec![]), DType::Float64, &[0]),
            (
                list([Value::List(vec![]), Value::List(vec![])]),
                DType::Float64,
                &[2, 0],
            ),
            (Value::Int(7), DType::Int64, &[]),
        ] {
            let tensor = of(&value, None).unwrap();
            assert_eq!((tensor.dtype(), tensor.shape()), (dtype, shape), "{value}");
        }
        assert_eq!(
            of(&list([1, 2]), Some(DType::Int8)).unwrap().data()[..],
            [1, 2]
        );
    }

    #[test]
    fn what_is_wrong_is_said() {
        let found = |value, dtype| of(&value, dtype).unwrap_err();
        assert!(found(list([list([1]), list([1, 2])]), None).contains("different lengths"));
        assert!(found(list([list([1]), 2.into()]), None).contains("nest differently"));
        assert!(found(list(["x"]), None).contains("text"));
        assert!(found(list([Value::Bool(true), 1.into()]), None).contains("a truth value"));
        assert!(found(list([300]), Some(DType::UInt8)).contains("uint8 cannot hold"));
        assert!(found(list([1.5]), Some(DType::Int8)).contains("a float"));
        assert!(found(list([1.5]), Some(DType::Complex64)).contains("as an array"));
        let digits = (1_i64 << 53) + 1;
        assert!(
            found(list([0.5.into(), Value::Int(digits)]), None).contains("float64 cannot hold")
        );
        assert!(found(list([Value::Int(-1), Value::UInt(u64::MAX)]), None).contains("cannot hold"));
    }
}
