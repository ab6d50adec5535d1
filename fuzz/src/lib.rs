//! Fuzz targets for everything that reads bytes of a peer, a directory that others have written, or
//! memory that changes meanwhile. No input may cause a panic, and an accepted value must survive
//! being written and read again.

use bytes::{BufMut as _, Bytes};
use prost::Message as _;
use snakepit_core::value::{DataFrame, DataFrameKind, JsonError, Payload, Tensor, Value};
use snakepit_grpc::frame::{HEADER_LEN, Header};
use snakepit_grpc::link::{Parsed, Parser, decode_items, decode_results, encode_items};
use snakepit_grpc::preamble::{FIXED_LEN, Preamble};
use snakepit_grpc::records::{Records, count};
use snakepit_grpc::service::fuzzing::{read_any, write_any};
use snakepit_grpc::{convert, pb};
use snakepit_registry::{Record, fuzzing};

/// Payload limit of the parser.
const LIMIT: usize = 1 << 16;

/// Largest number of bytes that one byte of input may become, besides a constant.
const GROWTH: usize = 40;

/// Parses frames. The first byte is the length of the pieces that arrive.
pub fn frames(data: &[u8]) {
    let Some((&size, mut rest)) = data.split_first() else {
        return;
    };
    let mut parser = Parser::new(LIMIT);
    while !rest.is_empty() {
        let buffer = parser.buffer();
        let room = buffer.capacity() - buffer.len();
        let count = rest.len().min(room).min(usize::from(size) + 1);
        assert!(count > 0, "there is always room");
        buffer.put_slice(&rest[..count]);
        rest = &rest[count..];
        loop {
            match parser.next_frame() {
                Ok(Parsed::Incomplete) => break,
                Ok(Parsed::Frame { header, head, body }) => {
                    assert_eq!(header.head_len as usize, head.len());
                    assert_eq!(header.body_len, body.len() as u64);
                }
                Ok(Parsed::TooLarge { header }) => assert!(header.body_len > LIMIT as u64),
                Err(_) => return,
            }
        }
    }
}

/// Decodes a header, and the preamble of a connection.
pub fn preamble(data: &[u8]) {
    if let Some(bytes) = data.first_chunk::<HEADER_LEN>()
        && let Ok(header) = Header::decode(bytes)
    {
        assert_eq!(header.encode(), *bytes);
    }
    if let Some(bytes) = data.first_chunk::<FIXED_LEN>()
        && let Ok(read) = Preamble::decode(bytes)
    {
        let id = "i".repeat(read.worker_id_len);
        let again = Preamble::encode(read.role, &read.token, &id);
        assert_eq!(again[..FIXED_LEN], *bytes);
    }
}

/// Reads a data frame as records. The first byte is its kind.
pub fn data_frames(data: &[u8]) {
    let Some((&kind, stream)) = data.split_first() else {
        return;
    };
    let kinds = DataFrameKind::ALL;
    let kind = kinds[usize::from(kind) % kinds.len()];
    let value = Value::from(DataFrame::from_ipc(stream.to_vec()).with_kind(kind));
    if let Ok(text) = value.json_text() {
        let text = text.to_string();
        assert!(serde_json::from_str::<serde_json::Value>(&text).is_ok());
    }
    let _ = (value.to_json(), value.json_preview(60));
}

/// Decodes the messages in heads of frames.
pub fn heads(data: &[u8]) {
    if let Ok(error) = pb::ToolError::decode(data) {
        let started = convert::start_error(error.clone());
        let error = convert::tool_error(error);
        for error in [started, error] {
            let head = convert::tool_error_head(error);
            assert!(pb::ToolError::decode(&head[..]).is_ok());
        }
    }
    if let Ok(description) = convert::description(&Bytes::copy_from_slice(data)) {
        let info = convert::worker_info(description);
        assert!(info.tools.iter().all(|tool| !tool.name.is_empty()));
    }
    // These are read as they are.
    let _ = pb::HostRequest::decode(data);
    let _ = pb::Stopped::decode(data);
    let _ = pb::Pong::decode(data);
    let _ = pb::GilEnabled::decode(data);
    let _ = pb::StackDump::decode(data);
    let _ = pb::WorkerSpan::decode(data);
    let _ = pb::TelemetrySettings::decode(data);
    records(data);
}

/// Reads records of a worker, as the head of a frame and each by itself.
fn records(data: &[u8]) {
    let data = Bytes::copy_from_slice(data);
    let mut records = Records::new("pool".into(), "pool-1".into(), Some);
    let _ = records.read_frame(data.clone(), drop);
    let (records_there, missing) = count(&data);
    assert!(records_there > 0 || missing != Default::default());
    for kind in 0..5 {
        let record = data.clone();
        let _ = records.read(&pb::TelemetryRecord { kind, record });
    }
}

/// Reads MessagePack into values, and writes these as MessagePack and as JSON.
pub fn msgpack(data: &[u8]) {
    let payload = Payload::from_msgpack(data.to_vec());
    let _ = payload.decode::<serde_json::Value>();
    let _ = payload.decode::<Vec<f64>>();
    let _ = payload.decode::<Vec<std::collections::BTreeSet<u8>>>();
    let Ok(value) = payload.decode::<Value>() else {
        return;
    };
    let again = Payload::encode(&value).expect("what was read can be written");
    let read: Value = again.decode().expect("what was written can be read");
    // Not the values: NaN is not equal to itself.
    let preview = value.json_preview(60);
    let Ok(text) = value.json_text() else {
        return;
    };
    let text = text.to_string();
    assert!(
        text.len() <= GROWTH * data.len() + 4096,
        "{} bytes",
        text.len()
    );
    let json = serde_json::from_str::<serde_json::Value>(&text);
    // It reads one level less than a payload may have.
    let deep = |error: &serde_json::Error| error.to_string().starts_with("recursion limit");
    assert!(
        json.as_ref().err().is_none_or(deep),
        "it is no JSON: {json:?}"
    );
    drop((json, read.to_json(), value.to_string(), preview));
}

/// Reads blocks of arrays, which are the bytes of an extension.
pub fn arrays(data: &[u8]) {
    let Ok(length) = u32::try_from(data.len()) else {
        return;
    };
    let payload = [&[0xc9][..], &length.to_be_bytes(), &[7], data].concat();
    let payload = Payload::from_msgpack(payload);
    let _ = payload.decode::<Vec<Vec<f32>>>();
    let _ = payload.decode::<Vec<snakepit_core::value::DateTime>>();
    let Ok(tensor) = payload.decode::<Tensor>() else {
        return;
    };
    let value = Value::Array(tensor.clone());
    let text = value.json_text().expect("it has no keys").to_string();
    assert!(
        text.len() <= GROWTH * data.len() + 65_536,
        "{} bytes",
        text.len()
    );
    let again = Payload::encode(&value).expect("what was read can be written");
    assert!(again.decode::<Value>().is_ok());
    let shown = (tensor.elements::<i64>(), tensor.elements::<bool>());
    assert!(shown.0.is_ok() || shown.1.is_ok() || tensor.dtype().step().is_none());
    drop((tensor.to_nested(), tensor.to_f32()));
}

/// Reads JSON text into values, and writes these again.
pub fn json(data: &[u8]) {
    let parsed = Value::parse_json(data);
    let tree = serde_json::from_slice::<serde_json::Value>(data).map(Value::from_json);
    let (value, tree) = match (parsed, tree) {
        (Ok(value), Ok(tree)) => (value, tree),
        (Err(JsonError::Malformed(_)), tree) => return assert!(tree.is_err()),
        // Keys and digits that the other reader loses.
        (Err(_), tree) => return assert!(tree.is_ok()),
        (Ok(value), Err(error)) => panic!("{value} is read, but: {error}"),
    };
    // The tree has its keys in another order.
    assert_eq!(value.to_json(), tree.to_json());
    let text = value.json_text().expect("its keys are texts").to_string();
    let again = Value::parse_json(text.as_bytes()).expect("what was written can be read");
    assert_eq!(again, value);
}

/// Reads the bodies of batches.
pub fn batches(data: &[u8]) {
    let body = Bytes::copy_from_slice(data);
    if let Some(items) = decode_items(&body) {
        assert_eq!(encode_items(items.iter().map(|item| &item[..])), data);
    }
    let _ = decode_results(&body);
}

/// Types that the reader of `Any` knows, and one that is unknown to it.
const TYPES: [&str; 16] = [
    "google.protobuf.StringValue",
    "google.protobuf.BytesValue",
    "google.protobuf.Struct",
    "google.protobuf.ListValue",
    "google.protobuf.Value",
    "google.protobuf.BoolValue",
    "google.protobuf.DoubleValue",
    "google.protobuf.FloatValue",
    "google.protobuf.Int32Value",
    "google.protobuf.Int64Value",
    "google.protobuf.UInt32Value",
    "google.protobuf.UInt64Value",
    "snakepit.float",
    "snakepit.integer",
    "snakepit.tensor",
    "another",
];

/// Reads values of gRPC clients. The first byte chooses the type.
pub fn any(data: &[u8]) {
    let Some((&first, bytes)) = data.split_first() else {
        return;
    };
    let url = format!("type.example/{}", TYPES[usize::from(first) % TYPES.len()]);
    let Some(value) = read_any(&url, bytes) else {
        return;
    };
    let (url, text) = write_any(&value, usize::MAX).expect("there is no limit");
    assert!(
        text.len() <= GROWTH * data.len() + 4096,
        "{} bytes",
        text.len()
    );
    let again = read_any(&url, &text);
    assert!(again.is_some(), "what was written cannot be read: {value}");
}

/// Reads files of databases that other runs have left.
pub fn databases(data: &[u8]) {
    let Some(records) = fuzzing::records(data) else {
        return;
    };
    let texts = |record: &Record| {
        let group = record.cgroup.as_ref();
        record.worker_id.len() + group.map_or(0, |path| path.as_os_str().len())
    };
    let size: usize = records.iter().map(texts).sum();
    assert!(size <= data.len(), "{size} bytes of {}", data.len());
    for record in records {
        assert_eq!(Record::decode(&record.encode()), Ok(record));
    }
}

/// Reads the memory of an interpreter. The input chooses the interpreter, the number of changes
/// made before the reading, and the changes.
pub fn walker(data: &[u8]) {
    snakepit_walker::fuzzing::walk(data);
}
