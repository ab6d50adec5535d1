//! Values as JSON, and back.

use proptest::prelude::*;
use snakepit_core::value::{DType, FrozenSet, JsonError, Tensor, Value};

proptest! {
    #[test]
    fn a_number_survives_json_text(number in any::<f64>().prop_filter("JSON has none else", |n| n.is_finite())) {
        let value = Value::Float(number);
        let text = value.json_text().unwrap().to_string();
        prop_assert_eq!(Value::parse_json(text.as_bytes()).unwrap(), value);
    }

    #[test]
    fn bytes_survive_json(data in prop::collection::vec(any::<u8>(), 0..100)) {
        let value = Value::Bytes(data.into());
        prop_assert_eq!(Value::from_json(value.to_json().unwrap()), value);
    }

    #[test]
    fn json_survives(text in ".*", int in any::<i64>(), list in prop::collection::vec(any::<u64>(), 0..5)) {
        let json = serde_json::json!({"text": text, "int": int, "list": list, "none": null});
        prop_assert_eq!(Value::from(json.clone()).to_json().unwrap(), json);
    }
}

#[test]
fn json_keeps_every_key_and_digit_or_is_refused() {
    let pair = |key: Value| (key, Value::Null);
    let twice = Value::List(vec![Value::Map(vec![pair(1_i64.into()), pair("1".into())])]);
    let same = JsonError::SameKey("1".to_owned());
    assert_eq!(twice.to_json(), Err(same.clone()));
    assert_eq!(twice.json_text().unwrap_err(), same);
    assert_eq!(twice.json_preview(99), r#"[{"1":null,"1":null}]"#);

    let order = r#"{"b":1,"a":{"d":2,"c":3}}"#;
    let value = Value::parse_json(order.as_bytes()).unwrap();
    assert_eq!(value.json_text().unwrap().to_string(), order);

    let parse = |text: &str| Value::parse_json(text.as_bytes());
    assert_eq!(parse("18446744073709551615"), Ok(Value::UInt(u64::MAX)));
    assert_eq!(parse("-9223372036854775808"), Ok(Value::Int(i64::MIN)));
    assert_eq!(parse("1e30"), Ok(Value::Float(1e30)));
    assert!(parse(r#""18446744073709551616 \" 18446744073709551616""#).is_ok());
    for (text, error) in [
        (
            "-9223372036854775809",
            JsonError::WholeNumber("-9223372036854775809".into()),
        ),
        (
            r#"{"a\"1": [1, 18446744073709551616]}"#,
            JsonError::WholeNumber("18446744073709551616".into()),
        ),
        (
            r#"[{"a": 1, "b": 2, "a": 3}]"#,
            JsonError::RepeatedKey("a".into()),
        ),
    ] {
        assert_eq!(parse(text), Err(error));
    }
    assert!(matches!(parse("nonsense"), Err(JsonError::Malformed(_))));
}

#[test]
fn json_says_what_it_does_not_have() {
    let check = |value: Value, json: &str| assert_eq!(value.to_json().unwrap().to_string(), json);
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

#[test]
fn a_set_is_a_list_and_no_key() {
    let set = || Value::from(FrozenSet::new([1_i64.into(), "a".into()]));
    assert_eq!(set().json_text().unwrap().to_string(), r#"[1,"a"]"#);
    assert_eq!(set().to_json().unwrap(), serde_json::json!([1, "a"]));
    for key in [set(), Value::List(vec![set()])] {
        let map = Value::List(vec![Value::Map(vec![(key, Value::Null)])]);
        let error = map.json_text().unwrap_err();
        assert!(matches!(error, JsonError::SetKey(_)), "{error:?}");
        assert_eq!(map.to_json().unwrap_err(), error);
        assert!(
            error.to_string().contains("send the pairs as a list"),
            "{error}"
        );
        assert!(map.json_preview(99).starts_with(r#"[{"["#));
    }
}

#[test]
fn arrays_are_lists_of_what_json_has() {
    let one = |name: &str, data: &[u8]| {
        let dtype = DType::parse(name).unwrap();
        let value = Value::from(Tensor::new(dtype, [1], data.to_vec()).unwrap());
        let text = value.json_text().unwrap().to_string();
        assert_eq!(text, value.to_json().unwrap().to_string());
        text
    };
    let number = 86_400_i64.to_le_bytes();
    assert_eq!(one("float16", &[0, 0x7e]), r#"["NaN"]"#);
    assert_eq!(one("float16", &[0, 0x3e]), "[1.5]");
    assert_eq!(
        one("complex64", &[0, 0, 0x80, 0x3f, 0, 0, 0, 0]),
        "[[1.0,0.0]]"
    );
    assert_eq!(one("datetime64[s]", &number), r#"["1970-01-02T00:00:00"]"#);
    assert_eq!(one("datetime64[D]", &number), r#"["2206-07-23"]"#);
    assert_eq!(
        one("datetime64[ns]", &number),
        r#"["1970-01-01T00:00:00.000086400"]"#
    );
    assert_eq!(one("timedelta64[s]", &number), "[86400.0]");
    assert_eq!(one("timedelta64[ps]", &number), r#"["86400 picoseconds"]"#);
    assert_eq!(one("timedelta64[D]", &i64::MIN.to_le_bytes()), "[null]");
}
