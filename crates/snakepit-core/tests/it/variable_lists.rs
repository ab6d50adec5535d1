//! Variables of type list and map, and lists that become arrays.

#![expect(
    clippy::unwrap_used,
    reason = "a helper of a test may panic like the test"
)]

use snakepit_core::state::{
    NewVariable, Session, SessionConfig, SessionOptions, Sessions, VariableType,
};
use snakepit_core::value::{DType, Value};

fn session() -> Session {
    let sessions = Sessions::new(SessionConfig::new()).unwrap();
    sessions.create("s", SessionOptions::new()).unwrap()
}

fn list<T: Into<Value>>(items: impl IntoIterator<Item = T>) -> Value {
    Value::List(items.into_iter().map(Into::into).collect())
}

#[test]
fn lists_stay_what_they_are() {
    use VariableType as T;
    let session = session();
    let register = |name: &str, kind, value: Value| {
        let stored = session
            .register(NewVariable::new(name, kind, value))
            .unwrap();
        (*stored.value).clone()
    };
    let whole = list([1, 2, 3]);
    assert_eq!(register("l", T::List, whole.clone()), whole);
    let Value::Array(tensor) = register("e", T::Embedding, whole) else {
        panic!("an embedding is an array")
    };
    assert_eq!((tensor.dtype(), tensor.shape()), (DType::Int64, &[3][..]));
    let Value::Array(tensor) = register("t", T::Tensor, list([true, false])) else {
        panic!("a tensor is an array")
    };
    assert_eq!(tensor.dtype(), DType::Bool);
    let digits = list([Value::Float(0.5), Value::Int((1 << 53) + 1)]);
    let error = session.set("t", digits, None).unwrap_err();
    assert!(error.to_string().contains("float64 cannot hold"), "{error}");
}

#[test]
fn lists_and_maps_count_with_all_that_is_in_them() {
    use VariableType as T;
    let session = session();
    let text = "x".repeat(1000);
    let nested = list([Value::Map(vec![(
        text.as_str().into(),
        list([text.as_str()]),
    )])]);
    let stored = session
        .register(NewVariable::new("l", T::List, nested))
        .unwrap();
    assert_eq!(stored.value_bytes(), 2000);
    let used = session.info().unwrap().bytes;
    assert!(used > 2000, "{used}");
    session.set("l", list::<i64>([]), None).unwrap();
    let now = session.info().unwrap().bytes;
    assert!(now <= used - 2000, "{now} of {used}");
    session.delete_variable("l", None).unwrap();
}
