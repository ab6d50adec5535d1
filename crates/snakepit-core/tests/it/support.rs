//! Functions shared by the tests.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use snakepit_core::call::CallOptions;
use snakepit_core::error::Error;
use snakepit_core::pool::{Pool, PoolConfig, ReplyStream, Status};
use snakepit_core::testing::ScriptedProfile;
use snakepit_core::value::Payload;

pub(crate) const LONG: Duration = Duration::from_secs(100);

pub(crate) fn config(workers: usize) -> PoolConfig {
    let mut config = PoolConfig::new("test");
    config.workers = workers;
    config
}

pub(crate) fn start(config: PoolConfig, profile: &ScriptedProfile) -> Pool {
    Pool::start(config, Arc::new(profile.clone())).expect("the settings are valid")
}

/// Returns a pool whose workers are ready.
pub(crate) async fn ready(config: PoolConfig, profile: &ScriptedProfile) -> Pool {
    let pool = start(config, profile);
    pool.await_all_ready(LONG).await.expect("the workers start");
    pool
}

pub(crate) fn payload(n: u64) -> Payload {
    Payload::encode(&n).expect("a number can be encoded")
}

pub(crate) async fn call(pool: &Pool, tool: &str) -> Result<Payload, Error> {
    pool.execute(tool, payload(7), &CallOptions::new()).await
}

/// Starts a call, and returns when it runs or is in the queue.
pub(crate) async fn begin(
    pool: &Pool,
    tool: &'static str,
) -> tokio::task::JoinHandle<Result<Payload, Error>> {
    begin_with(pool, tool, CallOptions::new()).await
}

pub(crate) async fn begin_with(
    pool: &Pool,
    tool: &'static str,
    options: CallOptions,
) -> tokio::task::JoinHandle<Result<Payload, Error>> {
    let (before, clone) = (pool.status().requests, pool.clone());
    let mut tasks = tokio::task::JoinSet::new();
    let (sender, receiver) = tokio::sync::oneshot::channel();
    tasks.spawn(async move { drop(sender.send(clone.execute(tool, payload(7), &options).await)) });
    let handle = tokio::runtime::Handle::current().spawn(async move {
        let result = receiver.await;
        drop(tasks);
        result.unwrap_or_else(|_| Err(Error::Closed("test".into())))
    });
    until(|| pool.status().requests > before).await;
    handle
}

/// Lets the other tasks run until a condition holds, and advances the clock when all of them wait.
pub(crate) async fn until(mut condition: impl FnMut() -> bool) {
    for _ in 0..100_000 {
        if condition() {
            return;
        }
        tokio::task::yield_now().await;
    }
    panic!("the condition does not come true");
}

/// Reads a stream whose tool always has a chunk ready, and whose deadline has passed, up to its
/// error.
pub(crate) async fn late(chunks: &mut ReplyStream) -> Error {
    for _ in 0..32 {
        if let Err(error) = chunks.next().await.expect("the tool always has a chunk") {
            return error;
        }
    }
    panic!("the stream outruns its deadline");
}

/// Checks that the counters add up.
pub(crate) fn balanced(status: &Status) {
    let over = status.succeeded
        + status.errors
        + status.saturated
        + status.queue_timeouts
        + status.call_timeouts
        + status.cancelled;
    assert_eq!(status.requests, over, "{status:?}");
}
