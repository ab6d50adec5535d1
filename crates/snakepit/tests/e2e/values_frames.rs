//! Samples of data frames and columns: further rows of the table of values.

use std::sync::Arc;

use arrow_array::{ArrayRef, Float64Array, Int64Array, RecordBatch};
use snakepit::{DataFrame, DataFrameKind, Value};

use crate::values_table::{Sample, same};

/// A frame of the columns `x` and `n`.
fn frame(kind: DataFrameKind) -> Value {
    let numbers: ArrayRef = Arc::new(Float64Array::from(vec![1.5, -0.0]));
    let counts: ArrayRef = Arc::new(Int64Array::from(vec![1, i64::MAX]));
    let batch =
        RecordBatch::try_from_iter_with_nullable([("x", numbers, true), ("n", counts, true)]);
    let frame = DataFrame::try_from(&batch.unwrap()).unwrap();
    Value::DataFrame(frame.with_kind(kind))
}

/// A column, whose second value is missing unless it is of pandas.
fn column(kind: DataFrameKind, name: &str) -> Value {
    let second = (kind == DataFrameKind::PandasSeries).then_some(2);
    let numbers: ArrayRef = Arc::new(Int64Array::from_iter([Some(1), second, Some(3)]));
    let batch = RecordBatch::try_from_iter_with_nullable([(name, numbers, true)]);
    let column = DataFrame::try_from(&batch.unwrap()).unwrap();
    Value::DataFrame(column.with_kind(kind))
}

/// Frames and series of pandas.
pub(crate) const PANDAS: &[Sample] = &[
    same(
        "pd.DataFrame({'x': [1.5, -0.0], 'n': [1, 2**63 - 1]})",
        || frame(DataFrameKind::PandasFrame),
    ),
    same("pd.Series([1, 2, 3], name='n')", || {
        column(DataFrameKind::PandasSeries, "n")
    }),
];

/// Frames and series of polars.
pub(crate) const POLARS: &[Sample] = &[
    same(
        "pl.DataFrame({'x': [1.5, -0.0], 'n': [1, 2**63 - 1]})",
        || frame(DataFrameKind::PolarsFrame),
    ),
    same("pl.Series('n', [1, None, 3])", || {
        column(DataFrameKind::PolarsSeries, "n")
    }),
];

/// Tables, batches and arrays of pyarrow.
pub(crate) const PYARROW: &[Sample] = &[
    same("pa.table({'x': [1.5, -0.0], 'n': [1, 2**63 - 1]})", || {
        frame(DataFrameKind::Table)
    }),
    same(
        "pa.record_batch({'x': [1.5, -0.0], 'n': [1, 2**63 - 1]})",
        || frame(DataFrameKind::RecordBatch),
    ),
    same("pa.array([1, None, 3])", || {
        column(DataFrameKind::Array, "")
    }),
    same("pa.chunked_array([[1, None, 3]])", || {
        column(DataFrameKind::ChunkedArray, "")
    }),
];
