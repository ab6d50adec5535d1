//! Arrays of every element type, and sets, where types of Rust read them.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use snakepit_core::error::ErrorCode;
use snakepit_core::value::{
    DType, Date, DateTime, FrozenSet, Payload, Tensor, TimeDelta, TimeUnit, Value,
};

#[test]
fn every_type_of_element_is_read_as_a_list() {
    for dtype in DType::ALL {
        let mut one = vec![0; dtype.size()];
        match dtype {
            DType::Float16 => one.copy_from_slice(&0x3c00_u16.to_le_bytes()),
            DType::Float32 => one.copy_from_slice(&1_f32.to_le_bytes()),
            DType::Float64 => one.copy_from_slice(&1_f64.to_le_bytes()),
            DType::Complex64 => one[..4].copy_from_slice(&1_f32.to_le_bytes()),
            DType::Complex128 => one[..8].copy_from_slice(&1_f64.to_le_bytes()),
            _ => one[0] = 1,
        }
        let tensor = Tensor::new(*dtype, [1, 2], [one.clone(), one].concat()).unwrap();
        let payload = Payload::encode(&tensor).unwrap();
        match dtype {
            DType::Bool => {
                assert_eq!(payload.decode::<Vec<Vec<bool>>>().unwrap(), [[true, true]]);
            }
            DType::Complex64 | DType::Complex128 => {
                let pairs = payload.decode::<Vec<Vec<(f64, f64)>>>().unwrap();
                assert_eq!(pairs, [[(1.0, 0.0), (1.0, 0.0)]]);
            }
            DType::DateTime64(step) if step.unit() == TimeUnit::Day => {
                let days = payload.decode::<Vec<Vec<Date>>>().unwrap();
                assert_eq!(days[0][1].0, "1970-01-02");
            }
            DType::DateTime64(_) => {
                let moments = payload.decode::<Vec<Vec<DateTime>>>().unwrap();
                assert!(
                    moments[0][1].0.starts_with("1970-01-01T00:00:0"),
                    "{moments:?}"
                );
            }
            DType::TimeDelta64(step) if step.unit() == TimeUnit::Nanosecond => {
                let error = payload.decode::<Vec<Vec<TimeDelta>>>().unwrap_err();
                assert!(error.to_string().contains("1 nanoseconds"), "{error}");
            }
            DType::TimeDelta64(_) => {
                let spans = payload.decode::<Vec<Vec<TimeDelta>>>().unwrap();
                assert!(spans[0][0].0 > 0 && spans[0][1] == spans[0][0]);
            }
            _ => assert_eq!(
                payload.decode::<Vec<Vec<f64>>>().unwrap(),
                [[1.0, 1.0]],
                "{dtype}"
            ),
        }
    }
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
enum Shape {
    Array(Tensor),
    Named { array: Tensor },
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
enum Either {
    Text(String),
    Array(Tensor),
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Wrapped(Tensor);

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Outer {
    #[serde(flatten)]
    inner: Inner,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Inner {
    array: Option<Tensor>,
}

#[test]
fn tensors_lie_in_options_enums_and_newtypes() {
    for dtype in DType::ALL {
        let tensor = Tensor::new(*dtype, [1], vec![1; dtype.size()]).unwrap();
        let tensor = || tensor.clone();
        let sent = (
            Some(tensor()),
            None::<Tensor>,
            Shape::Array(tensor()),
            Shape::Named { array: tensor() },
            Wrapped(tensor()),
            Either::Array(tensor()),
            Outer {
                inner: Inner {
                    array: Some(tensor()),
                },
            },
        );
        let payload = Payload::encode(&sent).unwrap();
        let back: (Option<_>, Option<_>, Shape, Shape, Wrapped, Either, Outer) =
            payload.decode().unwrap();
        assert_eq!(back, sent);
    }
}

#[test]
fn sets_are_read_as_lists_where_lists_are_wanted() {
    let set = |items: &[i64]| Value::from(FrozenSet::new(items.iter().copied().map(Value::from)));
    let value = Value::Map(vec![
        (set(&[1, 2]), Value::from(vec![set(&[3]), set(&[])])),
        (
            Value::List(vec![set(&[4])]),
            FrozenSet::new([set(&[5])]).into(),
        ),
    ]);
    let payload = Payload::encode(&value).unwrap();
    assert_eq!(payload.decode::<Value>().unwrap(), value);
    let one = Payload::encode(&Value::Map(vec![(set(&[2, 1]), set(&[7]))])).unwrap();
    let read: BTreeMap<BTreeSet<u8>, Vec<i32>> = one.decode().unwrap();
    assert_eq!(read, [([1, 2].into(), vec![7])].into());
    let both = (set(&[1]), Value::from(Tensor::from(vec![1.5_f32])));
    let both = Payload::encode(&both).unwrap();
    assert_eq!(
        both.decode::<(Vec<u8>, Vec<f64>)>().unwrap(),
        (vec![1], vec![1.5])
    );
    let error = both
        .decode::<(Vec<bool>, Vec<f64>)>()
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("must be a boolean, got integer 1"),
        "{error}"
    );
}

#[test]
fn what_no_set_can_have_is_refused_in_both_directions() {
    for item in [
        Value::Map(vec![]),
        Tensor::from(vec![1]).into(),
        Value::List(vec![Value::Map(vec![])]),
        FrozenSet::new([Value::Map(vec![])]).into(),
    ] {
        let error = Payload::encode(&Value::from(FrozenSet::new([item]))).unwrap_err();
        assert_eq!(error.code(), ErrorCode::InvalidPayload, "{error}");
    }
    const MARK: [u8; 3] = [0xc7, 0, 9];
    for bytes in [
        MARK.to_vec(),
        [&[0x92, 1][..], &MARK].concat(),
        [&[0x93][..], &MARK, &MARK, &[1]].concat(),
        [&[0x92][..], &MARK, &[0x80]].concat(),
        [&[0x92][..], &MARK].concat(),
        vec![0x92, 0xc7, 1, 9, 0, 1],
        [&[0x92][..], &MARK].concat().repeat(200),
    ] {
        let payload = Payload::from_msgpack(bytes);
        let decoded = payload.decode::<Value>();
        assert!(decoded.is_err(), "{payload:?} {decoded:?}");
        let _ = payload.decode::<Vec<u8>>();
    }
}
