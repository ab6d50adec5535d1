//! Settings of single tools.
#![expect(
    clippy::unwrap_used,
    reason = "a helper of a test may panic like the test"
)]

use std::time::Duration;

use futures_util::StreamExt;
use snakepit_core::call::CallOptions;
use snakepit_core::error::{Error, ErrorCode};
use snakepit_core::policy::RetryPolicy;
use snakepit_core::pool::{Pool, PoolConfig, ToolConfig};
use snakepit_core::testing::ScriptedProfile;
use tokio::time::Instant;

use crate::support::{begin, config, payload, ready, until};

fn with_tool(name: &str, change: impl FnOnce(&mut ToolConfig)) -> PoolConfig {
    let mut config = config(1);
    config.call_timeout = Some(Duration::from_secs(100));
    change(config.tools.entry(name.to_owned()).or_default());
    config
}

/// Returns the time after which a call fails; checks that the error states the same.
async fn fails_after(pool: &Pool, tool: &str, options: &CallOptions) -> Duration {
    let before = Instant::now();
    let error = pool.execute(tool, payload(1), options).await.unwrap_err();
    let Error::Timeout { after, .. } = error else {
        panic!("{error:?}");
    };
    assert_eq!(before.elapsed().as_secs(), after.as_secs());
    after
}

#[tokio::test(start_paused = true)]
async fn the_time_of_the_caller_goes_before_that_of_the_tool_and_that_before_the_pools() {
    let config = with_tool("hang", |tool| tool.timeout = Some(Duration::from_secs(10)));
    let pool = ready(config, &ScriptedProfile::new(1)).await;
    let options = CallOptions::new();
    assert_eq!(fails_after(&pool, "hang", &options).await.as_secs(), 10);
    let own = CallOptions::new().timeout(Duration::from_secs(20));
    assert_eq!(fails_after(&pool, "hang", &own).await.as_secs(), 20);
    // Another tool has the time of the pool; its worker is killed after the grace time.
    assert_eq!(fails_after(&pool, "stuck", &options).await.as_secs(), 100);
}

#[tokio::test(start_paused = true)]
async fn streams_have_the_time_of_streams_unless_the_tool_has_its_own() {
    let ends_after = async |pool: &Pool| {
        let before = Instant::now();
        let options = CallOptions::new();
        let stream = pool.execute_stream("hang", payload(1), &options).await;
        let error = match stream {
            Ok(mut stream) => stream.next().await.unwrap().unwrap_err(),
            Err(error) => error,
        };
        assert_eq!(error.code(), ErrorCode::CallTimeout);
        before.elapsed().as_secs()
    };
    let mut config = with_tool("other", |tool| tool.timeout = Some(Duration::from_secs(1)));
    config.stream_timeout = Some(Duration::from_secs(500));
    let pool = ready(config, &ScriptedProfile::new(1)).await;
    assert_eq!(ends_after(&pool).await, 500);
    let config = with_tool("hang", |tool| tool.timeout = Some(Duration::from_secs(30)));
    let pool = ready(config, &ScriptedProfile::new(1)).await;
    assert_eq!(ends_after(&pool).await, 30);
}

#[tokio::test(start_paused = true)]
async fn a_tool_may_have_its_own_time_in_the_queue() {
    let wait = Duration::from_secs(3);
    let config = with_tool("echo", |tool| tool.queue_timeout = Some(wait));
    let pool = ready(config, &ScriptedProfile::new(1)).await;
    let long = begin(&pool, "gate").await;
    assert_eq!(fails_after(&pool, "echo", &CallOptions::new()).await, wait);
    let own = CallOptions::new().queue_timeout(2 * wait);
    assert_eq!(fails_after(&pool, "echo", &own).await, 2 * wait);
    let pools = fails_after(&pool, "nap", &CallOptions::new()).await;
    assert_eq!(pools, pool.config().queue_timeout);
    long.abort();
}

#[tokio::test(start_paused = true)]
async fn calls_of_an_idempotent_tool_are_repeated() {
    let mut config = with_tool("die", |tool| tool.idempotent = true);
    config.retry = Some(RetryPolicy::default());
    let pool = ready(config, &ScriptedProfile::new(1)).await;
    let options = CallOptions::new();
    pool.execute("die", payload(1), &options).await.unwrap_err();
    assert_eq!(pool.status().retries, 2);
    until(|| pool.status().in_flight == 0).await;
}

#[test]
fn times_of_tools_are_checked() {
    for (name, change, expected) in [
        (
            "f",
            (|tool| tool.timeout = Some(Duration::ZERO)) as fn(&mut ToolConfig),
            "`tools.f.timeout` must be more than zero, got 0",
        ),
        (
            "f",
            |tool| tool.queue_timeout = Some(Duration::MAX),
            "`tools.f.queue_timeout` must be at most ten years",
        ),
        ("", |_| {}, "`tools` must not have a tool without a name"),
    ] {
        let error = with_tool(name, change).validate().unwrap_err();
        assert!(error.to_string().starts_with(expected), "{error}");
    }
}
