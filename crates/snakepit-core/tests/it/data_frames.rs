//! Data frames: record batches in and out, records in JSON, and streams that are not what they say.
#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests panic when the data they make is refused"
)]

use std::sync::Arc;

use arrow_array::types::Int8Type;
use arrow_array::{
    Array, ArrayRef, BooleanArray, Date32Array, Decimal128Array, DictionaryArray, Float64Array,
    Int64Array, ListArray, NullArray, RecordBatch, StringArray, StringViewArray, StructArray,
    Time64NanosecondArray, TimestampMicrosecondArray, UInt64Array,
};
use arrow_schema::{DataType, Field, Schema};
use proptest::prelude::*;
use proptest::sample::Index;
use snakepit_core::value::{DataFrame, DataFrameError, DataFrameKind, JsonError, Payload, Value};

fn batch(columns: impl IntoIterator<Item = (&'static str, ArrayRef)>) -> RecordBatch {
    RecordBatch::try_from_iter_with_nullable(
        columns
            .into_iter()
            .map(|(name, column)| (name, column, true)),
    )
    .unwrap()
}

fn all_kinds() -> RecordBatch {
    let list = ListArray::from_iter_primitive::<arrow_array::types::Int64Type, _, _>([
        Some(vec![Some(1), None]),
        None,
    ]);
    let inner: ArrayRef = Arc::new(Int64Array::from(vec![1, 2]));
    let records = StructArray::from(vec![(
        Arc::new(Field::new("x", DataType::Int64, true)),
        inner,
    )]);
    let dictionary: DictionaryArray<Int8Type> = [Some("a"), None].into_iter().collect();
    let decimals = Decimal128Array::from(vec![Some(150), None]);
    let decimals = decimals.with_precision_and_scale(10, 2).unwrap();
    batch([
        (
            "number",
            Arc::new(Float64Array::from(vec![Some(1.5), None])) as _,
        ),
        ("whole", Arc::new(UInt64Array::from(vec![u64::MAX, 0])) as _),
        (
            "flag",
            Arc::new(BooleanArray::from(vec![Some(true), None])) as _,
        ),
        (
            "text",
            Arc::new(StringArray::from(vec![Some("ä"), None])) as _,
        ),
        (
            "view",
            Arc::new(StringViewArray::from(vec![
                "a longer text than twelve",
                "b",
            ])) as _,
        ),
        (
            "day",
            Arc::new(Date32Array::from(vec![Some(19_723), None])) as _,
        ),
        (
            "moment",
            Arc::new(TimestampMicrosecondArray::from(vec![1_500_000, -1]).with_timezone("UTC"))
                as _,
        ),
        (
            "clock",
            Arc::new(Time64NanosecondArray::from(vec![1, 3_600_000_000_000])) as _,
        ),
        ("price", Arc::new(decimals) as _),
        ("list", Arc::new(list) as _),
        ("record", Arc::new(records) as _),
        ("category", Arc::new(dictionary) as _),
        ("nothing", Arc::new(NullArray::new(2)) as _),
    ])
}

fn frame_of(batch: &RecordBatch) -> DataFrame {
    DataFrame::try_from(batch).unwrap()
}

#[test]
fn record_batches_survive_and_share_the_memory_of_their_payload() {
    let numbers: ArrayRef = Arc::new(Float64Array::from_iter_values((0..20_000).map(f64::from)));
    let large = batch([("a", numbers)]);
    for batch in [all_kinds(), large.clone()] {
        let frame = DataFrame::from_batches(batch.schema_ref(), [&batch, &batch]).unwrap();
        let payload = Payload::encode(&("x", frame)).unwrap();
        let (_, back): (String, DataFrame) = payload.decode().unwrap();
        let batches = Vec::<RecordBatch>::try_from(&back).unwrap();
        assert_eq!(batches, [batch.clone(), batch]);
        let buffer = batches[0].column(0).to_data().buffers()[0].as_ptr() as usize;
        let within = payload.bytes.as_ptr_range();
        if batches[0].num_rows() > 2 {
            assert!((within.start as usize..within.end as usize).contains(&buffer));
        }
    }
}

#[test]
fn frames_without_rows_or_columns_survive() {
    let schema = Schema::new(vec![Field::new("a", DataType::Int8, true)]);
    let frame = DataFrame::from_batches(&schema, []).unwrap();
    let mut batches = frame.batches().unwrap();
    assert!(batches.next().is_none() && batches.next().is_none());
    assert_eq!(frame.to_records().unwrap(), Value::List(vec![]));
    let none = DataFrame::from_batches(&Schema::empty(), []).unwrap();
    assert_eq!(none.batches().unwrap().count(), 0);
    let wrong = DataFrame::from_batches(&schema, [&all_kinds()]).unwrap_err();
    assert!(matches!(wrong, DataFrameError::Unwritable(_)), "{wrong}");
}

#[test]
fn json_shows_frames_as_records() {
    let value = Value::Map(vec![("f".into(), frame_of(&all_kinds()).into())]);
    let text = value.json_text().unwrap().to_string();
    let first = concat!(
        r#"{"number":1.5,"whole":18446744073709551615,"flag":true,"text":"ä","view":"a longer text than twelve","#,
        r#""day":"2024-01-01","moment":"1970-01-01T00:00:01.500+00:00","clock":"00:00:00.000000001","price":"1.50","#,
        r#""list":[1,null],"record":{"x":1},"category":"a","nothing":null}"#,
    );
    assert!(text.starts_with(&format!(r#"{{"f":[{first},"#)), "{text}");
    let read: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(read, value.to_json().unwrap());
    let column = batch([("x", Arc::new(Int64Array::from(vec![Some(1), None])) as _)]);
    let series = frame_of(&column).with_kind(DataFrameKind::PandasSeries);
    assert_eq!(
        Value::from(series).json_text().unwrap().to_string(),
        "[1,null]"
    );
    let names = Arc::new(StringArray::from(vec!["a", "b"])) as _;
    let counts = batch([
        ("count", Arc::new(Int64Array::from(vec![2, 1])) as _),
        ("k", names),
    ]);
    let series = frame_of(&counts).with_kind(DataFrameKind::PandasSeries);
    assert_eq!(
        Value::from(series).json_text().unwrap().to_string(),
        r#"[{"count":2,"k":"a"},{"count":1,"k":"b"}]"#
    );
}

#[test]
fn what_json_lacks_is_refused() {
    let refused = |frame: DataFrame| Value::from(frame).to_json().unwrap_err();
    let schema = Schema::new(vec![Field::new("a", DataType::Null, true); 2]);
    let twice = RecordBatch::try_new(
        schema.into(),
        vec![Arc::new(NullArray::new(1)), Arc::new(NullArray::new(1))],
    );
    assert_eq!(
        refused(frame_of(&twice.unwrap())),
        JsonError::SameKey("a".into())
    );
    let absurd = batch([("a", Arc::new(NullArray::new(1 << 40)) as _)]);
    let error = refused(frame_of(&absurd));
    assert!(matches!(error, JsonError::DataFrame(_)), "{error}");
    let spans = arrow_array::IntervalYearMonthArray::from(vec![1]);
    let error = refused(frame_of(&batch([("a", Arc::new(spans) as _)])));
    assert!(error.to_string().contains("column `a`"), "{error}");
    let garbage = DataFrame::from_ipc(vec![1, 2, 3]);
    assert!(garbage.batches().is_err());
    assert_eq!(
        Value::from(garbage).json_preview(50),
        r#""<pyarrow.Table of 3 bytes>""#
    );
}

#[test]
fn texts_that_share_their_bytes_do_not_grow_without_measure() {
    let long = "x".repeat(1 << 20);
    let keys = arrow_array::Int8Array::from(vec![0; 1000]);
    let values: ArrayRef = Arc::new(StringArray::from(vec![long.as_str()]));
    let column = DictionaryArray::<Int8Type>::try_new(keys, values).unwrap();
    let error = frame_of(&batch([("a", Arc::new(column) as _)]))
        .to_records()
        .unwrap_err();
    assert!(error.to_string().contains("too much memory"), "{error}");
}

/// Reads everything that can be read, and ignores the result.
fn read(ipc: Vec<u8>, kind: DataFrameKind) {
    let frame = DataFrame::from_ipc(ipc).with_kind(kind);
    if let Ok(batches) = frame.batches() {
        for batch in batches.flatten() {
            let _ = batch.get_array_memory_size();
        }
    }
    let _ = frame.to_records();
    let _ = Value::from(frame).json_preview(200);
}

fn kind() -> impl Strategy<Value = DataFrameKind> {
    proptest::sample::select(DataFrameKind::ALL)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn damaged_streams_are_batches_or_errors(
        changes in proptest::collection::vec((any::<Index>(), any::<u8>()), 0..6),
        end in proptest::option::of(any::<Index>()),
        kind in kind(),
    ) {
        let mut ipc = frame_of(&all_kinds()).ipc().to_vec();
        for (at, byte) in changes {
            let at = at.index(ipc.len());
            ipc[at] = byte;
        }
        if let Some(end) = end {
            ipc.truncate(end.index(ipc.len()));
        }
        read(ipc, kind);
    }

    #[test]
    fn any_bytes_are_no_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200), kind in kind()) {
        read(bytes, kind);
    }

    #[test]
    fn misaligned_streams_are_read(shift in 0_usize..64, rows in 0_i64..100) {
        let column: ArrayRef = Arc::new(Int64Array::from_iter_values(0..rows));
        let batch = batch([("a", column)]);
        let ipc = frame_of(&batch).ipc().clone();
        let mut shifted = vec![0; shift];
        shifted.extend_from_slice(&ipc);
        let frame = DataFrame::from_ipc(bytes::Bytes::from(shifted).slice(shift..));
        let back = Vec::<RecordBatch>::try_from(&frame).unwrap();
        prop_assert_eq!(back, vec![batch]);
    }
}
