//! Values through payloads and JSON.

use proptest::prelude::*;
use snakepit_core::{
    Bytes, Date, DateTime, Decimal, ErrorCode, Payload, Time, TimeDelta, Uuid, Value,
};

fn leaf() -> impl Strategy<Value = Value> {
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
    ]
}

fn value() -> impl Strategy<Value = Value> {
    leaf().prop_recursive(6, 64, 8, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..8).prop_map(Value::List),
            prop::collection::vec((inner.clone(), inner), 0..8).prop_map(Value::Map),
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
    fn bytes_survive_json(data in prop::collection::vec(any::<u8>(), 0..100)) {
        let value = Value::Bytes(data.into());
        prop_assert_eq!(Value::from_json(value.to_json()), value);
    }

    #[test]
    fn any_bytes_decode_or_fail(data in prop::collection::vec(any::<u8>(), 0..200)) {
        drop(Payload::from_msgpack(data).decode::<Value>());
    }

    #[test]
    fn json_survives(text in ".*", int in any::<i64>(), list in prop::collection::vec(any::<u64>(), 0..5)) {
        let json = serde_json::json!({"text": text, "int": int, "list": list, "none": null});
        prop_assert_eq!(Value::from(json.clone()).to_json(), json);
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
fn json_says_what_it_does_not_have() {
    let check = |value: Value, json: &str| assert_eq!(value.to_json().to_string(), json);
    check(Value::Float(f64::NAN), "\"NaN\"");
    check(Value::Float(f64::NEG_INFINITY), "\"-Infinity\"");
    check(Value::Bytes(vec![255, 0].into()), r#"{"$bytes":"/wA="}"#);
    check(
        Value::Uuid([0x12; 16]),
        "\"12121212-1212-1212-1212-121212121212\"",
    );
    check(Value::Duration(1_500_000), "1.5");
    check(
        Value::Map(vec![(Value::Int(1), Value::Null)]),
        r#"{"1":null}"#,
    );
}
