//! Host tools: registration, arguments, failures, deadlines.
#![expect(clippy::unwrap_used, reason = "a helper may panic like its test")]

use std::sync::{Arc, mpsc};
use std::time::Duration;

use futures_util::{FutureExt, StreamExt, stream};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use snakepit_core::error::ErrorCode;
use snakepit_core::host_tools::{
    HostState, HostStateConfig, HostTool, RegisterError, ToolCall, ToolFailure,
};
use snakepit_core::state::{NewVariable, SessionOptions, StateError, VariableType, WatchFilter};
use snakepit_core::value::{Payload, Value};
use tokio::time::Instant;

#[derive(Deserialize, JsonSchema)]
struct Add {
    left: i64,
    right: i64,
    #[serde(default)]
    scale: Option<i64>,
}

#[derive(Deserialize, JsonSchema)]
struct Nothing {}

fn host() -> HostState {
    HostState::new(HostStateConfig::new()).unwrap()
}

fn add() -> HostTool {
    HostTool::sync("add", |_, args: Add| {
        Ok((args.left + args.right) * args.scale.unwrap_or(1))
    })
    .exposed()
}

fn args<T: Serialize>(value: &T) -> Payload {
    Payload::encode(value).unwrap()
}

fn map<const N: usize>(pairs: [(&str, Value); N]) -> Payload {
    args(&Value::Map(
        pairs.map(|(key, value)| (key.into(), value)).to_vec(),
    ))
}

async fn call(host: &HostState, name: &str, args: Payload) -> Result<Value, ErrorCode> {
    let reply = host.tools().call(ToolCall::new(), name, args).await;
    reply
        .map(|reply| reply.decode().unwrap())
        .map_err(|error| error.code)
}

#[tokio::test]
async fn arguments_come_by_name_or_by_position() {
    let host = host();
    host.tools().register(add().description("adds")).unwrap();
    assert_eq!(
        call(&host, "add", map([("right", 2.into()), ("left", 1.into())])).await,
        Ok(3.into())
    );
    assert_eq!(call(&host, "add", args(&(1, 2, 10))).await, Ok(30.into()));
    let info = &host.tools().list_exposed(None)[0];
    assert_eq!(
        info.parameters["required"],
        serde_json::json!(["left", "right"])
    );
    assert_eq!(
        (info.returns["type"].as_str(), info.streaming),
        (Some("integer"), false)
    );
    host.tools()
        .register(HostTool::sync("none", |_, _: Nothing| Ok(())).exposed())
        .unwrap();
    assert_eq!(call(&host, "none", args(&())).await, Ok(Value::Null));
}

#[tokio::test]
async fn bad_arguments_are_named() {
    let host = host();
    host.tools().register(add()).unwrap();
    let rows: [(Payload, ErrorCode, &str); 9] = [
        (
            map([("left", 1.into())]),
            ErrorCode::MissingArgument,
            "`right`",
        ),
        (
            map([("left", 1.into()), ("rigth", 2.into())]),
            ErrorCode::UnknownArgument,
            "`rigth`",
        ),
        (
            map([("left", 1.into()), ("right", "x".into())]),
            ErrorCode::WrongArgument,
            "argument `right` must be an integer, got string \"x\"",
        ),
        (
            map([("left", vec![1.into()].into()), ("right", 2.into())]),
            ErrorCode::WrongArgument,
            "argument `left` must be an integer, got a list",
        ),
        (
            args(&("x", 1)),
            ErrorCode::WrongArgument,
            "argument `[0]` must be an integer, got string \"x\"",
        ),
        (args(&(1, 2, 3, 4)), ErrorCode::WrongArgument, "fit"),
        (args(&5), ErrorCode::InvalidArguments, "a map or a list"),
        (args(&()), ErrorCode::MissingArgument, "`left`"),
        (
            Payload::from_msgpack(&b"\x82\xa1"[..]),
            ErrorCode::UnexpectedType,
            "end before",
        ),
    ];
    for (args, code, text) in rows {
        let error = host
            .tools()
            .call(ToolCall::new(), "add", args.clone())
            .await
            .unwrap_err();
        assert_eq!(error.code, code, "{error} for {args:?}");
        assert!(error.message.contains(text), "{error} for {args:?}");
    }
}

#[tokio::test]
async fn names_metadata_and_duplicates_are_checked_and_a_batch_is_atomic() {
    let host = host();
    let tool = |name: &str| HostTool::dynamic(name, |_, args| Ok(args)).exposed();
    for name in ["", "-a", ".a", "_a", "a b", "ä", &"x".repeat(65)] {
        let error = host.tools().register(tool(name)).unwrap_err();
        assert_eq!(error.code(), ErrorCode::InvalidToolName, "{name}");
    }
    host.tools()
        .register_all(vec![tool("A.b-c_9"), tool(&"x".repeat(64))])
        .unwrap();
    let error = host
        .tools()
        .register_all(vec![tool("new"), tool("A.b-c_9")])
        .unwrap_err();
    assert_eq!(error, RegisterError::Duplicate("A.b-c_9".into()));
    assert!(error.to_string().contains("duplicate_tool"));
    assert!(
        host.tools()
            .register_all(vec![tool("twice"), tool("twice")])
            .is_err()
    );
    let fat = tool("fat").metadata("k", "x".repeat(4096));
    assert_eq!(
        host.tools().register(fat).unwrap_err().code(),
        ErrorCode::InvalidMetadata
    );
    let many = (0..33).fold(tool("many"), |tool, n| tool.metadata(n.to_string(), ""));
    assert_eq!(
        host.tools().register(many).unwrap_err().code(),
        ErrorCode::InvalidMetadata
    );
    assert_eq!(host.tools().list(None).len(), 2);
    assert!(host.tools().unregister("A.b-c_9") && !host.tools().unregister("A.b-c_9"));
}

#[tokio::test]
async fn a_tool_of_a_session_hides_a_global_one_and_goes_with_the_session() {
    let host = host();
    let tool = |text: &'static str| HostTool::dynamic("t", move |_, _| Ok(text.into())).exposed();
    host.tools()
        .register_all(vec![
            tool("global"),
            HostTool::dynamic("hidden", |_, a| Ok(a)),
        ])
        .unwrap();
    let session = host.sessions().create("s", SessionOptions::new()).unwrap();
    host.tools()
        .register_for(&session, vec![tool("own")])
        .unwrap();
    let in_session = || {
        let mut call = ToolCall::new();
        call.session = Some("s".into());
        call
    };
    let text = async |call: ToolCall| {
        let reply = host.tools().call(call, "t", args(&())).await.unwrap();
        reply.decode::<String>().unwrap()
    };
    assert_eq!(text(in_session()).await, "own");
    assert_eq!(text(ToolCall::new()).await, "global");
    let listed = host.tools().list_exposed(Some(&"s".into()));
    assert_eq!((listed.len(), listed[0].of_session), (1, true));
    assert_eq!(
        call(&host, "hidden", args(&())).await,
        Err(ErrorCode::UnknownHostTool)
    );
    session.delete().unwrap();
    assert_eq!(text(in_session()).await, "global");
    let error = host
        .tools()
        .register_for(&session, vec![tool("late")])
        .unwrap_err();
    assert!(matches!(
        error,
        RegisterError::Session(StateError::UnknownSession(_))
    ));
    let error = host
        .tools()
        .call(ToolCall::new(), "T", args(&()))
        .await
        .unwrap_err();
    assert_eq!(error.help, "did you mean `t`?");
}

#[tokio::test]
async fn a_panic_stays_with_its_tool() {
    let host = host();
    host.tools()
        .register_all(vec![
            HostTool::dynamic("sync", |_, _| panic!("boom {}", 1)).exposed(),
            HostTool::dynamic_asynchronous("async", |_, _| async { panic!("boom") }).exposed(),
            HostTool::dynamic_asynchronous("early", |_, _| -> std::future::Ready<_> {
                panic!("boom")
            })
            .exposed(),
            HostTool::dynamic_stream("stream", |_, _| {
                stream::iter(0..3).map(|n| if n < 2 { Ok(n.into()) } else { panic!("boom") })
            })
            .exposed(),
        ])
        .unwrap();
    for name in ["sync", "async", "early"] {
        let error = host
            .tools()
            .call(ToolCall::new(), name, args(&()))
            .await
            .unwrap_err();
        assert_eq!(error.code, ErrorCode::HostToolPanicked);
        assert!(error.message.contains("boom"), "{error}");
    }
    let items = host
        .tools()
        .open_stream(ToolCall::new(), "stream", args(&()))
        .unwrap();
    let codes: Vec<_> = items
        .map(|item| item.map(drop).map_err(|error| error.code))
        .collect()
        .await;
    assert_eq!(codes, [Ok(()), Ok(()), Err(ErrorCode::HostToolPanicked)]);
    assert_eq!(
        call(&host, "stream", args(&())).await,
        Err(ErrorCode::WrongCallKind)
    );
    assert_eq!(
        host.tools()
            .open_stream(ToolCall::new(), "sync", args(&()))
            .err()
            .map(|e| e.code),
        Some(ErrorCode::WrongCallKind)
    );
}

#[tokio::test]
async fn errors_keep_their_code() {
    let host = host();
    host.tools()
        .register_all(vec![
            HostTool::dynamic("own", |_, _| Err(ToolFailure::new("no luck"))).exposed(),
            HostTool::dynamic("foreign", |_, _| Ok(i64::from("x".parse::<i32>()?).into()))
                .exposed(),
            HostTool::dynamic("state", |_, _| Err(StateError::Closed)?).exposed(),
        ])
        .unwrap();
    let error = async |name| {
        host.tools()
            .call(ToolCall::new(), name, args(&()))
            .await
            .unwrap_err()
    };
    assert_eq!(error("own").await.to_string(), "no luck");
    let foreign = error("foreign").await;
    assert_eq!(
        (foreign.code, foreign.type_name.as_str()),
        (ErrorCode::HostToolFailed, "ParseIntError")
    );
    assert_eq!(error("state").await.code, ErrorCode::StateClosed);
}

#[tokio::test]
async fn a_tool_that_blocks_does_not_hold_its_caller_past_the_deadline() {
    let host = host();
    let (release, blocked) = mpsc::channel::<()>();
    let (told, seen) = mpsc::channel();
    let blocked = std::sync::Mutex::new(blocked);
    let tool = HostTool::dynamic("block", move |context, _| {
        blocked.lock().unwrap().recv().ok();
        told.send(context.is_cancelled()).unwrap();
        Ok(Value::Null)
    });
    host.tools().register(tool.exposed()).unwrap();
    let mut call = ToolCall::new();
    call.deadline = Some(Instant::now() + Duration::from_millis(20));
    let error = host
        .tools()
        .call(call, "block", args(&()))
        .await
        .unwrap_err();
    assert_eq!(error.code, ErrorCode::HostToolTimeout);
    // The tool still runs, and sees that its caller no longer waits.
    release.send(()).unwrap();
    assert!(seen.recv().unwrap());
}

#[tokio::test(start_paused = true)]
async fn deadlines_and_drops_end_asynchronous_tools() {
    let host = host();
    let alive = Arc::new(());
    let held = Arc::clone(&alive);
    let hang = HostTool::dynamic_asynchronous("hang", move |_, _| {
        let held = Arc::clone(&held);
        async move {
            let _held = held;
            std::future::pending().await
        }
    });
    let drip = HostTool::dynamic_stream("drip", |_, _| {
        stream::unfold((), |()| async {
            tokio::time::sleep(Duration::from_secs(1)).await; // the tool sleeps
            Some((Ok(Value::Null), ()))
        })
    });
    host.tools()
        .register_all(vec![hang.exposed(), drip.exposed()])
        .unwrap();
    let soon = || {
        let mut call = ToolCall::new();
        call.deadline = Some(Instant::now() + Duration::from_millis(2500));
        call
    };
    let error = host
        .tools()
        .call(soon(), "hang", args(&()))
        .await
        .unwrap_err();
    assert_eq!(error.code, ErrorCode::HostToolTimeout);
    assert_eq!(Arc::strong_count(&alive), 2);
    let mut dropped = Box::pin(host.tools().call(soon(), "hang", args(&())));
    assert!(dropped.as_mut().now_or_never().is_none());
    assert_eq!(Arc::strong_count(&alive), 3);
    drop(dropped);
    assert_eq!(Arc::strong_count(&alive), 2);
    let items = host.tools().open_stream(soon(), "drip", args(&())).unwrap();
    let codes: Vec<_> = items
        .map(|item| item.err().map(|error| error.code))
        .collect()
        .await;
    assert_eq!(codes, [None, None, Some(ErrorCode::HostToolTimeout)]);
    tokio::time::advance(Duration::from_secs(9)).await;
    let mut late = soon();
    late.deadline = Some(Instant::now());
    assert_eq!(
        host.tools()
            .call(late, "hang", args(&()))
            .await
            .unwrap_err()
            .code,
        ErrorCode::HostToolTimeout
    );
}

#[tokio::test]
async fn a_tool_knows_its_caller_and_works_in_its_session() {
    let host = host();
    let session = host.sessions().create("s", SessionOptions::new()).unwrap();
    session
        .register(NewVariable::new("n", VariableType::Integer, 1))
        .unwrap();
    let tool = HostTool::asynchronous("bump", |context, _: Nothing| async move {
        let session = context
            .session()
            .ok_or_else(|| ToolFailure::new("no session"))?;
        let set = session.set("n", 2, None)?;
        assert_eq!((context.tool(), context.depth()), ("bump", 0));
        assert_eq!(context.options().session, Some("s".into()));
        Ok(set.version)
    });
    host.tools().register(tool.exposed()).unwrap();
    let mut call = ToolCall::new();
    (call.session, call.worker) = (Some("s".into()), Some("w-1".into()));
    let reply = host.tools().call(call, "bump", args(&())).await.unwrap();
    assert_eq!(reply.decode::<u64>().unwrap(), 2);
    let batch = session
        .changes_after(Some(1), &WatchFilter::all(), 9, Duration::ZERO)
        .await
        .unwrap();
    assert_eq!(batch.changes[0].origin.to_string(), "w-1");
}
