//! Streams of Arrow that say little and mean much: parts that are shared within their metadata,
//! buffers and dictionaries that are used many times, names and texts that are in every record.
#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests panic when the data they make is refused"
)]

use std::sync::Arc;

use arrow_array::types::{Int8Type, Int32Type};
use arrow_array::{
    Array, ArrayRef, BooleanArray, DictionaryArray, Int8Array, Int32Array, ListArray, RecordBatch,
    StringArray,
};
use arrow_buffer::OffsetBuffer;
use arrow_ipc::writer::{DictionaryHandling, IpcWriteOptions, StreamWriter};
use arrow_ipc::{
    Buffer, Field as IpcField, FieldArgs, FieldNode, Int, IntArgs, Message, MessageArgs,
    MessageHeader, MetadataVersion, RecordBatch as IpcBatch, RecordBatchArgs, Schema as IpcSchema,
    SchemaArgs, Struct_, Struct_Args, Type,
};
use arrow_schema::{DataType, Field, Schema};
use flatbuffers::{FlatBufferBuilder, UnionWIPOffset, WIPOffset};
use snakepit_core::value::{DataFrame, Value};

type Builder<'a> = FlatBufferBuilder<'a>;

/// Appends a message of this header and body to a stream.
fn message(
    stream: &mut Vec<u8>,
    mut builder: Builder<'_>,
    header_type: MessageHeader,
    header: WIPOffset<UnionWIPOffset>,
    body: &[u8],
) {
    let args = MessageArgs {
        version: MetadataVersion::V5,
        header_type,
        header: Some(header),
        bodyLength: body.len() as i64,
        custom_metadata: None,
    };
    let message = Message::create(&mut builder, &args);
    builder.finish(message, None);
    let metadata = builder.finished_data();
    let length = metadata.len().next_multiple_of(8);
    stream.extend([0xff; 4]);
    stream.extend((length as u32).to_le_bytes());
    stream.extend_from_slice(metadata);
    stream.resize(stream.len() + length - metadata.len(), 0);
    stream.extend_from_slice(body);
}

fn schema<'a>(stream: &mut Vec<u8>, mut builder: Builder<'a>, fields: &[WIPOffset<IpcField<'a>>]) {
    let fields = Some(builder.create_vector(fields));
    let args = SchemaArgs {
        fields,
        ..SchemaArgs::default()
    };
    let header = IpcSchema::create(&mut builder, &args).as_union_value();
    message(stream, builder, MessageHeader::Schema, header, &[]);
}

fn int8(builder: &mut Builder<'_>) -> WIPOffset<UnionWIPOffset> {
    let args = IntArgs {
        bitWidth: 8,
        is_signed: true,
    };
    Int::create(builder, &args).as_union_value()
}

fn fault(stream: Vec<u8>) -> String {
    let error = DataFrame::from_ipc(stream).batches().unwrap_err();
    error.to_string()
}

#[test]
fn a_name_that_many_fields_share_is_not_copied_for_each() {
    let mut builder = Builder::new();
    let name = builder.create_string(&"n".repeat(1 << 20));
    let fields: Vec<_> = (0..500)
        .map(|_| {
            let args = FieldArgs {
                name: Some(name),
                type_type: Type::Int,
                type_: Some(int8(&mut builder)),
                ..FieldArgs::default()
            };
            IpcField::create(&mut builder, &args)
        })
        .collect();
    let mut stream = Vec::new();
    schema(&mut stream, builder, &fields);
    let error = fault(stream);
    assert!(error.contains("malformed"), "{error}");
}

/// Appends a schema of a struct of two structs, and so on, each of which is the same one twice.
fn doubling(stream: &mut Vec<u8>) {
    let mut builder = Builder::new();
    let name = builder.create_string("x");
    let leaf = FieldArgs {
        name: Some(name),
        type_type: Type::Int,
        type_: Some(int8(&mut builder)),
        ..FieldArgs::default()
    };
    let mut field = IpcField::create(&mut builder, &leaf);
    for _ in 0..18 {
        let children = Some(builder.create_vector(&[field, field]));
        let args = FieldArgs {
            name: Some(name),
            type_type: Type::Struct_,
            type_: Some(Struct_::create(&mut builder, &Struct_Args {}).as_union_value()),
            children,
            ..FieldArgs::default()
        };
        field = IpcField::create(&mut builder, &args);
    }
    schema(stream, builder, &[field]);
}

#[test]
fn a_field_that_is_twice_its_own_child_does_not_double() {
    let mut stream = Vec::new();
    doubling(&mut stream);
    assert!(stream.len() < 4096, "{} bytes", stream.len());
    let error = fault(stream);
    assert!(error.contains("malformed"), "{error}");
}

#[test]
fn a_schema_stands_at_the_beginning_alone() {
    let plain = Schema::new(vec![Field::new("a", DataType::Int8, true)]);
    let frame = DataFrame::from_batches(&plain, []).unwrap();
    // Without the mark of the end.
    let one = frame.ipc().slice(..frame.ipc().len() - 8);
    let error = fault([&one[..], &one[..]].concat());
    assert!(error.contains("behind its beginning"), "{error}");
}

#[test]
fn columns_do_not_share_their_bytes() {
    let (columns, body) = (64, vec![0; 64 << 10]);
    let mut stream = Vec::new();
    let mut builder = Builder::new();
    let fields: Vec<_> = (0..columns)
        .map(|index| {
            let args = FieldArgs {
                name: Some(builder.create_string(&index.to_string())),
                type_type: Type::Int,
                type_: Some(int8(&mut builder)),
                ..FieldArgs::default()
            };
            IpcField::create(&mut builder, &args)
        })
        .collect();
    schema(&mut stream, builder, &fields);
    let mut builder = Builder::new();
    let rows = body.len() as i64;
    let nodes = builder.create_vector(&vec![FieldNode::new(rows, 0); columns]);
    let buffers = [Buffer::new(0, 0), Buffer::new(0, rows)].repeat(columns);
    let args = RecordBatchArgs {
        length: rows,
        nodes: Some(nodes),
        buffers: Some(builder.create_vector(&buffers)),
        ..RecordBatchArgs::default()
    };
    let header = IpcBatch::create(&mut builder, &args).as_union_value();
    message(
        &mut stream,
        builder,
        MessageHeader::RecordBatch,
        header,
        &body,
    );
    let error = fault(stream);
    assert!(error.contains("share their bytes"), "{error}");
}

#[test]
fn a_dictionary_does_not_grow_part_by_part() {
    let options = IpcWriteOptions::default().with_dictionary_handling(DictionaryHandling::Delta);
    let batch = |values: Vec<&str>| {
        let keys = Int32Array::from(vec![0; 1]);
        let values: ArrayRef = Arc::new(StringArray::from(values));
        let column = DictionaryArray::<Int32Type>::try_new(keys, values).unwrap();
        RecordBatch::try_from_iter([("a", Arc::new(column) as ArrayRef)]).unwrap()
    };
    let (first, second) = (batch(vec!["a"]), batch(vec!["a", "b"]));
    let schema = first.schema();
    let mut writer = StreamWriter::try_new_with_options(Vec::new(), &schema, options).unwrap();
    writer.write(&first).unwrap();
    writer.write(&second).unwrap();
    writer.finish().unwrap();
    let stream = writer.into_inner().unwrap();
    let error = fault(stream);
    assert!(error.contains("comes in parts"), "{error}");
    // A new dictionary for each batch is what is written without that option.
    let again = DataFrame::from_batches(&schema, [&first, &second]).unwrap();
    assert_eq!(again.batches().unwrap().count(), 2);
}

fn frame(name: &str, column: ArrayRef) -> DataFrame {
    let batch = RecordBatch::try_from_iter([(name, column)]).unwrap();
    DataFrame::try_from(&batch).unwrap()
}

#[test]
fn a_long_name_is_not_in_a_million_records() {
    let name = "n".repeat(1 << 20);
    let flags: ArrayRef = Arc::new(BooleanArray::from(vec![true; 1 << 20]));
    let long = Value::from(frame(&name, flags.clone()));
    for error in [long.to_json().unwrap_err(), long.json_text().unwrap_err()] {
        assert!(error.to_string().contains("too much memory"), "{error}");
    }
    let short = Value::from(frame("flag", flags));
    assert_eq!(short.json_text().unwrap().to_string().len(), 14 << 20 | 1);
}

#[test]
fn one_cell_does_not_repeat_a_text_without_measure() {
    let keys = Int8Array::from(vec![0; 20_000]);
    let text: ArrayRef = Arc::new(StringArray::from(vec!["x".repeat(100_000)]));
    let items = DictionaryArray::<Int8Type>::try_new(keys, text).unwrap();
    let field = Field::new("item", items.data_type().clone(), true);
    let ends = OffsetBuffer::from_lengths([20_000]);
    let list = ListArray::new(field.into(), ends, Arc::new(items), None);
    let error = frame("a", Arc::new(list)).to_records().unwrap_err();
    assert!(error.to_string().contains("too much memory"), "{error}");
}

#[test]
fn wide_and_nested_frames_are_within_the_limits_of_their_metadata() {
    let nested = (0..20).fold(Field::new("item", DataType::Utf8, true), |inner, _| {
        Field::new_list("item", inner, true)
    });
    let mut fields: Vec<_> = (0..2000)
        .map(|index| {
            let kind = match index % 4 {
                0 => DataType::Int64,
                1 => DataType::Utf8,
                2 => DataType::Dictionary(Box::new(DataType::Int8), Box::new(DataType::Utf8)),
                _ => DataType::Timestamp(arrow_schema::TimeUnit::Nanosecond, Some("UTC".into())),
            };
            Field::new(format!("{index}"), kind, index % 3 == 0)
        })
        .collect();
    fields.push(nested);
    let kept = fields.len();
    let frame = DataFrame::from_batches(&Schema::new(fields), []).unwrap();
    let batches = frame.batches().unwrap();
    let schema = arrow_array::RecordBatchReader::schema(&batches);
    assert_eq!(schema.fields().len(), kept);
}

#[test]
fn a_preview_does_not_read_a_large_frame() {
    let numbers: ArrayRef = Arc::new(Int32Array::from(vec![7; 1 << 20]));
    let value = Value::List(vec![frame("a", numbers).into()]);
    let preview = value.json_preview(30);
    assert!(preview.starts_with("[\"<pyarrow.Table of "), "{preview}");
    let small: ArrayRef = Arc::new(Int32Array::from(vec![7]));
    let value = Value::from(frame("a", small));
    assert_eq!(value.json_preview(30), r#"[{"a":7}]"#);
}
