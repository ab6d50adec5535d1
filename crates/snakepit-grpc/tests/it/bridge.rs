//! The host's answers to workers, without a worker.

use futures_util::stream;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value as Json, json};
use snakepit_core::call::Request;
use snakepit_core::error::{ErrorCode, ToolError};
use snakepit_core::host_tools::{HostState, HostStateConfig, HostTool, ToolFailure};
use snakepit_core::id::WorkerId;
use snakepit_core::value::{Payload, Value};
use snakepit_grpc::bridge::HostBridge;
use snakepit_grpc::link::{HostOp, HostRequest, HostRequests as _};

/// A call of a worker that makes requests.
struct Caller {
    bridge: HostBridge,
    request: Request,
}

impl Caller {
    fn new(bridge: &HostBridge, session: Option<&str>) -> Self {
        let mut request = Request::new("tool", Payload::default());
        request.session = session.map(Into::into);
        Self {
            bridge: bridge.clone(),
            request,
        }
    }

    async fn ask<R: DeserializeOwned>(
        &self,
        op: HostOp,
        name: &str,
        body: impl Serialize,
    ) -> Result<R, Box<ToolError>> {
        let body = Payload::encode(&body).unwrap().bytes;
        let worker = WorkerId::new("w-1");
        let request = HostRequest::new(worker, self.request.clone(), op, name, body);
        let answer = self.bridge.handle(request).await?;
        Ok(Payload::from_msgpack(answer).decode().unwrap())
    }

    async fn refusal(&self, op: HostOp, name: &str, body: impl Serialize) -> ErrorCode {
        let answer = self.ask::<Value>(op, name, body).await;
        answer.expect_err("it is to be refused").code
    }

    fn end(self) {
        let worker = WorkerId::new("w-1");
        self.bridge.call_ended(&worker, self.request.call);
    }
}

/// Returns a tool that yields two numbers and an error.
fn fails_late() -> HostTool {
    HostTool::dynamic_stream("fails_late", |_, _| {
        stream::iter([
            Ok(Value::from(1)),
            Ok(Value::from(2)),
            Err(ToolFailure::new("late")),
        ])
    })
    .exposed()
}

fn bridge() -> HostBridge {
    let state = HostState::new(HostStateConfig::new()).unwrap();
    let tools = vec![fails_late()];
    state.tools().register_all(tools).unwrap();
    HostBridge::new(state)
}

#[tokio::test]
async fn an_error_comes_after_the_items_before_it() {
    let bridge = bridge();
    let caller = Caller::new(&bridge, None);
    let opened: Json = caller
        .ask(HostOp::ToolOpen, "fails_late", ())
        .await
        .unwrap();
    let next = json!({"stream": opened["stream"], "max": 10});
    let batch: Json = caller.ask(HostOp::ToolNext, "", &next).await.unwrap();
    assert_eq!(batch, json!({"items": [1, 2], "done": false}));
    let error = caller
        .ask::<Json>(HostOp::ToolNext, "", &next)
        .await
        .unwrap_err();
    assert_eq!(
        (error.code, &*error.message),
        (ErrorCode::HostToolFailed, "late")
    );
    assert_eq!(
        caller.refusal(HostOp::ToolNext, "", &next).await,
        ErrorCode::UnknownStream
    );
}

#[tokio::test]
async fn batches_are_as_small_as_asked_for_and_streams_end_with_their_call() {
    let bridge = bridge();
    let caller = Caller::new(&bridge, None);
    let opened: Json = caller
        .ask(HostOp::ToolOpen, "fails_late", ())
        .await
        .unwrap();
    let next = json!({"stream": opened["stream"], "max": 1});
    for number in [1, 2] {
        let batch: Json = caller.ask(HostOp::ToolNext, "", &next).await.unwrap();
        assert_eq!(batch["items"], json!([number]));
    }
    // Another call cannot access the stream.
    let other = Caller::new(&bridge, None);
    assert_eq!(
        other.refusal(HostOp::ToolNext, "", &next).await,
        ErrorCode::UnknownStream
    );
    assert_eq!(bridge.calls(), 2);
    caller.end();
    other.end();
    assert_eq!(bridge.calls(), 0);
}

#[tokio::test]
async fn too_many_streams_are_refused() {
    let bridge = bridge();
    let caller = Caller::new(&bridge, None);
    for _ in 0..64 {
        let _: Json = caller
            .ask(HostOp::ToolOpen, "fails_late", ())
            .await
            .unwrap();
    }
    let refused = caller.refusal(HostOp::ToolOpen, "fails_late", ()).await;
    assert_eq!(refused, ErrorCode::TooManyRequests);
}

#[tokio::test]
async fn malformed_arguments_are_named_and_harm_nothing() {
    let bridge = bridge();
    let caller = Caller::new(&bridge, Some("s"));
    for op in HostOp::ALL {
        let tool = [HostOp::ToolCall, HostOp::ToolOpen, HostOp::Ping].contains(op);
        let nil = [HostOp::ToolsList, HostOp::SessionGet].contains(op);
        if !tool && !nil {
            let code = caller.refusal(*op, "x", "no map").await;
            assert_eq!(code, ErrorCode::InvalidRequest, "{op:?}");
        }
    }
    let variable = json!({"type": "integer", "value": 1, "constraints": {"colour": 1}});
    let code = caller
        .refusal(HostOp::VariableRegister, "x", variable)
        .await;
    assert_eq!(code, ErrorCode::InvalidRequest);
    let names: Vec<String> = (0..10_001).map(|n| n.to_string()).collect();
    let code = caller
        .refusal(HostOp::VariableGet, "", json!({"names": names}))
        .await;
    assert_eq!(code, ErrorCode::InvalidRequest);
}

#[tokio::test]
async fn a_batch_of_variables_tells_each_result() {
    let bridge = bridge();
    let caller = Caller::new(&bridge, Some("s"));
    let variable = json!({"type": "integer", "value": 1, "constraints": {"max": 5}});
    let made: Json = caller
        .ask(HostOp::VariableRegister, "a", variable)
        .await
        .unwrap();
    assert_eq!(made["version"], 1);
    let items = json!([{"name": "a", "value": 2}, {"name": "b", "value": 1}]);
    let body = json!({"items": items, "atomic": false});
    let results: Json = caller.ask(HostOp::VariableSet, "", body).await.unwrap();
    assert_eq!(results[0], json!({"name": "a", "version": 2}));
    assert_eq!(results[1]["error"]["code"], "SP7101");
    let body =
        json!({"items": [{"name": "a", "value": 3}, {"name": "a", "value": 9}], "atomic": true});
    assert!(
        caller
            .ask::<Json>(HostOp::VariableSet, "", body)
            .await
            .is_err()
    );
    let read: Json = caller
        .ask(HostOp::VariableGet, "", json!({"names": ["a", "b"]}))
        .await
        .unwrap();
    assert_eq!(
        (&read[0]["value"], &read[0]["version"]),
        (&json!(2), &json!(2))
    );
    assert_eq!(read[1]["error"]["code"], "SP7101");
    let one: Json = caller.ask(HostOp::VariableGet, "a", ()).await.unwrap();
    assert_eq!(one["constraints"], json!({"max": 5}));
    assert_eq!((&one["value"], one.get("metadata")), (&json!(2), None));
    let code = caller.refusal(HostOp::VariableGet, "b", ()).await;
    assert_eq!(code, ErrorCode::UnknownVariable);
    let list: Json = caller.ask(HostOp::VariableList, "", ()).await.unwrap();
    assert_eq!(
        (&list[0]["name"], list[0].get("value")),
        (&json!("a"), None)
    );
    let changes: Json = caller
        .ask(HostOp::Changes, "", json!({"after": 0, "max": 10}))
        .await
        .unwrap();
    assert_eq!(changes["changes"].as_array().map(Vec::len), Some(2));
    assert_eq!(changes["changes"][1]["origin"], "w-1");
    let own = json!({"after": 0, "max": 10, "skip_own": true});
    let changes: Json = caller.ask(HostOp::Changes, "", own).await.unwrap();
    assert_eq!(changes["changes"], json!([]));
}

#[tokio::test]
async fn what_needs_a_session_is_refused_without_one() {
    let bridge = bridge();
    let caller = Caller::new(&bridge, None);
    let refused = caller.refusal(HostOp::SessionGet, "", ()).await;
    assert_eq!(refused, ErrorCode::UnknownSession);
    let global = json!({"value": [1, 2], "global": true});
    let _: Value = caller.ask(HostOp::ProgramPut, "p", global).await.unwrap();
    let other = Caller::new(&bridge, Some("s"));
    let program: Json = other
        .ask(HostOp::ProgramGet, "p", json!({"global": true}))
        .await
        .unwrap();
    assert_eq!(program, json!([1, 2]));
    assert_eq!(
        other.refusal(HostOp::ProgramGet, "p", ()).await,
        ErrorCode::UnknownProgram
    );
    let names: Vec<String> = other
        .ask(HostOp::ProgramList, "", json!({"global": true}))
        .await
        .unwrap();
    assert_eq!(names, ["p"]);
}
