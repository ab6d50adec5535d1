//! Every kind of value is sent to Python and returned unchanged.

use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use snakepit::{Bytes, Value};

use crate::support::start;

fn leaf() -> impl Strategy<Value = Value> {
    let date = (1_u32..=9999, 1_u32..=12, 1_u32..=28);
    let time = (0_u32..24, 0_u32..60, 0_u32..60, 1_u32..1_000_000);
    let date = date.prop_map(|(y, m, d)| format!("{y:04}-{m:02}-{d:02}"));
    let time = time.prop_map(|(h, m, s, us)| format!("{h:02}:{m:02}:{s:02}.{us:06}"));
    let moment = (date.clone(), time.clone(), any::<bool>());
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        any::<i64>().prop_map(Value::Int),
        (i64::MAX as u64 + 1..=u64::MAX).prop_map(Value::UInt),
        any::<f64>()
            .prop_filter("NaN is not equal to itself", |f| !f.is_nan())
            .prop_map(Value::Float),
        Just(Value::Float(f64::INFINITY)),
        any::<String>().prop_map(Value::Str),
        vec(any::<u8>(), 0..64).prop_map(|bytes| Value::Bytes(bytes::Bytes::from(bytes))),
        date.prop_map(Value::Date),
        time.prop_map(Value::Time),
        moment.prop_map(|(date, time, aware)| {
            let offset = if aware { "+02:00" } else { "" };
            Value::DateTime(format!("{date}T{time}{offset}"))
        }),
        any::<i64>().prop_map(Value::Duration),
        any::<[u8; 16]>().prop_map(Value::Uuid),
        (any::<i32>(), 0_u32..1000).prop_map(|(a, b)| Value::Decimal(format!("{a}.{b:03}"))),
    ]
}

fn value() -> impl Strategy<Value = Value> {
    leaf().prop_recursive(6, 64, 8, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..8).prop_map(Value::List),
            btree_map(any::<String>(), inner.clone(), 0..8).prop_map(|map| {
                Value::Map(
                    map.into_iter()
                        .map(|(key, value)| (Value::Str(key), value))
                        .collect(),
                )
            }),
            btree_map(any::<i64>(), inner, 0..4).prop_map(|map| {
                Value::Map(
                    map.into_iter()
                        .map(|(key, value)| (Value::Int(key), value))
                        .collect(),
                )
            }),
        ]
    })
}

#[test]
fn every_value_comes_back_equal_and_of_the_same_kind() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let snakepit = runtime.block_on(start(1));
    let mut runner = TestRunner::new(Config {
        failure_persistence: None,
        ..Config::with_cases(300)
    });
    let result = runner.run(&value(), |value| {
        let back = runtime.block_on(snakepit.execute::<Value>("echo", (&value,)));
        prop_assert_eq!(
            back.map_err(|error| TestCaseError::fail(error.to_string()))?,
            value
        );
        Ok(())
    });
    runtime.block_on(snakepit.shutdown());
    result.unwrap();
}

#[tokio::test]
async fn not_a_number_and_large_bytes() {
    let snakepit = start(1).await;
    let back: f64 = snakepit.execute("echo", (f64::NAN,)).await.unwrap();
    assert!(back.is_nan());
    let data = Bytes::from(vec![7_u8; 10 << 20]);
    let back: Bytes = snakepit.execute("echo", (&data,)).await.unwrap();
    assert_eq!(back, data);
    snakepit.shutdown().await;
}
