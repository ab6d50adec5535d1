//! Typed variables of a session.
#![expect(
    clippy::unwrap_used,
    reason = "a helper of a test may panic like the test"
)]

use snakepit_core::error::ErrorCode;
use snakepit_core::state::{
    Constraints, NewVariable, Session, SessionConfig, SessionOptions, Sessions, SetVariable,
    StateError, VariableError, VariableType,
};
use snakepit_core::value::{DType, FrozenSet, Tensor, Value};

fn session() -> Session {
    let sessions = Sessions::new(SessionConfig::new()).unwrap();
    sessions.create("s", SessionOptions::new()).unwrap()
}

fn list<T: Into<Value>>(items: impl IntoIterator<Item = T>) -> Value {
    Value::List(items.into_iter().map(Into::into).collect())
}

fn code(result: Result<snakepit_core::state::Variable, StateError>) -> ErrorCode {
    result.unwrap_err().code()
}

#[test]
fn every_type_takes_its_values_and_no_others() {
    use VariableType as T;
    let tensor = || Value::from(Tensor::from(vec![1.0_f32, 2.0]));
    let point = || Value::from(Tensor::new(DType::Float64, [], vec![0; 8]).unwrap());
    let deep_enough = || (0..100).fold(Value::Null, |inner, _| list([inner]));
    let map = Value::Map(vec![
        ("shape".into(), list([1_i64, 2])),
        ("data".into(), list([1, 2])),
    ]);
    let set = Value::from(FrozenSet::new([1_i64.into()]));
    let deep = (0..200).fold(Value::Null, |inner, _| list([inner]));
    let rows: [(T, Vec<Value>, Vec<Value>); 9] = [
        (
            T::String,
            vec!["".into(), "ü".into()],
            vec![1.into(), Value::Null],
        ),
        (
            T::Integer,
            vec![(-1).into(), u64::MAX.into()],
            vec![1.0.into(), true.into(), "1".into()],
        ),
        (
            T::Float,
            vec![1.5.into(), 2.into(), f64::NAN.into()],
            vec!["1".into(), true.into()],
        ),
        (T::Boolean, vec![true.into()], vec![1.into(), "true".into()]),
        (
            T::Module,
            vec!["numpy".into(), "a._b.c2".into()],
            vec!["".into(), "a..b".into(), "1a".into(), 5.into()],
        ),
        (
            T::Embedding,
            vec![
                tensor(),
                list([1.0, 2.0]),
                list([1, 2]),
                list([list([1, 2]), list([3, 4])]),
            ],
            vec![list(["x"]), 1.into(), map.clone(), point()],
        ),
        (
            T::Tensor,
            vec![tensor(), list([list([1]), list([2])]), map.clone(), point()],
            vec!["x".into(), list([list([1]), list([1, 2])])],
        ),
        (
            T::List,
            vec![list([1, 2]), list(["x"]), list([map.clone()]), set.clone()],
            vec![map.clone(), tensor(), "x".into(), deep.clone()],
        ),
        (
            T::Map,
            vec![map.clone(), Value::Map(vec![(set, deep_enough())])],
            vec![list([1]), Value::Null, Value::Map(vec![(1.into(), deep)])],
        ),
    ];
    for (kind, good, bad) in rows {
        assert_eq!(VariableType::parse(kind.name()), Some(kind));
        let session = session();
        session
            .register(NewVariable::new("v", kind, good[0].clone()))
            .unwrap();
        for value in good {
            session.set("v", value, None).unwrap();
        }
        for value in bad {
            let shown = value.to_string();
            let error = session.set("v", value, None).unwrap_err();
            assert_eq!(error.code(), ErrorCode::WrongVariableType, "{kind} {shown}");
        }
    }
}

#[test]
fn a_float_keeps_whole_numbers_as_floats_and_lists_become_arrays() {
    let session = session();
    let float = session
        .register(NewVariable::new("f", VariableType::Float, 3))
        .unwrap();
    assert_eq!(*float.value, Value::Float(3.0));
    let constraints = Constraints::new().dtype(DType::Float32).dimensions(2);
    let new =
        NewVariable::new("e", VariableType::Embedding, list([1.0, 0.5])).constraints(constraints);
    let embedding = session.register(new).unwrap();
    assert_eq!(
        *embedding.value,
        Value::from(Tensor::from(vec![1.0_f32, 0.5]))
    );
}

#[test]
fn a_violated_constraint_says_which_and_why() {
    use VariableType as T;
    let c = Constraints::new;
    let f64s = Value::from(Tensor::from(vec![1.0_f64]));
    let rows: Vec<(T, Constraints, Value, Value, &str)> = vec![
        (T::Integer, c().min(1), 1.into(), 0.into(), "min"),
        (
            T::Integer,
            c().max(9_007_199_254_740_992.0),
            1.into(),
            9_007_199_254_740_993_i64.into(),
            "max",
        ),
        (T::Float, c().max(1), 1.into(), 1.5.into(), "max"),
        (T::Float, c().max(1), 1.into(), f64::NAN.into(), "max"),
        (
            T::String,
            c().length(2, 3),
            "üü".into(),
            "x".into(),
            "min_length",
        ),
        (
            T::String,
            c().length(2, 3),
            "üüü".into(),
            "xxxx".into(),
            "max_length",
        ),
        (
            T::String,
            c().pattern("a+|b"),
            "aa".into(),
            "ab".into(),
            "pattern",
        ),
        (
            T::String,
            c().choices(["x"]),
            "x".into(),
            "y".into(),
            "choices",
        ),
        (
            T::Choice,
            c().choices(["x", "y"]),
            "y".into(),
            "z".into(),
            "choices",
        ),
        (
            T::Module,
            c().allowed_modules(["m"]),
            "m".into(),
            "os".into(),
            "allowed_modules",
        ),
        (
            T::Embedding,
            c().dimensions(1),
            list([1]),
            list([1, 2]),
            "dimensions",
        ),
        (T::Embedding, c().max(1), list([1]), list([0, 2]), "max"),
        (
            T::Embedding,
            c().dimensions(2),
            list([list([1, 2]), list([3, 4])]),
            list([list([1, 2, 3])]),
            "dimensions",
        ),
        (
            T::Embedding,
            c().shape([2, 1]),
            list([list([1]), list([2])]),
            list([list([1])]),
            "shape",
        ),
        (
            T::List,
            c().length(1, 2),
            list([1]),
            list([1, 2, 3]),
            "max_length",
        ),
        (
            T::List,
            c().length(1, 2),
            list([1]),
            list::<i64>([]),
            "min_length",
        ),
        (
            T::Map,
            c().length(0, 0),
            Value::Map(vec![]),
            Value::Map(vec![(1.into(), 2.into())]),
            "max_length",
        ),
        (
            T::Tensor,
            c().shape([1, 2]),
            list([list([1, 2])]),
            list([1, 2]),
            "shape",
        ),
        (T::Tensor, c().dtype(DType::Int8), list([1]), f64s, "dtype"),
    ];
    for (kind, constraints, good, bad, expected) in rows {
        let session = session();
        session
            .register(NewVariable::new("v", kind, good).constraints(constraints))
            .unwrap();
        let error = session.set("v", bad, None).unwrap_err();
        let StateError::Variable(error) = error else {
            panic!("{error}")
        };
        assert!(
            matches!(*error, VariableError::Constraint { constraint, .. } if constraint == expected),
            "{error}"
        );
        assert_eq!(session.variable("v").unwrap().version, 1);
    }
}

#[test]
fn constraints_that_cannot_be_used_are_refused() {
    use VariableType as T;
    let c = Constraints::new;
    let rows: Vec<(T, Constraints, Value)> = vec![
        (T::Integer, c().pattern("x"), 1.into()),
        (T::Integer, c().min(2).max(1), 1.into()),
        (T::Integer, c().min("x"), 1.into()),
        (T::String, c().pattern("("), "".into()),
        (T::String, c().pattern(")(?:"), "".into()),
        (T::String, c().pattern("(a{1000}){1000}"), "".into()),
        (T::String, c().length(3, 2), "".into()),
        (T::Choice, c(), "".into()),
        (T::Float, c().dtype(DType::Bool), 1.into()),
        (T::List, c().min(1), list([1])),
        (T::Map, c().shape([1]), Value::Map(vec![])),
    ];
    for (kind, constraints, value) in rows {
        let new = NewVariable::new("v", kind, value).constraints(constraints);
        assert_eq!(
            code(session().register(new.clone())),
            ErrorCode::InvalidConstraint,
            "{new:?}"
        );
    }
    let read = |json: &str| serde_json::from_str::<Constraints>(json);
    let all = Constraints::new().min(1).dtype(DType::Int8);
    assert_eq!(
        serde_json::to_string(&all).unwrap(),
        r#"{"min":1,"dtype":"int8"}"#
    );
    assert_eq!(read(r#"{"min":1,"dtype":"int8"}"#).unwrap(), all);
    assert!(read(r#"{"minimum":1}"#).is_err() && read(r#"{"dtype":"int7"}"#).is_err());
}

#[test]
fn versions_protect_updates() {
    let session = session();
    session
        .register(NewVariable::new("v", VariableType::Integer, 1))
        .unwrap();
    assert_eq!(session.set("v", 2, Some(1)).unwrap().version, 2);
    let error = session.set("v", 3, Some(1)).unwrap_err();
    assert_eq!(error.to_string(), "variable `v` is at version 2, not 1");
    assert!(session.delete_variable("v", Some(1)).is_err());
    let add = |value: &Value| match value {
        Value::Int(n) => Value::Int(n + 1),
        _ => Value::Null,
    };
    assert_eq!(
        *session.update_variable("v", add).unwrap().value,
        Value::Int(3)
    );
    assert_eq!(
        code(session.register(NewVariable::new("v", VariableType::Float, 1))),
        ErrorCode::VariableExists
    );
    assert_eq!(session.delete_variable("v", Some(3)), Ok(true));
    assert_eq!(session.delete_variable("v", None), Ok(false));
    assert!(session.delete_variable("v", Some(3)).is_err());
    assert_eq!(code(session.set("v", 3, None)), ErrorCode::UnknownVariable);
}

#[test]
fn an_atomic_batch_changes_all_or_nothing() {
    let session = session();
    for name in ["a", "b"] {
        session
            .register(NewVariable::new(name, VariableType::Integer, 0))
            .unwrap();
    }
    let set = |name: &str, value: Value| SetVariable::new(name, value);
    let seq = |session: &Session| {
        session
            .list_variables("")
            .unwrap()
            .iter()
            .map(|v| v.version)
            .sum::<u64>()
    };
    for bad in [
        set("b", "x".into()),
        set("c", 1.into()),
        set("b", 1.into()).expected_version(9),
        set("a", 1.into()),
    ] {
        assert!(session.set_all(vec![set("a", 1.into()), bad]).is_err());
        assert_eq!(seq(&session), 2);
    }
    let results = session
        .set_each(vec![
            set("a", 1.into()),
            set("b", "x".into()),
            set("a", 2.into()),
        ])
        .unwrap();
    let versions: Vec<_> = results
        .iter()
        .map(|r| r.as_ref().map(|v| v.version).ok())
        .collect();
    assert_eq!(versions, [Some(2), None, Some(3)]);
    let got = session.variables(&["b", "nope", "a"]).unwrap();
    assert_eq!(*got[0].as_ref().unwrap().value, Value::Int(0));
    assert_eq!(
        got[1].as_ref().unwrap_err().code(),
        ErrorCode::UnknownVariable
    );
    session.delete().unwrap();
    assert!(
        session
            .set_each(vec![set("a", 1.into())])
            .unwrap_err()
            .is_end()
    );
}
