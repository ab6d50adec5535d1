//! Answers to workers are limited before they are built.

use std::time::Duration;

use futures_util::stream;
use serde::Serialize;
use serde_json::{Value as Json, json};
use snakepit_core::call::Request;
use snakepit_core::error::{ErrorCode, ToolError};
use snakepit_core::host_tools::{HostState, HostStateConfig, HostTool};
use snakepit_core::id::WorkerId;
use snakepit_core::state::{NewVariable, Session, SessionOptions, VariableType};
use snakepit_core::value::{Payload, Value};
use snakepit_grpc::bridge::HostBridge;
use snakepit_grpc::link::{HostOp, HostRequest, HostRequests as _};
use tokio::time::advance;

const LIMIT: usize = 1 << 20;

struct Worker {
    bridge: HostBridge,
    request: Request,
    session: Session,
}

impl Worker {
    fn new() -> Self {
        let mut config = HostStateConfig::new();
        // More than an answer may have.
        config.sessions.log_bytes = 8 * LIMIT;
        let state = HostState::new(config).unwrap();
        let blocks = HostTool::dynamic_stream("blocks", |_, _| {
            stream::iter((0..10).map(|_| Ok(Value::from("x".repeat(300 << 10)))))
        });
        state.tools().register(blocks.exposed()).unwrap();
        let options = SessionOptions::new().ttl(Duration::from_secs(1));
        let session = state.sessions().create("s", options).unwrap();
        let mut request = Request::new("tool", Payload::default());
        request.session = Some("s".into());
        Self {
            bridge: HostBridge::new(state),
            request,
            session,
        }
    }

    /// Returns the answer and asserts that it is within the limit.
    async fn ask(&self, op: HostOp, body: impl Serialize) -> Result<Json, Box<ToolError>> {
        let body = Payload::encode(&body).unwrap().bytes;
        let name = if matches!(op, HostOp::ToolOpen) {
            "blocks"
        } else {
            ""
        };
        let worker = WorkerId::new("w-1");
        let mut request = HostRequest::new(worker, self.request.clone(), op, name, body);
        request.max_answer = LIMIT;
        let answer = self.bridge.handle(request).await?;
        assert!(answer.len() <= LIMIT, "{} bytes", answer.len());
        Ok(Payload::from_msgpack(answer).decode().unwrap())
    }

    fn register(&self, name: &str, bytes: usize) {
        let value = "x".repeat(bytes);
        let variable = NewVariable::new(name, VariableType::String, value);
        self.session.register(variable).unwrap();
    }
}

#[tokio::test]
async fn a_variable_that_is_asked_for_again_and_again_is_sent_not_once() {
    let worker = Worker::new();
    worker.register("big", 900_000);
    let names = vec!["big"; 10_000];
    let error = worker.ask(HostOp::VariableGet, json!({ "names": names }));
    let error = error.await.unwrap_err();
    assert_eq!(error.code, ErrorCode::InvalidRequest);
    assert!(error.message.contains("more than once"), "{error}");
}

#[tokio::test]
async fn variables_that_are_too_large_together_are_refused() {
    let worker = Worker::new();
    for name in ["a", "b", "c"] {
        worker.register(name, 500_000);
    }
    let get = |names: &[&str]| worker.ask(HostOp::VariableGet, json!({ "names": names }));
    let error = get(&["a", "b", "c"]).await.unwrap_err();
    assert_eq!(error.code, ErrorCode::PayloadTooLarge);
    let found = get(&["a", "b"]).await.unwrap();
    assert_eq!(found.as_array().unwrap().len(), 2);
    let listed = worker.ask(HostOp::VariableList, ()).await.unwrap();
    assert_eq!(listed.as_array().unwrap().len(), 3);
}

#[tokio::test]
async fn a_batch_of_a_stream_ends_where_it_would_be_too_large() {
    let worker = Worker::new();
    let opened = worker.ask(HostOp::ToolOpen, ()).await.unwrap();
    let next = json!({"stream": opened["stream"], "max": 1000});
    let mut sizes = Vec::new();
    loop {
        let batch = worker.ask(HostOp::ToolNext, &next).await.unwrap();
        sizes.push(batch["items"].as_array().unwrap().len());
        if batch["done"] == json!(true) {
            break;
        }
    }
    assert_eq!(
        sizes.iter().sum::<usize>(),
        10,
        "nothing is lost: {sizes:?}"
    );
    assert_eq!(sizes[..3], [3, 3, 3]);
}

#[tokio::test]
async fn changes_come_in_answers_that_fit_and_one_that_never_does_counts_as_missed() {
    let worker = Worker::new();
    worker.register("v", 10);
    for bytes in [700_000, 700_000, 2_000_000, 5] {
        worker.session.set("v", "x".repeat(bytes), None).unwrap();
    }
    let (mut after, mut seen, mut missed) = (1, Vec::new(), 0);
    while after < 5 {
        let pull = json!({"after": after, "max": 1000, "wait_us": 1});
        let pulled = worker.ask(HostOp::Changes, pull).await.unwrap();
        let changes = pulled["changes"].as_array().unwrap();
        seen.extend(changes.iter().map(|change| change["seq"].as_u64().unwrap()));
        missed += pulled["lagged"].as_u64().unwrap();
        let next = pulled["next"].as_u64().unwrap();
        assert!(next > after, "it goes on");
        after = next;
    }
    assert_eq!((seen, missed), (vec![2, 3, 5], 1));
}

#[tokio::test(start_paused = true)]
async fn a_call_holds_its_session_and_asks_no_other_generation() {
    let worker = Worker::new();
    worker.ask(HostOp::SessionGet, ()).await.unwrap();
    advance(Duration::from_secs(10)).await;
    let described = worker.ask(HostOp::SessionGet, ()).await.unwrap();
    assert_eq!(described["generation"], worker.session.generation());
    let call = worker.request.call;
    worker.bridge.call_ended(&WorkerId::new("w-1"), call);
    advance(Duration::from_secs(1)).await;
    let error = worker.session.touch().unwrap_err();
    assert_eq!(error.code(), ErrorCode::SessionExpired);
}
