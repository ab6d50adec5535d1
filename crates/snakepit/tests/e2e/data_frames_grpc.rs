//! Data frames of gRPC clients, which read and write Arrow and know nothing of MessagePack.

use std::collections::HashMap;

use arrow_array::RecordBatch;
use arrow_array::cast::AsArray as _;
use arrow_array::types::{Float64Type, Int64Type};
use prost::Message as _;
use prost_types::Any;
use snakepit::grpc::ServeOptions;
use snakepit::{DataFrame, HostTool, Value};
use snakepit_grpc::pb;
use snakepit_grpc::pb::variable_value::Kind;

use crate::bridge::client;
use crate::data_frames::{batch, python, start};

/// The message of a frame that was made by the client.
fn message() -> pb::DataFrame {
    let ipc = DataFrame::try_from(&batch()).unwrap().ipc().clone();
    let kind = "polars.DataFrame".to_owned();
    pb::DataFrame { kind, ipc }
}

const URL: &str = "type.googleapis.com/snakepit.bridge.DataFrame";

fn arguments(name: &str) -> HashMap<String, Any> {
    let any = Any {
        type_url: URL.to_owned(),
        value: message().encode_to_vec(),
    };
    [(name.to_owned(), any)].into()
}

fn asks_for_arrow() -> HashMap<String, String> {
    [("data_frames".to_owned(), "arrow".to_owned())].into()
}

/// The first batch of a packed frame.
fn unpacked(any: Option<Any>) -> (String, RecordBatch) {
    let any = any.unwrap();
    assert_eq!(any.type_url, URL);
    let frame = pb::DataFrame::decode(&*any.value).unwrap();
    (frame.kind, first(frame.ipc))
}

fn first(ipc: bytes::Bytes) -> RecordBatch {
    let mut batches = DataFrame::from_ipc(ipc).batches().unwrap();
    batches.next().unwrap().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn frames_go_to_tools_and_back_as_arrow() {
    let Some(python) = python() else { return };
    let snakepit = start(&python).await;
    let same = HostTool::dynamic("same", |_, args: Value| {
        Ok(args.get("frame").cloned().unwrap_or_default())
    });
    snakepit
        .host_state()
        .tools()
        .register(same.exposed())
        .unwrap();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("gateway/s");
    let server = snakepit.bridge_with_gateway();
    let open = server
        .serve_unix(&path, &ServeOptions::new())
        .await
        .unwrap();
    let mut client = client(&path).await;
    let session = pb::InitializeSessionRequest {
        session_id: "s".into(),
        ..Default::default()
    };
    client.initialize_session(session).await.unwrap();

    let request = |metadata| pb::ExecuteToolRequest {
        session_id: "s".into(),
        tool_name: "doubled".into(),
        parameters: arguments("value"),
        metadata,
        ..Default::default()
    };
    let answer = client
        .execute_tool(request(asks_for_arrow()))
        .await
        .unwrap();
    let answer = answer.into_inner();
    assert!(answer.success, "{}", answer.error_message);
    let (kind, got) = unpacked(answer.result);
    assert_eq!(kind, "pandas.DataFrame");
    assert_eq!(
        got.column(0).as_primitive::<Float64Type>().values(),
        &[5.0, 3.0]
    );
    // Clients that know only JSON get records.
    let answer = client.execute_tool(request(HashMap::new())).await.unwrap();
    let text = answer.into_inner().result.unwrap().value;
    assert_eq!(text, br#"[{"x":5.0,"n":4},{"x":3.0,"n":2}]"#);

    let request = pb::ExecuteToolRequest {
        session_id: "s".into(),
        tool_name: "parts".into(),
        parameters: [("count".to_owned(), number("2"))].into(),
        metadata: asks_for_arrow(),
        ..Default::default()
    };
    let mut chunks = client
        .execute_streaming_tool(request)
        .await
        .unwrap()
        .into_inner();
    let mut numbers = Vec::new();
    while let Some(chunk) = chunks.message().await.unwrap() {
        if !chunk.is_final {
            assert_eq!(chunk.encoding(), pb::Encoding::Arrow);
            let batch = first(chunk.data);
            numbers.extend_from_slice(batch.column(0).as_primitive::<Int64Type>().values());
        }
    }
    assert_eq!(numbers, [0, 1, 1, 2]);

    let request = pb::ExecuteElixirToolRequest {
        session_id: "s".into(),
        tool_name: "same".into(),
        parameters: arguments("frame"),
        metadata: asks_for_arrow(),
    };
    let answer = client
        .execute_elixir_tool(request)
        .await
        .unwrap()
        .into_inner();
    assert!(answer.success, "{}", answer.error_message);
    assert_eq!(
        unpacked(answer.result),
        ("polars.DataFrame".to_owned(), batch())
    );

    let value = pb::VariableValue {
        kind: Some(Kind::DataFrame(message())),
    };
    let register = pb::RegisterVariableRequest {
        session_id: "s".into(),
        name: "from_rust".into(),
        r#type: "data_frame".into(),
        value: Some(value.clone()),
        ..Default::default()
    };
    client.register_variable(register).await.unwrap();
    let seen: Value = snakepit
        .session("s")
        .execute("from_grpc", ())
        .await
        .unwrap();
    let numbers = Value::List(vec![2.into(), 1.into()]);
    assert_eq!(seen, Value::List(vec!["polars".into(), numbers]));
    let get = pb::GetVariablesRequest {
        session_id: "s".into(),
        names: vec!["from_rust".into()],
    };
    let found = client.get_variables(get).await.unwrap().into_inner();
    let Some(pb::variable_result::Result::Variable(found)) = &found.results[0].result else {
        panic!("{found:?}")
    };
    assert_eq!((&*found.r#type, &found.value), ("data_frame", &Some(value)));

    let damaged = Any {
        type_url: URL.to_owned(),
        value: pb::DataFrame {
            ipc: vec![255; 40].into(),
            ..Default::default()
        }
        .encode_to_vec(),
    };
    let request = pb::ExecuteToolRequest {
        session_id: "s".into(),
        tool_name: "doubled".into(),
        parameters: [("value".to_owned(), damaged)].into(),
        ..Default::default()
    };
    let answer = client.execute_tool(request).await.unwrap().into_inner();
    let error = answer.error.unwrap();
    assert_eq!(error.code, "SP2006");
    assert!(
        error.message.contains("argument `value`"),
        "{}",
        error.message
    );
    drop(open);
    snakepit.shutdown().await;
}

fn number(text: &str) -> Any {
    Any {
        type_url: "type.googleapis.com/google.protobuf.StringValue".to_owned(),
        value: text.as_bytes().to_vec(),
    }
}
