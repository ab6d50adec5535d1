//! Conversion of cells of Arrow arrays into values.

use std::fmt::Debug;

use arrow_array::cast::AsArray;
use arrow_array::temporal_conversions::{as_date, as_datetime, as_time};
use arrow_array::types::{
    ArrowPrimitiveType, Date32Type, Date64Type, Decimal32Type, Decimal64Type, Decimal128Type,
    Decimal256Type, DecimalType, DurationMicrosecondType, DurationMillisecondType,
    DurationNanosecondType, DurationSecondType, Float16Type, Float32Type, Float64Type, Int8Type,
    Int16Type, Int32Type, Int64Type, Time32MillisecondType, Time32SecondType,
    Time64MicrosecondType, Time64NanosecondType, TimestampMicrosecondType,
    TimestampMillisecondType, TimestampNanosecondType, TimestampSecondType, UInt8Type, UInt16Type,
    UInt32Type, UInt64Type,
};
use arrow_array::{Array, OffsetSizeTrait};
use arrow_schema::{DataType, Field, TimeUnit};
use bytes::Bytes;

use super::extension::Cells;
use crate::value::Value;

/// Returns whether all cells of a type, at every depth, can be converted into values.
pub(super) fn has_values(data_type: &DataType) -> bool {
    match data_type {
        DataType::List(field)
        | DataType::LargeList(field)
        | DataType::FixedSizeList(field, _)
        | DataType::Map(field, _) => has_values(field.data_type()),
        DataType::Struct(fields) => fields.iter().all(|field| has_values(field.data_type())),
        DataType::Dictionary(_, values) => has_values(values),
        DataType::ListView(_)
        | DataType::LargeListView(_)
        | DataType::Union(..)
        | DataType::RunEndEncoded(..)
        | DataType::Interval(_) => false,
        _ => true,
    }
}

/// Returns the value of a cell. The type must [have values](has_values).
pub(super) fn value(array: &dyn Array, index: usize) -> Value {
    if array.is_null(index) {
        return Value::Null;
    }
    macro_rules! number {
        ($type:ty, $into:ty) => {
            Value::from(<$into>::from(array.as_primitive::<$type>().value(index)))
        };
    }
    match array.data_type() {
        DataType::Boolean => Value::Bool(array.as_boolean().value(index)),
        DataType::Int8 => number!(Int8Type, i64),
        DataType::Int16 => number!(Int16Type, i64),
        DataType::Int32 => number!(Int32Type, i64),
        DataType::Int64 => number!(Int64Type, i64),
        DataType::UInt8 => number!(UInt8Type, u64),
        DataType::UInt16 => number!(UInt16Type, u64),
        DataType::UInt32 => number!(UInt32Type, u64),
        DataType::UInt64 => number!(UInt64Type, u64),
        DataType::Float16 => number!(Float16Type, f64),
        DataType::Float32 => number!(Float32Type, f64),
        DataType::Float64 => number!(Float64Type, f64),
        DataType::Utf8 => Value::from(array.as_string::<i32>().value(index)),
        DataType::LargeUtf8 => Value::from(array.as_string::<i64>().value(index)),
        DataType::Utf8View => Value::from(array.as_string_view().value(index)),
        DataType::Binary => bytes(array.as_binary::<i32>().value(index)),
        DataType::LargeBinary => bytes(array.as_binary::<i64>().value(index)),
        DataType::BinaryView => bytes(array.as_binary_view().value(index)),
        DataType::FixedSizeBinary(_) => bytes(array.as_fixed_size_binary().value(index)),
        DataType::Decimal32(..) => decimal::<Decimal32Type>(array, index),
        DataType::Decimal64(..) => decimal::<Decimal64Type>(array, index),
        DataType::Decimal128(..) => decimal::<Decimal128Type>(array, index),
        DataType::Decimal256(..) => decimal::<Decimal256Type>(array, index),
        DataType::List(field) => list::<i32>(array, field, index),
        DataType::LargeList(field) => list::<i64>(array, field, index),
        DataType::FixedSizeList(field, _) => all(&*array.as_fixed_size_list().value(index), field),
        DataType::Struct(fields) => {
            let columns = array.as_struct().columns();
            let pairs = fields.iter().zip(columns);
            Value::Map(
                pairs
                    .map(|(field, column)| {
                        let cell = Cells::of(field).value(column, index);
                        (field.name().as_str().into(), cell)
                    })
                    .collect(),
            )
        }
        DataType::Map(..) => {
            let entries = array.as_map().value(index);
            let (keys, values) = (entries.column(0), entries.column(1));
            Value::Map(
                (0..entries.len())
                    .map(|at| (value(keys, at), value(values, at)))
                    .collect(),
            )
        }
        DataType::Dictionary(..) => key(array, index).map_or(Value::Null, |key| {
            value(array.as_any_dictionary().values(), key)
        }),
        other => time(array, other, index),
    }
}

/// Returns the place of a cell's value in its dictionary. `None` if it has none.
pub(super) fn key(array: &dyn Array, index: usize) -> Option<usize> {
    match value(array.as_any_dictionary().keys(), index) {
        Value::Int(key) => usize::try_from(key).ok(),
        _ => None,
    }
}

/// Returns the value of a date, a time or a time span.
fn time(array: &dyn Array, data_type: &DataType, index: usize) -> Value {
    use TimeUnit::{Microsecond, Millisecond, Nanosecond, Second};
    macro_rules! raw {
        ($type:ty) => {
            i64::from(array.as_primitive::<$type>().value(index))
        };
    }
    macro_rules! moment {
        ($type:ty, $zone:expr) => {
            text(as_datetime::<$type>(raw!($type)), raw!($type), |text| {
                let offset = if $zone.is_some() { "+00:00" } else { "" };
                Value::DateTime(format!("{text}{offset}"))
            })
        };
    }
    macro_rules! day {
        ($type:ty) => {
            text(as_date::<$type>(raw!($type)), raw!($type), Value::Date)
        };
    }
    macro_rules! clock {
        ($type:ty) => {
            text(as_time::<$type>(raw!($type)), raw!($type), Value::Time)
        };
    }
    match data_type {
        DataType::Timestamp(Second, zone) => moment!(TimestampSecondType, zone),
        DataType::Timestamp(Millisecond, zone) => moment!(TimestampMillisecondType, zone),
        DataType::Timestamp(Microsecond, zone) => moment!(TimestampMicrosecondType, zone),
        DataType::Timestamp(Nanosecond, zone) => moment!(TimestampNanosecondType, zone),
        DataType::Date32 => day!(Date32Type),
        DataType::Date64 => day!(Date64Type),
        DataType::Time32(Second) => clock!(Time32SecondType),
        DataType::Time32(_) => clock!(Time32MillisecondType),
        DataType::Time64(Nanosecond) => clock!(Time64NanosecondType),
        DataType::Time64(_) => clock!(Time64MicrosecondType),
        DataType::Duration(Second) => span(raw!(DurationSecondType), 1.0),
        DataType::Duration(Millisecond) => span(raw!(DurationMillisecondType), 1e3),
        DataType::Duration(Microsecond) => span(raw!(DurationMicrosecondType), 1e6),
        DataType::Duration(Nanosecond) => span(raw!(DurationNanosecondType), 1e9),
        _ => Value::Null,
    }
}

/// Returns a moment as ISO 8601 text, which is the `Debug` output of the types for times. A moment
/// that they cannot hold stays a plain number.
fn text(moment: Option<impl Debug>, raw: i64, value: impl FnOnce(String) -> Value) -> Value {
    moment.map_or(Value::Int(raw), |moment| value(format!("{moment:?}")))
}

/// Returns a time span in seconds, as in JSON.
fn span(count: i64, per_second: f64) -> Value {
    Value::Float(count as f64 / per_second)
}

fn bytes(data: &[u8]) -> Value {
    Value::Bytes(Bytes::copy_from_slice(data))
}

fn decimal<T: DecimalType + ArrowPrimitiveType>(array: &dyn Array, index: usize) -> Value {
    Value::Decimal(array.as_primitive::<T>().value_as_string(index))
}

fn list<O: OffsetSizeTrait>(array: &dyn Array, field: &Field, index: usize) -> Value {
    all(&*array.as_list::<O>().value(index), field)
}

fn all(items: &dyn Array, field: &Field) -> Value {
    let cells = Cells::of(field);
    let items = (0..items.len()).map(|index| cells.value(items, index));
    Value::List(items.collect())
}
