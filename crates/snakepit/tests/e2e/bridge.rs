//! The host as a gRPC service, with the generated client and a real worker.

use snakepit::Snakepit;
use snakepit::grpc::{ServeOptions, Token};
use snakepit_grpc::pb::bridge_service_client::BridgeServiceClient;
use snakepit_grpc::pb::{
    Encoding, ExecuteToolRequest, ExecuteToolResponse, InitializeSessionRequest,
};
use tonic::metadata::MetadataValue;
use tonic::transport::{Channel, Endpoint};

use crate::original;
use crate::sessions::builder;
use crate::support::pool_of;
use crate::telemetry;

pub(crate) async fn client(path: &std::path::Path) -> BridgeServiceClient<Channel> {
    let address = format!("unix:{}", path.display());
    let channel = Endpoint::from_shared(address).unwrap().connect().await;
    BridgeServiceClient::new(channel.unwrap())
}

/// Calls a tool for the session `s`.
pub(crate) async fn execute(
    client: &mut BridgeServiceClient<Channel>,
    tool: &str,
    arguments: impl serde::Serialize,
) -> Result<ExecuteToolResponse, tonic::Status> {
    let request = ExecuteToolRequest {
        session_id: "s".into(),
        tool_name: tool.into(),
        payload: snakepit::Payload::encode(&arguments).unwrap().bytes,
        encoding: Encoding::Msgpack.into(),
        ..Default::default()
    };
    Ok(client.execute_tool(request).await?.into_inner())
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_reach_the_pools_only_through_the_gateway() {
    let snakepit = builder(1).start().await.unwrap();
    let dir = tempfile::tempdir().unwrap();
    let (plain, gateway) = (dir.path().join("plain/s"), dir.path().join("gateway/s"));
    let options = ServeOptions::new();
    let closed = snakepit
        .bridge()
        .serve_unix(&plain, &options)
        .await
        .unwrap();
    let open = snakepit
        .bridge_with_gateway()
        .serve_unix(&gateway, &options)
        .await
        .unwrap();

    let mut client_of_plain = client(&plain).await;
    let session = InitializeSessionRequest {
        session_id: "s".into(),
        ..Default::default()
    };
    client_of_plain.initialize_session(session).await.unwrap();
    let refused = execute(&mut client_of_plain, "pid", ()).await;
    assert!(refused.is_err() || !refused.unwrap().success);

    let mut client = client(&gateway).await;
    let answer = execute(&mut client, "pid", ()).await.unwrap();
    assert!(answer.success, "{answer:?}");
    let pid: u32 = snakepit::Payload::from_msgpack(answer.payload)
        .decode()
        .unwrap();
    assert_eq!(Some(pid), snakepit.workers()[0].pid);
    let arguments = snakepit::args! { "count" => "x" };
    let wrong = execute(&mut client, "increments", arguments).await.unwrap();
    assert_eq!(wrong.error.unwrap().code, "SP2003");

    drop((closed, open));
    snakepit.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_trace_and_the_correlation_id_of_a_client_reach_the_tool() {
    const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let pool = pool_of("main", telemetry::ADAPTER);
    let snakepit = Snakepit::builder().pool(pool).start().await.unwrap();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("gateway/s");
    let server = snakepit.bridge_with_gateway();
    let open = server
        .serve_unix(&path, &ServeOptions::new())
        .await
        .unwrap();
    let mut client = client(&path).await;
    for parent in [PARENT, "no trace at all"] {
        let mut request = tonic::Request::new(ExecuteToolRequest {
            tool_name: "where".into(),
            payload: snakepit::Payload::encode(&()).unwrap().bytes,
            encoding: Encoding::Msgpack.into(),
            ..Default::default()
        });
        let headers = request.metadata_mut();
        headers.insert("traceparent", parent.parse().unwrap());
        headers.insert("x-snakepit-correlation-id", "order 7".parse().unwrap());
        let answer = client.execute_tool(request).await.unwrap();
        let told = answer.metadata().get("x-snakepit-correlation-id");
        assert_eq!(told.unwrap(), "order 7");
        let answer = answer.into_inner();
        assert!(answer.success, "{answer:?}");
        let payload = snakepit::Payload::from_msgpack(answer.payload);
        let (trace, call, correlation): telemetry::Place = payload.decode().unwrap();
        let of_client = trace.is_some_and(|trace| trace.starts_with(&PARENT[3..35]));
        assert_eq!(of_client, parent == PARENT);
        assert!(call > 0);
        assert_eq!(correlation.as_deref(), Some("order 7"));
    }
    for (parent, states, seen) in [
        (Some(PARENT), &["a=b", "c=d"][..], Some("a=b,c=d")),
        (Some(PARENT), &["a=b", "nonsense"], None),
        (None, &["a=b"], None),
    ] {
        let mut request = tonic::Request::new(ExecuteToolRequest {
            tool_name: "where_state".into(),
            payload: snakepit::Payload::encode(&()).unwrap().bytes,
            encoding: Encoding::Msgpack.into(),
            ..Default::default()
        });
        let headers = request.metadata_mut();
        for state in states {
            headers.append("tracestate", state.parse().unwrap());
        }
        if let Some(parent) = parent {
            headers.insert("traceparent", parent.parse().unwrap());
        }
        let answer = client.execute_tool(request).await.unwrap().into_inner();
        assert!(answer.success, "{answer:?}");
        let payload = snakepit::Payload::from_msgpack(answer.payload);
        assert_eq!(payload.decode::<Option<String>>().unwrap().as_deref(), seen);
    }
    drop(open);
    snakepit.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_tool_reads_the_metadata_of_a_clients_call() {
    let snakepit = Snakepit::builder().pool(original::pool("Counter"));
    let snakepit = snakepit.start().await.unwrap();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("gateway/s");
    let server = snakepit.bridge_with_gateway();
    let open = server.serve_unix(&path, &ServeOptions::new()).await;
    let client = client(&path).await;
    let call = |metadata: &[(&str, &str)]| {
        let texts = metadata
            .iter()
            .map(|(key, value)| (key.to_string(), value.to_string()));
        let request = ExecuteToolRequest {
            tool_name: "context".into(),
            payload: snakepit::Payload::encode(&()).unwrap().bytes,
            encoding: Encoding::Msgpack.into(),
            metadata: texts.collect(),
            ..Default::default()
        };
        let mut client = client.clone();
        async move { client.execute_tool(request).await.unwrap().into_inner() }
    };
    let answer = call(&[("tenant", "a"), ("request", "7")]).await;
    assert!(answer.success, "{answer:?}");
    let payload = snakepit::Payload::from_msgpack(answer.payload);
    let context: serde_json::Value = payload.decode().unwrap();
    let expected = serde_json::json!({"tenant": "a", "request": "7"});
    assert_eq!(context["metadata"], expected);
    let refused = call(&[("large", &"x".repeat(5000))]).await;
    assert_eq!(refused.error.unwrap().code, "SP7005");
    drop(open);
    snakepit.shutdown().await;
}

#[path = "../../examples/bridge.rs"]
#[expect(dead_code, reason = "its `main` prints how clients connect")]
mod example;

#[tokio::test(flavor = "multi_thread")]
async fn the_example_serves_its_clients_on_both_sockets() {
    let adapter = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/bridge.py");
    let snakepit = example::start(pool_of("main", adapter)).await.unwrap();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("sockets/s");
    let service = example::serve(&snakepit, &path).await.unwrap();

    let address = format!("http://{}", service.tcp.address());
    let channel = Endpoint::from_shared(address).unwrap().connect().await;
    let channel = channel.unwrap();
    let with = |token: &Token| {
        let value = format!("Bearer {}", token.secret());
        let value: MetadataValue<_> = value.parse().unwrap();
        let add = move |mut request: tonic::Request<()>| {
            request
                .metadata_mut()
                .insert("authorization", value.clone());
            Ok(request)
        };
        BridgeServiceClient::with_interceptor(channel.clone(), add)
    };
    let total = |session: &str| ExecuteToolRequest {
        session_id: session.into(),
        tool_name: "total".into(),
        payload: snakepit::Payload::encode(&snakepit::args! { "cart" => ["apple", "pear"] })
            .unwrap()
            .bytes,
        encoding: Encoding::Msgpack.into(),
        ..Default::default()
    };
    let sum = |answer: Result<tonic::Response<ExecuteToolResponse>, tonic::Status>| {
        let answer = answer.unwrap().into_inner();
        assert!(answer.success, "{answer:?}");
        let payload = snakepit::Payload::from_msgpack(answer.payload);
        payload.decode::<f64>().unwrap()
    };
    for session in ["guest", "other"] {
        let session = InitializeSessionRequest {
            session_id: session.into(),
            ..Default::default()
        };
        let mut client = client(&path).await;
        client.initialize_session(session).await.unwrap();
    }
    assert_eq!(
        sum(client(&path).await.execute_tool(total("other")).await),
        1.25
    );
    let (mut all, mut guest) = (with(&service.token), with(&service.guest));
    assert_eq!(sum(all.execute_tool(total("other")).await), 1.25);
    assert_eq!(sum(guest.execute_tool(total("guest")).await), 1.25);
    let status = guest.execute_tool(total("other")).await.unwrap_err();
    assert_eq!(status.code(), tonic::Code::PermissionDenied);
    let mut stranger = with(&Token::generate().unwrap());
    let status = stranger.execute_tool(total("guest")).await.unwrap_err();
    assert_eq!(status.code(), tonic::Code::Unauthenticated);

    drop(service);
    snakepit.shutdown().await;
}
