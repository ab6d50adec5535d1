//! Tools of the host, and tools that peers register.

use prost_types::Any;
use snakepit_core::host_tools::HostTool;
use snakepit_grpc::pb;
use tonic::{Code, Request};

use super::client::{Client, details, host_call, open, served};

async fn call(
    client: &mut Client,
    request: pb::ExecuteElixirToolRequest,
) -> pb::ExecuteElixirToolResponse {
    client
        .execute_elixir_tool(request)
        .await
        .unwrap()
        .into_inner()
}

fn text(any: Option<Any>) -> String {
    String::from_utf8(any.unwrap().value).unwrap()
}

#[tokio::test]
async fn exposed_tools_are_listed_with_their_parameters() {
    let mut host = served().await;
    open(&mut host.client, "s").await;
    let session = host.state.sessions().get(&"s".into()).unwrap();
    let own = HostTool::dynamic("own", |_, args| Ok(args))
        .metadata("k", "v")
        .exposed();
    host.state
        .tools()
        .register_for(&session, vec![own])
        .unwrap();
    let list = |session: &str| pb::GetExposedElixirToolsRequest {
        session_id: session.into(),
    };
    let tools = host
        .client
        .get_exposed_elixir_tools(list("s"))
        .await
        .unwrap()
        .into_inner()
        .tools;
    let find = |name: &str| tools.iter().find(|tool| tool.name == name);
    let add = find("add").unwrap();
    assert_eq!(add.description, "Adds.");
    let names: Vec<_> = add
        .parameters
        .iter()
        .map(|it| (it.name.as_str(), it.required))
        .collect();
    assert_eq!(names, [("a", true), ("b", true)]);
    assert!(add.parameters_schema.contains("properties"));
    assert!(find("count_to").unwrap().supports_streaming);
    assert_eq!(find("own").unwrap().metadata["k"], "v");
    assert!(find("hidden").is_none());
    let global = host
        .client
        .get_exposed_elixir_tools(list(""))
        .await
        .unwrap()
        .into_inner()
        .tools;
    assert_eq!(global.len() + 1, tools.len());
    let status = host
        .client
        .get_exposed_elixir_tools(list("nobody"))
        .await
        .unwrap_err();
    assert_eq!(status.code(), Code::NotFound);
}

#[tokio::test]
async fn a_host_tool_is_called() {
    let mut host = served().await;
    open(&mut host.client, "s").await;
    let answer = call(
        &mut host.client,
        host_call("s", "add", &[("a", "1"), ("b", "2")]),
    )
    .await;
    assert!(answer.success, "{}", answer.error_message);
    let result = answer.result.unwrap();
    assert_eq!(
        result.type_url,
        "type.googleapis.com/google.protobuf.StringValue"
    );
    assert_eq!(result.value, b"3");
    assert!(answer.metadata.contains_key("execution_time"));

    let mut request = host_call("", "give_back", &[("list", "[1, null, {\"k\": 1.5}]")]);
    let packed = Any {
        value: b"\n\x02hi".to_vec(),
        ..super::client::json("")
    };
    request.parameters.insert("packed".into(), packed);
    let answer = call(&mut host.client, request).await;
    assert_eq!(
        text(answer.result),
        r#"{"list":[1,null,{"k":1.5}],"packed":"hi"}"#
    );

    let answer = call(&mut host.client, host_call("s", "give_bytes", &[])).await;
    assert_eq!(
        (&*answer.binary_result, text(answer.result).as_str()),
        (&[1, 2][..], "{}")
    );
    let answer = call(&mut host.client, host_call("s", "give_nan", &[])).await;
    let result = answer.result.unwrap();
    assert_eq!(result.type_url, "type.googleapis.com/snakepit.float");
    assert_eq!(result.value, b"\"NaN\"");
}

#[tokio::test]
async fn a_failure_is_part_of_the_answer() {
    let mut host = served().await;
    open(&mut host.client, "s").await;
    let registration = pb::RegisterToolsRequest {
        session_id: "s".into(),
        worker_id: "w".into(),
        tools: vec![pb::ToolRegistration {
            name: "remote".into(),
            ..Default::default()
        }],
    };
    assert!(
        host.client
            .register_tools(registration)
            .await
            .unwrap()
            .into_inner()
            .success
    );
    let deep = "[".repeat(1000);
    for (request, message, code) in [
        (
            host_call("s", "nothing", &[]),
            "Tool nothing not found for session s",
            "SP8001",
        ),
        (
            host_call("s", "hidden", &[]),
            "Tool hidden not found for session s",
            "SP8001",
        ),
        (
            host_call("s", "remote", &[]),
            "Tool remote is not an Elixir tool",
            "SP8001",
        ),
        (host_call("nobody", "add", &[]), "not_found", "SP7001"),
        (
            host_call("s", "refuse", &[]),
            "Tool execution failed: not today",
            "SP8005",
        ),
        (
            host_call("s", "panic", &[]),
            "Tool execution failed: host tool `panic` panicked",
            "SP8006",
        ),
        (
            host_call("s", "add", &[("a", "1")]),
            "Tool execution failed: ",
            "SP2002",
        ),
        (
            host_call("s", "add", &[("a", "1"), ("b", "\"x\"")]),
            "Tool execution failed: ",
            "SP2003",
        ),
        (
            host_call("s", "add", &[("a", "oops")]),
            "Invalid parameter a: ",
            "SP8010",
        ),
        (
            host_call("s", "add", &[("a", &deep)]),
            "Invalid parameter a: it nests deeper",
            "SP8010",
        ),
        (
            host_call("s", "count_to", &[("n", "1")]),
            "Tool execution failed: ",
            "SP2009",
        ),
    ] {
        let answer = call(&mut host.client, request).await;
        assert!(!answer.success);
        assert!(
            answer.error_message.contains(message),
            "{}",
            answer.error_message
        );
        assert_eq!(
            answer.metadata["error_code"], code,
            "{}",
            answer.error_message
        );
    }
}

#[tokio::test]
async fn a_host_tool_has_the_deadline_of_its_caller() {
    let mut host = served().await;
    let mut request = Request::new(host_call("", "wait", &[]));
    request.set_timeout(std::time::Duration::from_millis(50));
    // Either side may notice it first.
    let failed = match host.client.execute_elixir_tool(request).await {
        Ok(answer) => !answer.into_inner().success,
        Err(status) => matches!(status.code(), Code::DeadlineExceeded | Code::Cancelled),
    };
    assert!(failed);
}

#[tokio::test]
async fn a_host_tool_ends_with_its_caller() {
    let host = served().await;
    let mut client = host.client.clone();
    let waiting = client.execute_elixir_tool(host_call("", "wait", &[]));
    let begun = async {
        host.signals.begun.acquire().await.unwrap().forget();
    };
    tokio::select! {
        biased;
        _ = waiting => panic!("it never answers"),
        () = begun => {}
    }
    host.signals.dropped.acquire().await.unwrap().forget();
}

#[tokio::test]
async fn results_of_a_host_tool_are_streamed() {
    let mut host = served().await;
    let request = host_call("", "count_to", &[("n", "3")]);
    let mut stream = host
        .client
        .stream_elixir_tool(request)
        .await
        .unwrap()
        .into_inner();
    let mut chunks = Vec::new();
    while let Some(chunk) = stream.message().await.unwrap() {
        chunks.push(chunk);
    }
    let (last, items) = chunks.split_last().unwrap();
    let items: Vec<_> = items
        .iter()
        .map(|it| (it.chunk_id.as_str(), &*it.data))
        .collect();
    assert_eq!(
        items,
        [
            ("count_to-1", &b"1"[..]),
            ("count_to-2", b"2"),
            ("count_to-3", b"3")
        ]
    );
    assert!(last.is_final && last.data.is_empty());
    assert_eq!(
        (
            last.chunk_id.as_str(),
            last.metadata["chunks_sent"].as_str()
        ),
        ("sp-final-4", "3")
    );

    for (request, code) in [
        (host_call("", "nothing", &[]), Code::NotFound),
        (
            host_call("nobody", "count_to", &[("n", "1")]),
            Code::NotFound,
        ),
        (host_call("", "add", &[]), Code::Unimplemented),
        (host_call("", "count_to", &[]), Code::InvalidArgument),
        (
            host_call("", "count_to", &[("n", "?")]),
            Code::InvalidArgument,
        ),
    ] {
        let status = host.client.stream_elixir_tool(request).await.unwrap_err();
        assert_eq!(status.code(), code, "{status}");
        assert!(details(&status).code.starts_with("SP"));
    }
}

#[tokio::test]
async fn a_dropped_stream_ends_its_tool() {
    let mut host = served().await;
    let request = host_call("", "wait_on", &[]);
    let mut stream = host
        .client
        .stream_elixir_tool(request)
        .await
        .unwrap()
        .into_inner();
    assert_eq!(&*stream.message().await.unwrap().unwrap().data, b"1");
    drop(stream);
    host.signals.dropped.acquire().await.unwrap().forget();
}

#[tokio::test]
async fn peers_register_tools_all_or_none() {
    let mut host = served().await;
    open(&mut host.client, "s").await;
    let register = |session: &str, worker: &str, names: &[&str]| pb::RegisterToolsRequest {
        session_id: session.into(),
        worker_id: worker.into(),
        tools: names
            .iter()
            .map(|name| pb::ToolRegistration {
                name: (*name).into(),
                ..Default::default()
            })
            .collect(),
    };
    let request = register("s", "w", &["x", "y"]);
    let answer = host
        .client
        .register_tools(request)
        .await
        .unwrap()
        .into_inner();
    assert!(answer.success);
    assert_eq!(answer.tool_ids["x"], "s:x");
    let long = "w".repeat(1000);
    for (request, message) in [
        (register("s", "w", &["z", "x"]), "duplicate_tool"),
        (register("s", "w", &["add"]), "duplicate_tool"),
        (register("s", "w", &["z", "z"]), "duplicate_tool"),
        (
            register("s", "w", &["z", "not a name"]),
            "tool name \"not a name\"",
        ),
        (register("nobody", "w", &["z"]), "Session not found: nobody"),
        (register("s", "unwanted", &["z"]), "unwanted worker"),
        (register("s", &long, &["z"]), "more than 128 bytes"),
    ] {
        let answer = host
            .client
            .register_tools(request)
            .await
            .unwrap()
            .into_inner();
        assert!(!answer.success && answer.tool_ids.is_empty());
        assert!(
            answer.error_message.contains(message),
            "{}",
            answer.error_message
        );
    }
    let request = pb::GetSessionRequest {
        session_id: "s".into(),
    };
    let count = host
        .client
        .get_session(request)
        .await
        .unwrap()
        .into_inner()
        .tool_count;
    let own = host.state.tools().list_exposed(None).len();
    assert_eq!(count, i32::try_from(own + 2).unwrap());
    let cleanup = pb::CleanupSessionRequest {
        session_id: "s".into(),
        force: true,
    };
    let answer = host
        .client
        .cleanup_session(cleanup)
        .await
        .unwrap()
        .into_inner();
    assert_eq!(answer.resources_cleaned, 3);
    open(&mut host.client, "s").await;
    let request = register("s", "w", &["x"]);
    assert!(
        host.client
            .register_tools(request)
            .await
            .unwrap()
            .into_inner()
            .success
    );
}
