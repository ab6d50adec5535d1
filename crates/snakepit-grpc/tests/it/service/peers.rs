//! Clients on sockets of other kinds, with other limits, and tools that they register.

use std::sync::Arc;

use snakepit_core::host_tools::{HostState, HostStateConfig, HostTool};
use snakepit_core::id::{SessionId, WorkerId};
use snakepit_core::value::Value;
use snakepit_grpc::pb;
use snakepit_grpc::service::{BridgeServer, ServeOptions, Token};
use tonic::Code;

use super::client::{connect, host_call, open};
use super::host;

fn state() -> HostState {
    let state = HostState::new(HostStateConfig::new()).unwrap();
    let long = HostTool::sync("long", |_, _: Value| Ok("x".repeat(100_000)));
    state.tools().register(long.exposed()).unwrap();
    state
}

fn registration(session: &str, worker: &str, tools: &[&str]) -> pb::RegisterToolsRequest {
    let tool = |name: &&str| pb::ToolRegistration {
        name: (*name).to_owned(),
        ..pb::ToolRegistration::default()
    };
    pb::RegisterToolsRequest {
        session_id: session.into(),
        worker_id: worker.into(),
        tools: tools.iter().map(tool).collect(),
    }
}

#[tokio::test]
async fn a_client_on_an_abstract_socket_needs_the_token_too() {
    let name = format!("snakepit-test-{}", std::process::id());
    let token = Token::generate().unwrap();
    let mut options = ServeOptions::new();
    options.token = Some(token.clone());
    let server = BridgeServer::new(state());
    let serving = server.serve_abstract(&name, &options).await.unwrap();
    assert_eq!(
        serving.address().to_string(),
        format!("unix-abstract:{name}")
    );
    let ping = || pb::PingRequest {
        message: "hello".into(),
    };
    let mut known = connect(serving.address(), Some(&token)).await;
    assert!(known.ping(ping()).await.is_ok());
    let mut stranger = connect(serving.address(), None).await;
    let refused = stranger.ping(ping()).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unauthenticated);
    let again = server.serve_abstract(&name, &options).await.unwrap_err();
    assert!(
        again.to_string().contains(&format!("unix-abstract:{name}")),
        "{again}"
    );
    let long = "x".repeat(200);
    assert!(server.serve_abstract(&long, &options).await.is_err());
    let dir = tempfile::tempdir().unwrap();
    let serving = server
        .serve_unix(dir.path().join("s/h"), &options)
        .await
        .unwrap();
    let mut stranger = connect(serving.address(), None).await;
    let refused = stranger.ping(ping()).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unauthenticated);
    let mut known = connect(serving.address(), Some(&token)).await;
    assert!(known.ping(ping()).await.is_ok());
}

#[tokio::test]
async fn an_answer_above_the_limit_of_a_client_is_an_error_of_the_host() {
    let server = BridgeServer::new(state());
    let dir = tempfile::tempdir().unwrap();
    let mut small = ServeOptions::new();
    small.max_answer = Some(50_000);
    let path = |name: &str| dir.path().join("s").join(name);
    let own = server
        .serve_unix(path("own"), &ServeOptions::new())
        .await
        .unwrap();
    let limited = server.serve_unix(path("limited"), &small).await.unwrap();
    for (serving, header, good) in [
        (&own, None, true),
        (&own, Some("200000"), true),
        (&own, Some("100"), false),
        (&own, Some("90000"), false),
        (&own, Some("many"), true),
        (&limited, None, false),
        (&limited, Some("200000"), false),
    ] {
        let mut client = connect(serving.address(), None).await;
        open(&mut client, "s").await;
        let mut request = tonic::Request::new(host_call("s", "long", &[]));
        if let Some(header) = header {
            let header = header.parse().unwrap();
            request
                .metadata_mut()
                .insert("x-snakepit-max-message", header);
        }
        let answer = client
            .execute_elixir_tool(request)
            .await
            .unwrap()
            .into_inner();
        assert_eq!(answer.success, good, "{header:?}: {}", answer.error_message);
        let code = answer.metadata.get("error_code").map(String::as_str);
        assert_eq!(code, (!good).then_some("SP2005"), "{header:?}");
    }
}

#[tokio::test]
async fn answers_of_every_kind_keep_the_limit() {
    let state = state();
    let long = Value::from("x".repeat(60_000));
    state.sessions().put_program("p", long).unwrap();
    for n in 0..1_000 {
        let name = format!("{n:0>60}");
        state.sessions().put_program(&name, Value::Null).unwrap();
    }
    let tool = HostTool::sync("described", |_, _: Value| Ok(0)).description("x".repeat(60_000));
    state.tools().register(tool.exposed()).unwrap();
    let server = BridgeServer::new(state);
    let dir = tempfile::tempdir().unwrap();
    let mut options = ServeOptions::new();
    let whole = server.serve_unix(dir.path().join("s/w"), &options);
    let whole = whole.await.unwrap();
    options.max_answer = Some(50_000);
    let limited = server.serve_unix(dir.path().join("s/l"), &options);
    let limited = limited.await.unwrap();
    open(&mut connect(whole.address(), None).await, "s").await;
    for (serving, good) in [(&whole, true), (&limited, false)] {
        let mut client = connect(serving.address(), None).await;
        let program = pb::GetProgramRequest {
            name: "p".into(),
            ..Default::default()
        };
        let tools = pb::GetExposedElixirToolsRequest {
            session_id: "s".into(),
        };
        let errors = [
            client.get_program(program).await.err(),
            client
                .list_programs(pb::ListProgramsRequest::default())
                .await
                .err(),
            client.get_exposed_elixir_tools(tools).await.err(),
        ];
        for error in errors {
            let told = error.is_some_and(|it| it.message().contains("limit of 50000 bytes"));
            assert_eq!(told, !good);
        }
        let session = pb::GetSessionRequest {
            session_id: "s".into(),
        };
        client.get_session(session).await.unwrap();
    }
}

#[tokio::test]
async fn the_gateway_learns_whether_a_peer_is_a_worker() {
    let dir = tempfile::tempdir().unwrap();
    let (clients, state, _) = host::server(HostStateConfig::new());
    let workers = BridgeServer::new(state).for_workers(Arc::new(|_| Some("main-7".into())));
    let options = ServeOptions::new();
    let one = workers.serve_unix(dir.path().join("s/w"), &options);
    let one = one.await.unwrap();
    let two = clients.serve_unix(dir.path().join("s/c"), &options);
    let two = two.await.unwrap();
    let mut worker = connect(one.address(), None).await;
    let mut client = connect(two.address(), None).await;
    open(&mut client, "s").await;
    for known in [false, true] {
        let from = if known { &mut worker } else { &mut client };
        let request = registration("s", "main-7", &["whoami"]);
        let answer = from.register_tools(request).await.unwrap().into_inner();
        assert!(answer.success, "{}", answer.error_message);
        let call = pb::ExecuteToolRequest {
            session_id: "s".into(),
            tool_name: "whoami".into(),
            ..Default::default()
        };
        let answer = client.execute_tool(call).await.unwrap().into_inner();
        let text = String::from_utf8(answer.result.unwrap().value).unwrap();
        assert!(text.contains(r#""peer":"main-7""#), "{text}");
        assert_eq!(text.contains(r#""worker":"yes""#), known, "{text}");
    }
}

#[tokio::test]
async fn servers_of_one_state_know_the_same_tools_and_workers_by_their_processes() {
    let (state, dir) = (state(), tempfile::tempdir().unwrap());
    let own = std::process::id();
    let find = move |process| (process == own).then(|| WorkerId::from("main-7"));
    let workers = BridgeServer::new(state.clone()).for_workers(Arc::new(find));
    let clients = BridgeServer::new(state);
    let path = |name: &str| dir.path().join("s").join(name);
    let options = ServeOptions::new();
    let one = workers.serve_unix(path("w"), &options).await.unwrap();
    let two = clients.serve_unix(path("c"), &options).await.unwrap();
    let mut worker = connect(one.address(), None).await;
    let mut client = connect(two.address(), None).await;
    open(&mut client, "s").await;

    let request = registration("s", "main-9", &["long", "short"]);
    let answer = worker.register_tools(request).await.unwrap().into_inner();
    assert!(answer.success);
    assert_eq!(answer.tool_ids.keys().collect::<Vec<_>>(), ["short"]);
    assert!(
        answer.error_message.contains("long"),
        "{}",
        answer.error_message
    );
    // Workers of a pool register the same tools; other clients must not replace them.
    let again = registration("s", "main-9", &["short"]);
    assert!(
        worker
            .register_tools(again.clone())
            .await
            .unwrap()
            .into_inner()
            .success
    );
    let refused = client.register_tools(again).await.unwrap().into_inner();
    assert!(
        refused.error_message.contains("duplicate_tool"),
        "{refused:?}"
    );

    let session = SessionId::from("s");
    for server in [&workers, &clients] {
        assert!(server.tools_of(&session, &"main-9".into()).is_empty());
        let tools = server.tools_of(&session, &"main-7".into());
        assert_eq!(tools.len(), 1);
    }
    assert_eq!(clients.forget_peer("main-7"), 1);
}
