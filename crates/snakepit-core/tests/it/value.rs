//! Values through payloads and JSON.

use proptest::prelude::*;
use snakepit_core::error::ErrorCode;
use snakepit_core::value::{
    Bytes, DType, Date, DateTime, Decimal, FrozenSet, Payload, PayloadError, Tensor, Time,
    TimeDelta, Uuid, Value,
};

pub(crate) fn leaf() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>()
            .prop_filter("NaN is not equal to itself", |n| !n.is_nan())
            .prop_map(Value::from),
        ".*".prop_map(Value::from),
        prop::collection::vec(any::<u8>(), 0..300).prop_map(|data| Value::Bytes(data.into())),
        ".*".prop_map(Value::DateTime),
        ".*".prop_map(Value::Date),
        ".*".prop_map(Value::Time),
        any::<i64>().prop_map(Value::Duration),
        any::<[u8; 16]>().prop_map(Value::Uuid),
        ".*".prop_map(Value::Decimal),
        array().prop_map(Value::Array),
    ]
}

/// Arrays that travel as blocks.
fn array() -> impl Strategy<Value = Tensor> {
    let shape = prop_oneof![
        Just(vec![10_240]),
        Just(vec![2, 1, 5120]),
        Just(vec![10_240, 1])
    ];
    let short = prop_oneof![shape, Just(vec![]), Just(vec![0, 3]), Just(vec![3])];
    (prop::sample::select(DType::ALL), short, any::<u8>()).prop_map(|(dtype, shape, byte)| {
        let len = shape.iter().product::<usize>() * dtype.size();
        // Small bytes repeated: no pattern of them is a NaN.
        Tensor::new(dtype, shape, vec![byte & 1; len]).expect("the data has the size of the shape")
    })
}

/// Generates values that can be keys in Python; a list stands for a tuple.
fn key() -> impl Strategy<Value = Value> {
    let leaf = leaf().prop_filter("arrays are no keys", |leaf| {
        !matches!(leaf, Value::Array(_))
    });
    leaf.prop_recursive(3, 8, 4, |inner| {
        let items = prop::collection::vec(inner, 0..4);
        prop_oneof![
            items.clone().prop_map(Value::List),
            items.prop_map(|items| FrozenSet::new(items).into()),
        ]
    })
}

pub(crate) fn value() -> impl Strategy<Value = Value> {
    leaf().prop_recursive(6, 64, 8, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..8).prop_map(Value::List),
            prop::collection::vec((key(), inner), 0..8).prop_map(Value::Map),
            prop::collection::vec(key(), 0..4).prop_map(|items| FrozenSet::new(items).into()),
        ]
    })
}

proptest! {
    #[test]
    fn a_value_survives_a_payload(value in value()) {
        let payload = Payload::encode(&value).unwrap();
        prop_assert_eq!(payload.decode::<Value>().unwrap(), value);
    }

    #[test]
    fn any_bytes_decode_or_fail(data in prop::collection::vec(any::<u8>(), 0..200)) {
        drop(Payload::from_msgpack(data).decode::<Value>());
    }

}

#[test]
fn typed_kinds_and_values_are_the_same_on_the_wire() {
    let typed = (
        DateTime("2024-01-02T03:04:05".into()),
        Date("2024-01-02".into()),
        Time("03:04".into()),
        TimeDelta(-5),
        Uuid([7; 16]),
        Decimal("1.50".into()),
        Bytes::from(vec![1, 2, 3]),
    );
    let payload = Payload::encode(&typed).unwrap();
    let value = Value::List(vec![
        Value::DateTime("2024-01-02T03:04:05".into()),
        Value::Date("2024-01-02".into()),
        Value::Time("03:04".into()),
        Value::Duration(-5),
        Value::Uuid([7; 16]),
        Value::Decimal("1.50".into()),
        Value::Bytes(vec![1, 2, 3].into()),
    ]);
    assert_eq!(payload.decode::<Value>().unwrap(), value);
    assert_eq!(Payload::encode(&value).unwrap(), payload);
    assert_eq!(
        payload
            .decode::<(DateTime, Date, Time, TimeDelta, Uuid, Decimal, Bytes)>()
            .unwrap(),
        typed
    );
    let wrong = Payload::encode(&Date("2024-01-02".into()))
        .unwrap()
        .decode::<Uuid>()
        .unwrap_err();
    assert!(
        wrong
            .to_string()
            .contains("expected a UUID, got extension 2"),
        "{wrong}"
    );
    // A date that is one is not to blame for what stands beside it.
    let wrong = Payload::encode(&(Date("2024-01-02".into()), "x"))
        .unwrap()
        .decode::<(Date, i64)>()
        .unwrap_err();
    assert!(wrong.to_string().contains("[1]"), "{wrong}");
}

fn nested(levels: usize) -> Payload {
    let mut bytes = vec![0x91; levels];
    bytes.push(0xc0);
    Payload::from_msgpack(bytes)
}

#[test]
fn nesting_is_limited() {
    let deep = nested(Payload::MAX_DEPTH).decode::<Value>().unwrap();
    assert_eq!(Payload::encode(&deep).unwrap(), nested(Payload::MAX_DEPTH));
    for levels in [Payload::MAX_DEPTH + 1, 100_000] {
        let error = nested(levels).decode::<Value>().unwrap_err();
        assert!(
            error
                .to_string()
                .ends_with("it nests deeper than 128 levels"),
            "{error}"
        );
    }
    let error = Payload::encode(&Value::List(vec![deep.clone()])).unwrap_err();
    assert!(
        error
            .to_string()
            .ends_with("it nests deeper than 128 levels"),
        "{error}"
    );
    Payload::encode(&deep).expect("a failure leaves no level behind");
    assert_eq!(error.code(), ErrorCode::InvalidPayload);
}

#[test]
fn a_value_of_another_type_is_named_with_its_place() {
    let reason = |error: PayloadError| match error {
        PayloadError::Decode { reason, .. } => reason,
        other => panic!("{other}"),
    };
    let items = Payload::encode(&(1, "two")).unwrap();
    let error = items.decode::<Vec<i64>>().unwrap_err();
    let expected = "`[1]` must be an integer, got string \"two\"";
    assert_eq!(reason(error), expected);
    let error = items.decode::<u64>().unwrap_err();
    let expected = "it must be a non-negative integer, got a list";
    assert_eq!(reason(error), expected);
    // This one is too large to be read a second time.
    let large = Payload::encode(&"x".repeat(2 << 20)).unwrap();
    let error = large.decode::<u64>().unwrap_err();
    let expected = "it has a string where another type is needed";
    assert_eq!(reason(error), expected);
}

#[test]
fn bad_bytes_are_refused() {
    let check = |bytes: &'static [u8], reason: &str| {
        let error = Payload::from_msgpack(bytes).decode::<Value>().unwrap_err();
        assert!(error.to_string().contains(reason), "{error}");
        assert_eq!(error.code(), ErrorCode::UnexpectedType);
    };
    check(b"", "the bytes end before the value does");
    check(b"\x93\x01", "the bytes end before the value does");
    check(b"\x01\x02", "more bytes follow the value");
    check(
        b"\xdd\xff\xff\xff\xff",
        "the bytes end before the value does",
    );
    check(b"\xd4\x63\x00", "extension 99 is unknown");
    check(b"\xd4\x05\x00", "a UUID has 16 bytes");
    check(b"\xd4\x01\xff", "not UTF-8");
}

#[test]
fn a_text_that_is_not_utf_8_is_refused_whatever_is_asked_for() {
    let long = [
        &b"\x92\xc4\x01\xff\xdb\x00\x01\x00\x00"[..],
        &[0xff; 0x1_0000],
    ]
    .concat();
    for (bytes, at) in [
        (b"\xa3\xff\xfe\xfd".to_vec(), 1),
        (b"\x92\x01\xd9\x01\xff".to_vec(), 4),
        (b"\x81\xa1\xff\x01".to_vec(), 2),
        (b"\xda\x00\x02a\xff".to_vec(), 3),
        (long, 9),
    ] {
        let payload = Payload::from_msgpack(bytes);
        let reason = format!("the text at byte {at} is not UTF-8");
        for error in [
            payload.decode::<Value>().unwrap_err(),
            payload.decode::<serde_json::Value>().unwrap_err(),
            payload.decode::<Bytes>().unwrap_err(),
            payload.decode::<String>().unwrap_err(),
            payload.decode::<(Value, Bytes)>().unwrap_err(),
            payload.decode::<Vec<Bytes>>().unwrap_err(),
        ] {
            assert!(error.to_string().ends_with(&reason), "{error}");
        }
    }
    // Bytes may be what they like.
    let bytes: Bytes = Payload::from_msgpack(&b"\xc4\x01\xff"[..])
        .decode()
        .unwrap();
    assert_eq!(bytes.0, &[0xff][..]);
}

/// The wire form of an array, by hand.
fn block(version: u8, dtype: u8, shape: &[u64], data: &[u8]) -> Payload {
    let mut block = vec![version, dtype, shape.len() as u8, 0, 0, 0, 0, 0];
    shape
        .iter()
        .for_each(|n| block.extend_from_slice(&n.to_le_bytes()));
    block.extend_from_slice(data);
    let mut bytes = vec![0xc9];
    bytes.extend_from_slice(&(block.len() as u32).to_be_bytes());
    bytes.push(7);
    bytes.extend_from_slice(&block);
    Payload::from_msgpack(bytes)
}

#[test]
fn an_array_is_read_as_an_array_or_as_lists() {
    let numbers: Vec<f64> = (0..4000).map(f64::from).collect();
    let tensor = Tensor::from(numbers.clone()).reshape([2, 2000]).unwrap();
    let payload = Payload::encode(&(1, &tensor, "end")).unwrap();
    assert_eq!(payload.decode::<(i64, Tensor, String)>().unwrap().1, tensor);
    let rows: (i64, Vec<Vec<f64>>, String) = payload.decode().unwrap();
    assert_eq!(rows.1.concat(), numbers);
    assert_eq!((rows.0, rows.2.as_str()), (1, "end"));
    let single: (i64, Vec<Vec<f32>>, String) = payload.decode().unwrap();
    assert_eq!(single.1[1][1999], 3999.0);

    let flat = Payload::encode(&Value::Array(Tensor::from(numbers.clone()))).unwrap();
    assert_eq!(flat.bytes.len(), 4 + 8 + 8 + 32_000);
    assert_eq!(flat.decode::<Vec<f64>>().unwrap(), numbers);
    let whole = flat.decode::<Tensor>().unwrap();
    assert!(
        flat.bytes.as_ptr_range().contains(&whole.data().as_ptr()),
        "the memory is shared"
    );
    let error = flat.decode::<Vec<String>>().unwrap_err();
    assert_eq!(error.code(), ErrorCode::UnexpectedType);
}

#[test]
fn small_arrays_are_arrays() {
    let tensor = Tensor::from(vec![1_i32, 2, 3, 4]).reshape([2, 2]).unwrap();
    let payload = Payload::encode(&tensor).unwrap();
    assert_eq!(
        payload.decode::<serde_json::Value>().unwrap().to_string(),
        "[[1,2],[3,4]]"
    );
    let back: Tensor = payload.decode().unwrap();
    assert_eq!(back, tensor);
    let mixed: Tensor = Payload::encode(&vec![Value::Int(1), Value::Float(0.5)])
        .unwrap()
        .decode()
        .unwrap();
    assert_eq!(mixed, Tensor::from(vec![1.0, 0.5]));
    for bad in [
        Value::Str("x".to_owned()),
        Value::List(vec![Value::Int(1), Value::List(vec![Value::Int(1)])]),
        Value::List(vec![Value::List(vec![]), Value::Int(1)]),
        Value::List(vec![Value::Null]),
    ] {
        assert!(
            Payload::encode(&bad).unwrap().decode::<Tensor>().is_err(),
            "{bad}"
        );
    }
}

#[test]
fn broken_arrays_are_refused_with_the_reason() {
    let cases = [
        (block(2, 1, &[1], &[0; 4]), "version 2"),
        (block(1, 17, &[1], &[0; 4]), "type 17"),
        (block(1, 15, &[1], &[0; 8]), "type 15"),
        (block(1, 0, &[1], &[0; 4]), "type 0"),
        (block(1, 1, &[2], &[0; 4]), "4 bytes of data"),
        (
            block(1, 1, &[u64::MAX, 2], &[]),
            "more bytes than can be addressed",
        ),
        (
            block(1, 1, &[u64::MAX, 0], &[]),
            "more bytes than can be addressed",
        ),
        (block(1, 7, &[1; 33], &[0]), "33 dimensions"),
        (
            Payload::from_msgpack(vec![0xd4, 7, 1]),
            "header of an array",
        ),
        (
            Payload::from_msgpack(vec![0xd7, 7, 1, 1, 1, 0, 0, 0, 0, 0]),
            "shape of an array",
        ),
    ];
    for (payload, expected) in cases {
        let error = payload.decode::<Value>().unwrap_err().to_string();
        assert!(error.contains(expected), "{expected}: {error}");
        assert!(payload.decode::<Vec<f64>>().is_err());
    }
    // Thousands of lists around each number.
    let shape: Vec<u64> = [3000].into_iter().chain([1; 31]).collect();
    let deep = block(1, 7, &shape, &[0; 3000]);
    assert!(deep.decode::<Tensor>().is_ok());
    assert!(deep.decode::<serde_json::Value>().is_err());
}
