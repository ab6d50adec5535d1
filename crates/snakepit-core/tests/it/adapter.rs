//! Adapters: what they reject, convert and describe, in every kind of call.
#![expect(
    clippy::unwrap_used,
    reason = "a helper of a test may panic like the test"
)]

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use snakepit_core::call::CallOptions;
use snakepit_core::error::{Error, ErrorCode, ToolError};
use snakepit_core::host_tools::{ToolFailure, ToolResult};
use snakepit_core::pool::{HealthState, Pool};
use snakepit_core::testing::ScriptedProfile;
use snakepit_core::value::Payload;
use snakepit_core::worker::{AdaptedProfile, Adapter, ToolInfo};
use tokio::time::{Instant, sleep};

use crate::support::{LONG, balanced, config, payload};

/// Sends twice the number, and returns the result plus one.
#[derive(Debug)]
struct Numbers;

impl Adapter for Numbers {
    fn supported_commands(&self) -> Option<Vec<String>> {
        Some(
            ["echo", "count", "fail", "deaf"]
                .map(str::to_owned)
                .to_vec(),
        )
    }

    fn describe(&self, tool: &mut ToolInfo) {
        tool.description = "doubles".to_owned();
    }

    fn validate(&self, _: &str, args: &Payload) -> ToolResult<()> {
        match args.decode::<u64>()? {
            13 => Err(ToolFailure::new("13 is not accepted")),
            14 => panic!("14 is worse"),
            15 => {
                let error = ToolError::new(ErrorCode::QuotaExceeded, "enough for today");
                Err(error.into())
            }
            _ => Ok(()),
        }
    }

    fn prepare_args(&self, _: &str, args: Payload) -> ToolResult<Payload> {
        Ok(Payload::encode(&(args.decode::<u64>()? * 2))?)
    }

    fn process_response(&self, tool: &str, response: Payload) -> ToolResult<Payload> {
        match response.decode::<u64>()? {
            3 if tool == "count" => Err(ToolFailure::new("3 is too many")),
            200 => panic!("200 is worse"),
            number => Ok(Payload::encode(&(number + 1))?),
        }
    }
}

async fn pool(tools: &[&str]) -> Pool {
    let inner = Arc::new(ScriptedProfile::new(1));
    inner.set_tools(tools);
    let profile = Arc::new(AdaptedProfile::new(inner, Arc::new(Numbers)));
    let pool = Pool::start(config(1), profile).unwrap();
    pool.await_all_ready(LONG).await.unwrap();
    pool
}

fn rejected(result: Result<Payload, Error>) -> (ErrorCode, String) {
    match result.unwrap_err() {
        Error::Tool(error) => (error.code, error.message),
        other => panic!("{other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn calls_are_checked_and_converted_on_both_ways() {
    let pool = pool(&[]).await;
    let options = CallOptions::new();
    let call = async |tool: &str, n: u64| pool.execute(tool, payload(n), &options).await;
    assert_eq!(call("echo", 5).await.unwrap().decode::<u64>().unwrap(), 11);
    for (tool, n, code, text) in [
        (
            "echo",
            13,
            ErrorCode::InvalidArguments,
            "13 is not accepted",
        ),
        (
            "echo",
            14,
            ErrorCode::HostToolPanicked,
            "panicked in `validate`",
        ),
        ("echo", 15, ErrorCode::QuotaExceeded, "enough for today"),
        (
            "echo",
            100,
            ErrorCode::HostToolPanicked,
            "`process_response`",
        ),
        ("fail", 1, ErrorCode::ToolRaised, "as scripted"),
        ("nap", 1, ErrorCode::UnknownTool, "does not support `nap`"),
    ] {
        let (known, message) = rejected(call(tool, n).await);
        assert_eq!(known, code, "{message}");
        assert!(message.contains(text), "{message}");
    }
    let text = Payload::encode("five").unwrap();
    let (code, message) = rejected(pool.execute("echo", text, &options).await);
    assert_eq!(code, ErrorCode::UnexpectedType, "{message}");
    // A panic of the adapter costs no worker.
    assert_eq!(pool.status().restarts, 0);
    balanced(&pool.status());
}

#[tokio::test(start_paused = true)]
async fn items_of_a_batch_keep_their_order_beside_rejected_ones() {
    let pool = pool(&[]).await;
    let items = [1, 13, 2, 100, 3].map(payload);
    let many = pool.execute_many("echo", items, &CallOptions::new());
    let results: Vec<_> = many.collect().await;
    let numbers = results
        .iter()
        .map(|result| result.as_ref().ok().map(|it| it.decode::<u64>().unwrap()));
    let numbers: Vec<_> = numbers.collect();
    assert_eq!(numbers, [Some(3), None, Some(5), None, Some(7)]);
    balanced(&pool.status());
}

#[tokio::test(start_paused = true)]
async fn a_rejected_chunk_is_the_last_item_and_ends_an_endless_tool() {
    let pool = pool(&[]).await;
    let options = CallOptions::new();
    let stream = pool.execute_stream("count", payload(1), &options).await;
    let mut stream = stream.unwrap();
    for expected in 1..=3_u64 {
        let chunk = stream.next().await.unwrap().unwrap();
        assert_eq!(chunk.decode::<u64>().unwrap(), expected);
    }
    let (code, message) = rejected(stream.next().await.unwrap());
    assert_eq!((code, &*message), (ErrorCode::ToolRaised, "3 is too many"));
    assert!(stream.next().await.is_none());
    let again = pool.execute("echo", payload(1), &CallOptions::new()).await;
    assert_eq!(again.unwrap().decode::<u64>().unwrap(), 3);
    balanced(&pool.status());
}

#[tokio::test(start_paused = true)]
async fn a_tool_that_does_not_end_after_a_rejected_chunk_holds_neither_caller_nor_slot() {
    let pool = pool(&[]).await;
    let options = CallOptions::new();
    let stream = pool.execute_stream("deaf", payload(100), &options).await;
    let mut stream = stream.unwrap();
    let began = Instant::now();
    let (code, _) = rejected(stream.next().await.unwrap());
    assert_eq!(code, ErrorCode::HostToolPanicked);
    assert!(stream.next().await.is_none());
    assert_eq!(began.elapsed(), Duration::ZERO);
    // The worker is killed and replaced, since the tool ignores its cancellation.
    let again = pool.execute("echo", payload(1), &options).await;
    assert_eq!(again.unwrap().decode::<u64>().unwrap(), 3);
    assert_eq!((pool.status().restarts, pool.status().errors), (1, 1));
    balanced(&pool.status());
}

#[tokio::test(start_paused = true)]
async fn health_checks_and_warm_ups_pass_the_adapter_and_calls_of_their_tools_do_not() {
    let inner = ScriptedProfile::new(1);
    inner.set_tools(&["echo", "load"]);
    inner.set_health_checks(&["health"]);
    let profile = Arc::new(AdaptedProfile::new(
        Arc::new(inner.clone()),
        Arc::new(Numbers),
    ));
    let mut config = config(1);
    config.warm_up = Some("load".to_owned());
    let pool = Pool::start(config, profile).unwrap();
    pool.await_all_ready(LONG).await.unwrap();
    sleep(2 * LONG).await;
    let workers = pool.workers();
    let health = workers[0].health.as_ref().unwrap();
    assert_eq!(health.state, HealthState::Healthy);
    for tool in ["load", "health"] {
        let called = pool.execute(tool, payload(1), &CallOptions::new()).await;
        assert_eq!(rejected(called).0, ErrorCode::UnknownTool, "{tool}");
    }
}

#[tokio::test(start_paused = true)]
async fn tools_are_described_by_the_adapter() {
    for (own, expected) in [
        (&["echo", "nap"][..], &["echo"][..]),
        // A worker that does not describe itself.
        (&[], &["echo", "count", "fail", "deaf"]),
    ] {
        let tools = pool(own).await.tools();
        let names: Vec<_> = tools.iter().map(|tool| tool.name.as_str()).collect();
        assert_eq!(names, expected);
        assert!(tools.iter().all(|tool| tool.description == "doubles"));
    }
}
