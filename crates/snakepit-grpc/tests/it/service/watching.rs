//! Changes of variables, and programs.

use snakepit_core::host_tools::HostStateConfig;
use snakepit_grpc::pb;
use snakepit_grpc::pb::variable_change::Kind as ChangeKind;
use snakepit_grpc::service::ServeOptions;
use tonic::Code;

use super::client::{details, open, served, served_with};
use super::variables::{json, new, set, update};

#[tokio::test]
async fn changes_are_watched_until_the_session_ends() {
    let mut host = served().await;
    open(&mut host.client, "s").await;
    let watch = |names: &[&str], after| pb::WatchVariablesRequest {
        session_id: "s".into(),
        names: names.iter().map(|name| (*name).to_owned()).collect(),
        after,
    };
    let mut all = host
        .client
        .watch_variables(watch(&[], Some(0)))
        .await
        .unwrap()
        .into_inner();
    let mut one = host
        .client
        .watch_variables(watch(&["b"], None))
        .await
        .unwrap()
        .into_inner();
    for name in ["a", "b"] {
        host.client
            .register_variable(new(name, "integer", json("0")))
            .await
            .unwrap();
    }
    host.client
        .set_variables(set(vec![update("b", "1", 0)], false))
        .await
        .unwrap();
    let delete = pb::DeleteVariableRequest {
        session_id: "s".into(),
        name: "b".into(),
        expected_version: 0,
    };
    host.client.delete_variable(delete).await.unwrap();
    let mut seen = Vec::new();
    for _ in 0..4 {
        let change = all.message().await.unwrap().unwrap();
        assert!(change.origin.starts_with("client-"), "{}", change.origin);
        seen.push((
            change.seq,
            change.kind(),
            change.name,
            change.version,
            change.value,
        ));
    }
    let name = |name: &str| name.to_owned();
    assert_eq!(
        seen,
        [
            (1, ChangeKind::Registered, name("a"), 1, json("0")),
            (2, ChangeKind::Registered, name("b"), 1, json("0")),
            (3, ChangeKind::Set, name("b"), 2, json("1")),
            (4, ChangeKind::Deleted, name("b"), 2, None),
        ]
    );
    for kind in [ChangeKind::Registered, ChangeKind::Set, ChangeKind::Deleted] {
        assert_eq!(one.message().await.unwrap().unwrap().kind(), kind);
    }
    host.state.sessions().delete(&"s".into()).unwrap();
    for stream in [&mut all, &mut one] {
        assert_eq!(stream.message().await.unwrap_err().code(), Code::NotFound);
    }
    let status = host
        .client
        .watch_variables(watch(&[], None))
        .await
        .unwrap_err();
    assert_eq!(status.code(), Code::NotFound);
}

#[tokio::test]
async fn a_watcher_that_comes_late_is_told_what_it_missed() {
    let mut config = HostStateConfig::new();
    config.sessions.log_changes = 4;
    let mut host = served_with(config, &ServeOptions::new()).await;
    open(&mut host.client, "s").await;
    host.client
        .register_variable(new("a", "integer", json("0")))
        .await
        .unwrap();
    let updates = (0..9).map(|_| update("a", "1", 0)).collect();
    host.client
        .set_variables(set(updates, false))
        .await
        .unwrap();
    let request = pb::WatchVariablesRequest {
        session_id: "s".into(),
        after: Some(0),
        ..pb::WatchVariablesRequest::default()
    };
    let mut changes = host
        .client
        .watch_variables(request)
        .await
        .unwrap()
        .into_inner();
    let first = changes.message().await.unwrap().unwrap();
    assert_eq!((first.kind(), first.missed), (ChangeKind::Lagged, 6));
    assert_eq!(changes.message().await.unwrap().unwrap().seq, 7);
}

#[tokio::test]
async fn programs_belong_to_a_session_or_to_all() {
    let mut host = served().await;
    open(&mut host.client, "s").await;
    for session in ["s", ""] {
        let session_id = session.to_owned();
        let name = "p".to_owned();
        let value = json(r#"{"code":[1]}"#);
        let put = pb::PutProgramRequest {
            session_id: session_id.clone(),
            name: name.clone(),
            value: value.clone(),
        };
        host.client.put_program(put).await.unwrap();
        let get = pb::GetProgramRequest {
            session_id: session_id.clone(),
            name: name.clone(),
        };
        let found = host
            .client
            .get_program(get.clone())
            .await
            .unwrap()
            .into_inner();
        assert_eq!(found.value, value);
        let list = pb::ListProgramsRequest {
            session_id: session_id.clone(),
        };
        assert_eq!(
            host.client
                .list_programs(list)
                .await
                .unwrap()
                .into_inner()
                .names,
            ["p"]
        );
        let delete = pb::DeleteProgramRequest { session_id, name };
        host.client.delete_program(delete.clone()).await.unwrap();
        host.client.delete_program(delete).await.unwrap();
        let status = host.client.get_program(get).await.unwrap_err();
        assert_eq!(
            (status.code(), details(&status).code.as_str()),
            (Code::NotFound, "SP7201")
        );
    }
    for (session, name, value) in [
        ("", "p", None),
        ("", "", json("1")),
        ("nobody", "p", json("1")),
    ] {
        let (session_id, name) = (session.to_owned(), name.to_owned());
        let put = pb::PutProgramRequest {
            session_id,
            name,
            value,
        };
        let status = host.client.put_program(put).await.unwrap_err();
        assert!(
            matches!(status.code(), Code::InvalidArgument | Code::NotFound),
            "{status}"
        );
    }
}
