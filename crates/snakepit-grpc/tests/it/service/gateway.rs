//! Tools of workers, run for clients.

use futures_util::stream;
use snakepit_core::host_tools::{HostState, HostStateConfig};
use snakepit_core::value::{Payload, Value};
use snakepit_grpc::pb;
use snakepit_grpc::service::{BridgeServer, ServeOptions};
use tonic::Code;

use super::client::{Client, connect, details, open, served, tool_call};

async fn call(client: &mut Client, request: pb::ExecuteToolRequest) -> pb::ExecuteToolResponse {
    client.execute_tool(request).await.unwrap().into_inner()
}

fn text(answer: &pb::ExecuteToolResponse) -> &str {
    std::str::from_utf8(&answer.result.as_ref().unwrap().value).unwrap()
}

async fn register(client: &mut Client, session: &str, name: &str) {
    let request = pb::RegisterToolsRequest {
        session_id: session.into(),
        worker_id: "peer-1".into(),
        tools: vec![pb::ToolRegistration {
            name: name.into(),
            ..Default::default()
        }],
    };
    assert!(
        client
            .register_tools(request)
            .await
            .unwrap()
            .into_inner()
            .success
    );
}

#[tokio::test]
async fn without_a_gateway_nothing_is_run() {
    let state = HostState::new(HostStateConfig::new()).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let server = BridgeServer::new(state);
    let path = directory.path().join("s/host.sock");
    let serving = server.serve_unix(path, &ServeOptions::new()).await.unwrap();
    let mut client = connect(serving.address(), None).await;
    let request = || tool_call("", "echo", &[]);
    let statuses = [
        client.execute_tool(request()).await.unwrap_err(),
        client.execute_streaming_tool(request()).await.unwrap_err(),
        client
            .execute_tool_many(stream::iter([request()]))
            .await
            .unwrap_err(),
    ];
    for status in statuses {
        assert_eq!(status.code(), Code::PermissionDenied);
        assert!(status.message().contains("gateway is off"));
    }
    let description = client
        .describe(pb::DescribeRequest::default())
        .await
        .unwrap();
    assert!(
        !description
            .into_inner()
            .capabilities
            .contains(&"execute".to_owned())
    );
}

#[tokio::test]
async fn a_tool_of_a_worker_is_run() {
    let mut host = served().await;
    let answer = call(&mut host.client, tool_call("", "echo", &[("x", "[1, 2]")])).await;
    assert!(answer.success, "{}", answer.error_message);
    assert_eq!(
        (text(&answer), answer.metadata["tool_type"].as_str()),
        (r#"{"x":[1,2]}"#, "remote")
    );
    assert!(answer.metadata.contains_key("execution_time"));
    let mut request = tool_call("", "echo", &[("x", "1")]);
    request
        .binary_parameters
        .insert("x".into(), vec![0, 255].into());
    request.call_id = 77;
    let answer = call(&mut host.client, request).await;
    assert_eq!(
        (text(&answer), answer.call_id),
        (r#"{"x":{"$bytes":"AP8="}}"#, 77)
    );
    let answer = call(&mut host.client, tool_call("", "bytes", &[])).await;
    assert_eq!(
        (text(&answer), &*answer.binary_result),
        ("{}", &[0, 1, 255][..])
    );
    // A tool of the host takes precedence.
    let answer = call(
        &mut host.client,
        tool_call("", "add", &[("a", "1"), ("b", "2")]),
    )
    .await;
    assert_eq!(
        (text(&answer), answer.metadata["tool_type"].as_str()),
        ("3", "local")
    );
}

#[tokio::test]
async fn arguments_in_one_piece_give_results_in_one_piece() {
    let mut host = served().await;
    let args = Payload::encode(&Value::List(vec![Value::Date("2024-01-01".into())])).unwrap();
    let request = pb::ExecuteToolRequest {
        payload: args.bytes.clone(),
        encoding: pb::Encoding::Msgpack.into(),
        ..tool_call("", "echo", &[("ignored", "oops")])
    };
    let answer = call(&mut host.client, request).await;
    assert!(
        answer.success && answer.result.is_none(),
        "{}",
        answer.error_message
    );
    assert_eq!(
        (answer.payload.clone(), answer.encoding()),
        (args.bytes, pb::Encoding::Msgpack)
    );
    let request = pb::ExecuteToolRequest {
        payload: br#"{"x": 1}"#.to_vec().into(),
        encoding: pb::Encoding::Json.into(),
        ..tool_call("", "echo", &[])
    };
    let answer = call(&mut host.client, request).await;
    assert_eq!(
        (&*answer.payload, answer.encoding()),
        (&br#"{"x":1}"#[..], pb::Encoding::Json)
    );
}

#[tokio::test]
async fn a_call_carries_session_peer_metadata_and_time() {
    let mut host = served().await;
    open(&mut host.client, "s").await;
    register(&mut host.client, "s", "whoami").await;
    let mut request = tool_call("s", "whoami", &[]);
    request.metadata.insert("key".into(), "value".into());
    request.metadata.insert("timeout_ms".into(), "60000".into());
    let answer = call(&mut host.client, request).await;
    assert_eq!(
        text(&answer),
        r#"{"session":"s","peer":"peer-1","worker":null,"key":"value","timeout":"yes"}"#
    );
    assert_eq!(answer.metadata["worker_id"], "peer-1");
    let answer = call(&mut host.client, tool_call("", "whoami", &[])).await;
    assert_eq!(
        text(&answer),
        r#"{"session":null,"peer":null,"worker":null,"key":null,"timeout":null}"#
    );
}

#[tokio::test]
async fn a_failure_is_part_of_the_answer() {
    let mut host = served().await;
    let mut late = tool_call("", "never", &[]);
    late.timeout_us = 20_000;
    let mut odd = tool_call("", "echo", &[]);
    odd.metadata.insert("timeout_ms".into(), "soon".into());
    let raw = pb::ExecuteToolRequest {
        encoding: pb::Encoding::Raw.into(),
        ..tool_call("", "echo", &[])
    };
    for (request, message, code) in [
        (tool_call("", "raise", &[]), "ValueError: no luck", "SP3001"),
        (
            tool_call("", "nothing", &[]),
            "no tool is named `nothing`",
            "SP2001",
        ),
        (tool_call("", "collapse", &[]), "panicked", "SP8006"),
        (
            tool_call("nobody", "echo", &[]),
            "Session not found: nobody",
            "SP7001",
        ),
        (
            tool_call("", "echo", &[("x", "{")]),
            "Invalid parameter x: ",
            "SP8010",
        ),
        (tool_call("", "", &[]), "the tool's name", "SP8010"),
        (late, "deadline", "SP4003"),
        (odd, "timeout_ms", "SP8010"),
        (raw, "a raw payload", "SP2008"),
    ] {
        let answer = call(&mut host.client, request).await;
        assert!(!answer.success && answer.result.is_none());
        assert!(
            answer.error_message.contains(message),
            "{}",
            answer.error_message
        );
        assert_eq!(answer.error.unwrap().code, code);
    }
}

#[tokio::test]
async fn a_dropped_call_is_cancelled() {
    let host = served().await;
    let mut client = host.client.clone();
    tokio::select! {
        biased;
        _ = client.execute_tool(tool_call("", "never", &[])) => panic!("it never answers"),
        begun = host.signals.begun.acquire() => begun.unwrap().forget(),
    }
    host.signals.dropped.acquire().await.unwrap().forget();
    let mut client = host.client.clone();
    let opened = client
        .execute_streaming_tool(tool_call("", "endless", &[]))
        .await;
    let mut stream = opened.unwrap().into_inner();
    assert_eq!(&*stream.message().await.unwrap().unwrap().data, b"0");
    drop(stream);
    host.signals.dropped.acquire().await.unwrap().forget();
}

#[tokio::test]
async fn results_are_streamed() {
    let mut host = served().await;
    let request = tool_call("", "count", &[("n", "1000")]);
    let mut stream = host
        .client
        .execute_streaming_tool(request)
        .await
        .unwrap()
        .into_inner();
    for n in 0..1000 {
        let chunk = stream.message().await.unwrap().unwrap();
        assert_eq!(
            (chunk.encoding(), chunk.is_final),
            (pb::Encoding::Json, false)
        );
        assert_eq!(&*chunk.data, n.to_string().as_bytes());
    }
    let last = stream.message().await.unwrap().unwrap();
    assert!(last.is_final && stream.message().await.unwrap().is_none());
    assert_eq!(last.metadata["synthetic_final"], "true");

    for (tool, items, message) in [("break", 2, "in the middle"), ("collapse", 1, "panicked")] {
        let request = tool_call("", tool, &[]);
        let mut stream = host
            .client
            .execute_streaming_tool(request)
            .await
            .unwrap()
            .into_inner();
        for _ in 0..items {
            assert!(stream.message().await.unwrap().is_some());
        }
        let status = stream.message().await.unwrap_err();
        assert_eq!(status.code(), Code::Internal);
        assert!(status.message().contains(message), "{status}");
    }
}

#[tokio::test]
async fn a_stream_that_cannot_begin_is_a_status() {
    let mut host = served().await;
    open(&mut host.client, "s").await;
    register(&mut host.client, "s", "plain").await;
    for (request, code) in [
        (tool_call("", "nothing", &[]), Code::NotFound),
        (tool_call("nobody", "count", &[]), Code::NotFound),
        (tool_call("", "count", &[("n", "?")]), Code::InvalidArgument),
        (tool_call("s", "plain", &[]), Code::Unimplemented),
        (tool_call("", "add", &[]), Code::Unimplemented),
    ] {
        let status = host
            .client
            .execute_streaming_tool(request)
            .await
            .unwrap_err();
        assert_eq!(status.code(), code, "{status}");
        assert!(details(&status).code.starts_with("SP"));
    }
}

#[tokio::test]
async fn many_calls_are_answered_in_order() {
    let mut host = served().await;
    let requests = (0..500_u64).map(|n| pb::ExecuteToolRequest {
        call_id: n,
        ..tool_call(
            "",
            if n % 7 == 3 { "raise" } else { "echo" },
            &[("n", &n.to_string())],
        )
    });
    let requests = stream::iter(requests.collect::<Vec<_>>());
    let mut answers = host
        .client
        .execute_tool_many(requests)
        .await
        .unwrap()
        .into_inner();
    for n in 0..500 {
        let answer = answers.message().await.unwrap().unwrap();
        assert_eq!((answer.call_id, answer.success), (n, n % 7 != 3));
        if answer.success {
            assert_eq!(text(&answer), format!(r#"{{"n":{n}}}"#));
        }
    }
    assert!(answers.message().await.unwrap().is_none());
}
