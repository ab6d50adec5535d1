//! Variables.

use std::collections::HashMap;

use snakepit_core::value::{DataFrame, DataFrameKind, Tensor, Value};
use snakepit_grpc::pb;
use snakepit_grpc::pb::variable_value::Kind;
use snakepit_grpc::pb::{set_result, variable_result};
use tonic::Code;

use super::client::{Client, details, open, served};

pub(super) fn json(text: &str) -> Option<pb::VariableValue> {
    Some(pb::VariableValue {
        kind: Some(Kind::Json(text.into())),
    })
}

pub(super) fn new(
    name: &str,
    kind: &str,
    value: Option<pb::VariableValue>,
) -> pb::RegisterVariableRequest {
    pb::RegisterVariableRequest {
        session_id: "s".into(),
        name: name.into(),
        r#type: kind.into(),
        value,
        ..pb::RegisterVariableRequest::default()
    }
}

pub(super) fn update(name: &str, value: &str, expected_version: u64) -> pb::VariableUpdate {
    pb::VariableUpdate {
        name: name.into(),
        value: json(value),
        expected_version,
    }
}

pub(super) fn set(items: Vec<pb::VariableUpdate>, atomic: bool) -> pb::SetVariablesRequest {
    pb::SetVariablesRequest {
        session_id: "s".into(),
        items,
        atomic,
    }
}

async fn get(client: &mut Client, names: &[&str]) -> Vec<variable_result::Result> {
    let request = pb::GetVariablesRequest {
        session_id: "s".into(),
        names: names.iter().map(|name| (*name).to_owned()).collect(),
    };
    let results = client
        .get_variables(request)
        .await
        .unwrap()
        .into_inner()
        .results;
    assert!(
        results
            .iter()
            .map(|it| it.name.as_str())
            .eq(names.iter().copied())
    );
    results.into_iter().map(|it| it.result.unwrap()).collect()
}

fn variable(result: variable_result::Result) -> pb::Variable {
    match result {
        variable_result::Result::Variable(variable) => variable,
        variable_result::Result::Error(error) => panic!("{}", error.message),
    }
}

#[tokio::test]
async fn a_variable_lives_from_registration_to_deletion() {
    let mut host = served().await;
    open(&mut host.client, "s").await;
    let mut request = new("x", "integer", json("5"));
    request.constraints_json = r#"{"min": 0, "max": 10}"#.into();
    request.metadata = HashMap::from([("k".into(), "v".into())]);
    let answer = host
        .client
        .register_variable(request)
        .await
        .unwrap()
        .into_inner();
    assert_eq!(answer.version, 1);

    let answer = host
        .client
        .set_variables(set(vec![update("x", "7", 1)], false))
        .await
        .unwrap();
    let result = answer.into_inner().results.remove(0).result.unwrap();
    assert_eq!(result, set_result::Result::Version(2));

    let mut found = get(&mut host.client, &["x", "y"]).await;
    assert!(matches!(&found[1], variable_result::Result::Error(it) if it.code == "SP7101"));
    let x = variable(found.remove(0));
    assert_eq!(
        (x.r#type.as_str(), x.value, x.version),
        ("integer", json("7"), 2)
    );
    assert_eq!(x.metadata["k"], "v");
    assert_eq!(x.constraints_json, r#"{"min":0,"max":10}"#);

    let list = pb::ListVariablesRequest {
        session_id: "s".into(),
        prefix: "x".into(),
    };
    let listed = host
        .client
        .list_variables(list)
        .await
        .unwrap()
        .into_inner()
        .variables;
    assert_eq!((listed.len(), listed[0].value.clone()), (1, None));
    assert!(listed[0].size > 0);

    let delete = |version| pb::DeleteVariableRequest {
        session_id: "s".into(),
        name: "x".into(),
        expected_version: version,
    };
    let status = host.client.delete_variable(delete(1)).await.unwrap_err();
    assert_eq!(
        (status.code(), details(&status).code.as_str()),
        (Code::Aborted, "SP7106")
    );
    host.client.delete_variable(delete(2)).await.unwrap();
    host.client.delete_variable(delete(0)).await.unwrap();
    let status = host.client.delete_variable(delete(2)).await.unwrap_err();
    assert_eq!(status.code(), Code::NotFound);
}

#[tokio::test]
async fn what_cannot_be_registered_is_refused() {
    let mut host = served().await;
    open(&mut host.client, "s").await;
    host.client
        .register_variable(new("x", "integer", json("5")))
        .await
        .unwrap();
    let constrained = |text: &str| pb::RegisterVariableRequest {
        constraints_json: text.into(),
        ..new("y", "integer", json("5"))
    };
    let elsewhere = pb::RegisterVariableRequest {
        session_id: "no".into(),
        ..new("y", "string", None)
    };
    for (request, code) in [
        (new("x", "integer", json("5")), Code::AlreadyExists),
        (new("y", "integer", json("\"5\"")), Code::InvalidArgument),
        (new("y", "number", json("5")), Code::InvalidArgument),
        (new("y", "integer", json("{")), Code::InvalidArgument),
        (new("y", "integer", None), Code::InvalidArgument),
        (new("", "integer", json("5")), Code::InvalidArgument),
        (constrained("{\"min\": 6}"), Code::FailedPrecondition),
        (constrained("{\"minimum\": 6}"), Code::InvalidArgument),
        (constrained("[]"), Code::InvalidArgument),
        (elsewhere, Code::NotFound),
    ] {
        let status = host.client.register_variable(request).await.unwrap_err();
        assert_eq!(status.code(), code, "{status}");
        assert!(!details(&status).message.is_empty());
    }
}

#[tokio::test]
async fn a_batch_is_set_each_by_itself_or_all_or_none() {
    let mut host = served().await;
    open(&mut host.client, "s").await;
    for name in ["a", "b"] {
        host.client
            .register_variable(new(name, "integer", json("0")))
            .await
            .unwrap();
    }
    let mixed = vec![
        update("a", "1", 0),
        update("nobody", "1", 0),
        pb::VariableUpdate {
            value: None,
            ..update("b", "1", 0)
        },
        update("b", "2", 9),
        update("b", "3", 1),
    ];
    let status = host
        .client
        .set_variables(set(mixed.clone(), true))
        .await
        .unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument, "{status}");
    let status = host
        .client
        .set_variables(set(mixed[..2].to_vec(), true))
        .await
        .unwrap_err();
    assert_eq!(status.code(), Code::NotFound, "{status}");
    assert_eq!(
        variable(get(&mut host.client, &["a"]).await.remove(0)).version,
        1
    );

    let answer = host
        .client
        .set_variables(set(mixed, false))
        .await
        .unwrap()
        .into_inner();
    let results: Vec<_> = answer
        .results
        .into_iter()
        .map(|it| match it.result.unwrap() {
            set_result::Result::Version(version) => version.to_string(),
            set_result::Result::Error(error) => error.code,
        })
        .collect();
    assert_eq!(results, ["2", "SP7101", "SP8010", "SP7106", "2"]);
    let both = set(vec![update("a", "8", 2), update("b", "9", 2)], true);
    assert_eq!(
        host.client
            .set_variables(both)
            .await
            .unwrap()
            .into_inner()
            .results
            .len(),
        2
    );

    let names = vec!["a".to_owned(); 10_001];
    let request = pb::GetVariablesRequest {
        session_id: "s".into(),
        names,
    };
    let status = host.client.get_variables(request).await.unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument);
}

#[tokio::test]
async fn large_arrays_travel_as_they_are() {
    let mut host = served().await;
    open(&mut host.client, "s").await;
    let tensor = Tensor::from(vec![0.5_f32; 4096]).reshape([64, 64]).unwrap();
    let buffer = pb::Buffer {
        dtype: "float32".into(),
        shape: vec![64, 64],
        data: tensor.data().clone(),
    };
    let value = Some(pb::VariableValue {
        kind: Some(Kind::Buffer(buffer)),
    });
    host.client
        .register_variable(new("t", "tensor", value.clone()))
        .await
        .unwrap();
    host.client
        .register_variable(new("e", "embedding", json("[1.5, 2.5]")))
        .await
        .unwrap();
    let mut found = get(&mut host.client, &["t", "e"])
        .await
        .into_iter()
        .map(variable);
    assert_eq!(found.next().unwrap().value, value);
    assert_eq!(found.next().unwrap().value, json("[1.5,2.5]"));
    let session = host.state.sessions().get(&"s".into()).unwrap();
    assert_eq!(*session.variable("t").unwrap().value, Value::Array(tensor));
}

#[tokio::test]
async fn data_frames_travel_as_arrow() {
    let mut host = served().await;
    open(&mut host.client, "s").await;
    let value = |kind: &str| {
        let (kind, ipc) = (kind.to_owned(), vec![1; 5000].into());
        Some(pb::VariableValue {
            kind: Some(Kind::DataFrame(pb::DataFrame { kind, ipc })),
        })
    };
    for (name, kind) in [
        ("t", ""),
        ("p", "pandas.Series"),
        ("r", "pyarrow.RecordBatch"),
    ] {
        let request = new(name, "data_frame", value(kind));
        host.client.register_variable(request).await.unwrap();
        let found = get(&mut host.client, &[name]).await.remove(0);
        let found = variable(found);
        assert_eq!((&*found.r#type, &found.value), ("data_frame", &value(kind)));
        assert!(found.size >= 5000);
    }
    let session = host.state.sessions().get(&"s".into()).unwrap();
    let kept = session.variable("p").unwrap();
    let frame = DataFrame::from_ipc(vec![1; 5000]).with_kind(DataFrameKind::PandasSeries);
    assert_eq!(*kept.value, Value::DataFrame(frame));
    for (value, said) in [
        (
            value("pandas.Frame"),
            "`pandas.Frame` of a data frame is unknown",
        ),
        (json("[1]"), "is of type data_frame, the value is a list"),
    ] {
        let status = host
            .client
            .register_variable(new("x", "data_frame", value))
            .await;
        let status = status.unwrap_err();
        assert!(status.message().contains(said), "{}", status.message());
    }
}

#[tokio::test]
async fn lists_and_maps_are_json_unless_that_would_change_them() {
    let mut host = served().await;
    open(&mut host.client, "s").await;
    // {frozenset([1]): datetime64[s] array}
    let block = [
        &[1, 15, 1, 7, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 9][..],
        &[0; 7],
    ]
    .concat();
    let map = [&[0x81, 0x92, 0xc7, 0, 9, 1, 0xc7, 24, 7][..], &block].concat();
    let packed = Some(pb::VariableValue {
        kind: Some(Kind::Msgpack(map.into())),
    });
    let rows = json("[[1.5,2.5],[3.5,4.5]]");
    for (name, kind, value) in [
        ("l", "list", json(r#"[1,2.0,{"a":[null]}]"#)),
        ("m", "map", json(r#"{"b":1,"a":[1,2]}"#)),
        ("p", "map", packed),
        ("e", "embedding", rows),
        ("i", "embedding", json("[1,2,3]")),
    ] {
        let request = new(name, kind, value.clone());
        host.client.register_variable(request).await.unwrap();
        let found = get(&mut host.client, &[name]).await.remove(0);
        assert_eq!(variable(found).value, value, "{name}");
    }
    let status = host
        .client
        .register_variable(new("x", "list", json("{}")))
        .await;
    assert!(
        status
            .unwrap_err()
            .message()
            .contains("is of type list, the value is a map")
    );
}
