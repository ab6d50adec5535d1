//! Small inputs stay small: keys of maps, shapes of arrays, claimed lengths, texts for people.

use std::collections::{BTreeMap, HashMap};

use proptest::prelude::*;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use snakepit_core::error::ErrorCode;
use snakepit_core::value::{DType, Payload, Tensor, Value};

use crate::value::{leaf, value};

fn map(key: Value, value: Value) -> Value {
    Value::Map(vec![(key, value)])
}

/// Returns a map whose key is a map whose key is a map, and so on.
fn keys_in_keys(levels: usize) -> Value {
    (0..levels).fold(Value::from("\"\\"), |key, _| map(key, Value::Null))
}

#[test]
fn keys_that_python_cannot_have_are_refused_both_ways() {
    let array = Tensor::from(vec![0_u8; 10_240]);
    for key in [
        Value::Map(vec![]),
        Value::List(vec![Value::List(vec![map(1_i64.into(), Value::Null)])]),
        Value::Array(array),
    ] {
        // The map and its key are written by hand, because the encoder rejects them.
        let mut bytes = vec![0x81];
        bytes.extend_from_slice(&Payload::encode(&key).unwrap().bytes);
        bytes.push(0xc0);
        let error = Payload::from_msgpack(bytes).decode::<Value>().unwrap_err();
        assert!(error.to_string().contains("key of"), "{error}");
        assert_eq!(error.code(), ErrorCode::UnexpectedType);
        let error = Payload::encode(&map(key, Value::Null)).unwrap_err();
        assert!(error.to_string().contains("key of"), "{error}");
        assert_eq!(error.code(), ErrorCode::InvalidPayload);
    }
    let mut deep = vec![0x81; 120];
    deep.push(0xc0);
    deep.extend([0xc0; 120]);
    assert!(Payload::from_msgpack(deep).decode::<Value>().is_err());
}

#[test]
fn a_tuple_is_a_key() {
    let value = map(vec![1_i64.into(), "a".into()].into(), true.into());
    let back: Value = Payload::encode(&value).unwrap().decode().unwrap();
    assert_eq!(back, value);
    assert_eq!(
        value.to_json().unwrap().to_string(),
        r#"{"[1,\"a\"]":true}"#
    );
}

#[test]
fn json_of_keys_within_keys_grows_with_their_number() {
    let value = keys_in_keys(100);
    let text = value.json_text().unwrap().to_string();
    assert!(text.len() < 2000, "{} bytes", text.len());
    assert_eq!(text, value.to_json().unwrap().to_string());
    let values = (0..100).fold(Value::Null, |inner, _| map(keys_in_keys(100), inner));
    assert!(values.to_json().unwrap().to_string().len() < 200_000);
}

#[test]
fn an_array_of_many_short_dimensions_stays_small() {
    let shape = [&[100_000][..], &[1; 31]].concat();
    let tensor = Tensor::new(DType::UInt8, shape.clone(), vec![7; 100_000]).unwrap();
    let value = Value::Array(tensor.clone());
    assert_eq!(tensor.to_nested(), value);
    let text = value.json_text().unwrap().to_string();
    assert!(text.len() < 201_000, "{} bytes", text.len());
    let parsed: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(parsed, value.to_json().unwrap());
    let array = &value.to_json().unwrap()["$array"];
    assert_eq!(array["shape"], serde_json::json!(shape));
    assert_eq!(
        (&array["dtype"], &array["data"][99_999]),
        (&"uint8".into(), &7.into())
    );

    let small = Tensor::new(
        DType::UInt8,
        [&[2000][..], &[1; 31]].concat(),
        vec![7; 2000],
    )
    .unwrap();
    let payload = Payload::encode(&small).unwrap();
    assert!(payload.bytes.len() < 2400, "{} bytes", payload.bytes.len());
    assert_eq!(payload.decode::<Tensor>().unwrap(), small);
    let usual = Tensor::from(vec![1_u8, 2]).reshape([2, 1, 1]).unwrap();
    assert_eq!(
        Value::Array(usual).json_text().unwrap().to_string(),
        "[[[1]],[[2]]]"
    );
}

fn nils(count: u32) -> Payload {
    let mut bytes = vec![0xdd];
    bytes.extend_from_slice(&count.to_be_bytes());
    bytes.resize(5 + count as usize, 0xc0);
    Payload::from_msgpack(bytes)
}

/// Lists of a million items are made of it.
#[test]
fn a_value_takes_64_bytes() {
    assert_eq!(size_of::<Value>(), 64);
}

#[test]
fn memory_of_values_is_refused_before_it_is_taken() {
    let many = nils(16 << 20);
    let error = many.decode::<Value>().unwrap_err();
    assert!(error.to_string().contains("16777216 more items"), "{error}");
    assert_eq!(error.code(), ErrorCode::UnexpectedType);
    let some: Value = nils(1 << 20).decode().unwrap();
    assert!(matches!(some, Value::List(items) if items.len() == 1 << 20));

    // The same in many short lists, and in maps.
    let mut lists = vec![0xdd, 0, 0x80, 0, 0];
    lists.extend([0x91, 0xc0].repeat(0x80_0000));
    let mut maps = vec![0xdf, 0, 0x40, 0, 0];
    maps.extend([0xc0, 0xc0].repeat(0x40_0000));
    for bytes in [lists, maps] {
        let error = Payload::from_msgpack(bytes).decode::<Value>().unwrap_err();
        assert!(error.to_string().contains("more items"), "{error}");
    }
    // A rejection leaves nothing behind.
    assert!(nils(1 << 20).decode::<Value>().is_ok());
}

/// A node that costs one byte as MessagePack, and about 1 KiB in memory.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Node {
    numbers: [[u64; 16]; 8],
    next: Option<Box<Self>>,
}

/// A type that first reads any value and then decides.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
#[expect(dead_code, reason = "only its size matters")]
enum Any {
    Number(u8),
    List(Vec<Self>),
}

#[test]
fn memory_of_the_callers_types_is_refused_before_it_is_taken() {
    fn refused<T: DeserializeOwned + std::fmt::Debug>(payload: &Payload) {
        let error = payload.decode::<T>().unwrap_err();
        assert!(error.to_string().contains("more items"), "{error}");
        assert_eq!(error.code(), ErrorCode::UnexpectedType);
    }
    let many = nils(4 << 20);
    refused::<serde_json::Value>(&many);
    refused::<Vec<Option<String>>>(&many);
    refused::<(Vec<Option<f64>>, bool)>(&Payload::encode(&(nils(8 << 20), true)).unwrap());
    // The same behind pointers, in maps, in variants, and in a type that first reads any value.
    let of = |byte: u8, count: u32| {
        let mut bytes = nils(count).bytes.to_vec();
        bytes[5..].fill(byte);
        Payload::from_msgpack(bytes)
    };
    refused::<Vec<Node>>(&of(0x80, 128 << 10));
    refused::<Vec<Box<Node>>>(&of(0x80, 128 << 10));
    refused::<Vec<Vec<u8>>>(&of(0x90, 4 << 20));
    refused::<Any>(&of(7, 4 << 20));
    let mut map = vec![0xdf, 0, 2, 0, 0];
    for key in 0..128_u32 << 10 {
        map.push(0xce);
        map.extend(key.to_be_bytes());
        map.push(0x80);
    }
    refused::<HashMap<u32, Node>>(&Payload::from_msgpack(map));

    // An array is longer as a list, and counts with its original size.
    let array = Payload::encode(&Tensor::from(vec![0_u8; 4 << 20])).unwrap();
    refused::<serde_json::Value>(&array);

    // Numbers are at most eight times as large as their input; containers have a size of their own.
    let numbers = of(7, 17 << 20);
    assert_eq!(numbers.decode::<Vec<u64>>().unwrap().len(), 17 << 20);
    assert_eq!(nils(3 << 20).decode::<Vec<()>>().unwrap().len(), 3 << 20);
    let rows = vec![("a name of twenty four c".to_owned(), 1.5, None::<String>); 50_000];
    let payload = Payload::encode(&rows).unwrap();
    assert_eq!(
        payload
            .decode::<Vec<(String, f64, Option<String>)>>()
            .unwrap(),
        rows
    );
}

/// A short part takes an allocation, and a container has more places than items.
#[test]
fn short_parts_and_numbers_are_counted_with_what_they_take() {
    fn refused<T: DeserializeOwned + std::fmt::Debug>(part: &[u8], count: u32) {
        let mut bytes = vec![0xdd];
        bytes.extend(count.to_be_bytes());
        bytes.extend(part.repeat(count as usize));
        let error = Payload::from_msgpack(bytes).decode::<T>().unwrap_err();
        assert!(error.to_string().contains("more items"), "{error}");
    }
    refused::<serde_json::Value>(&[0x81, 0xa0, 0xc0], 400_000);
    refused::<Vec<BTreeMap<String, u64>>>(&[0x81, 0xa0, 1], 600_000);
    refused::<Vec<Vec<u8>>>(&[0x91, 1], 1_500_000);
    refused::<Vec<String>>(&[0xa1, b'a'], 2_500_000);
    refused::<Vec<u64>>(&[1], 40 << 20);
    let halves = Tensor::new(DType::Float16, [40 << 20], vec![0; 80 << 20]).unwrap();
    let error = Payload::encode(&halves).unwrap().decode::<Vec<f32>>();
    let error = error.unwrap_err().to_string();
    assert!(error.contains("360 MiB as a list"), "{error}");
    // A list of ours has as many places as items.
    let rows = vec![Value::List(vec![1_i64.into()]); 300_000];
    let payload = Payload::encode(&rows).unwrap();
    assert_eq!(payload.decode::<Vec<Value>>().unwrap(), rows);
}

#[test]
fn a_type_is_read_as_without_a_budget() {
    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    enum Kind {
        Unit,
        New(Box<Self>),
        Tuple(u8, String),
        Struct { at: Option<(i8, f32)> },
    }
    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct All {
        kinds: Vec<Kind>,
        bytes: snakepit_core::value::Bytes,
        time: snakepit_core::value::DateTime,
        large: (i128, u128),
        letter: char,
        unit: (),
        text: std::borrow::Cow<'static, str>,
        #[serde(flatten)]
        more: BTreeMap<String, i64>,
    }
    let all = All {
        kinds: vec![
            Kind::Unit,
            Kind::New(Box::new(Kind::Tuple(3, "x".into()))),
            Kind::Struct {
                at: Some((-1, 0.5)),
            },
            Kind::Struct { at: None },
        ],
        bytes: vec![1, 2].into(),
        time: snakepit_core::value::DateTime("2026-01-01T00:00:00".into()),
        large: (i128::MIN, u128::MAX),
        letter: 'ä',
        unit: (),
        text: "t".into(),
        more: [("one".to_owned(), 1), ("two".to_owned(), 2)].into(),
    };
    let payload = Payload::encode(&all).unwrap();
    assert_eq!(payload.decode::<All>().unwrap(), all);
}

#[test]
fn memory_of_json_text_is_bounded_too() {
    let zeros = format!("[{}0]", "0,".repeat(5_000_000));
    let error = Value::parse_json(zeros.as_bytes()).unwrap_err();
    assert!(error.to_string().contains("memory"), "{error}");
    let some = format!("[{}0]", "0,".repeat(1_000_000));
    assert!(Value::parse_json(some.as_bytes()).is_ok());
}

#[test]
fn a_preview_is_as_long_as_it_is_wanted() {
    let items = Value::List(vec![Value::from("ä\n".repeat(100)); 100_000]);
    assert_eq!(items.json_preview(8), "[\"ä\\nä\\n…");
    assert_eq!(Value::from("abc").json_preview(5), "\"abc\"");
    assert_eq!(Value::from("abc").json_preview(4), "\"abc…");
    assert_eq!(keys_in_keys(1000).json_preview(3), "{\"{…");
    let bytes = Value::Bytes(vec![0; 64 << 20].into());
    assert_eq!(bytes.json_preview(11), "{\"$bytes\":\"…");
}

proptest! {
    #[test]
    fn json_text_is_the_text_of_the_json(value in value()) {
        let (text, json) = (value.json_text(), value.to_json());
        prop_assert_eq!(text.as_ref().err(), json.as_ref().err());
        if let (Ok(text), Ok(json)) = (text, json) {
            let parsed: serde_json::Value = serde_json::from_str(&text.to_string()).unwrap();
            prop_assert_eq!(parsed, json);
        }
    }

    #[test]
    fn json_text_is_read_as_json_is(value in value()) {
        if let Ok(json) = value.to_json() {
            let read = Value::parse_json(json.to_string().as_bytes()).unwrap();
            prop_assert_eq!(read, Value::from_json(json));
        }
    }

    #[test]
    fn a_preview_is_the_beginning_of_the_text(items in prop::collection::vec(leaf(), 0..4), limit in 0..40_usize) {
        let value = Value::List(items);
        let (text, preview) = (value.json_text().unwrap().to_string(), value.json_preview(limit));
        let beginning: String = text.chars().take(limit).collect();
        let more = text.chars().count() > limit;
        prop_assert_eq!(preview, if more { beginning + "…" } else { beginning });
    }
}
