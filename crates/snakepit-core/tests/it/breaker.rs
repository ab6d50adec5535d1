//! Circuit breakers of a pool and of its tools.

use std::time::Duration;

use futures_util::StreamExt;
use snakepit_core::call::CallOptions;
use snakepit_core::error::{Error, ErrorCode};
use snakepit_core::policy::{BreakerPolicy, CircuitState};
use snakepit_core::pool::{Pool, PoolConfig};
use snakepit_core::testing::{Script, ScriptedProfile};

use crate::support::{balanced, begin, begin_with, call, config, payload, ready, until};

fn policy() -> BreakerPolicy {
    let mut policy = BreakerPolicy::default();
    policy.failures = 2;
    policy
}

fn patient(workers: usize) -> PoolConfig {
    let mut config = config(workers);
    config.restart.max_restarts = 1000;
    config.restart.initial_backoff = Duration::ZERO;
    config
}

async fn code(pool: &Pool, tool: &str) -> Option<ErrorCode> {
    call(pool, tool).await.err().map(|error| error.code())
}

#[tokio::test(start_paused = true)]
async fn a_tool_that_kills_workers_is_refused_and_others_are_not() {
    let mut config = patient(2);
    config.tool_breaker = Some(policy());
    let profile = ScriptedProfile::new(1);
    let pool = ready(config, &profile).await;
    for _ in 0..2 {
        assert_eq!(code(&pool, "die").await, Some(ErrorCode::WorkerDied));
    }
    let error = call(&pool, "die").await.unwrap_err();
    assert!(
        matches!(&error, Error::CircuitOpen { tool: Some(tool), retry_after, .. }
            if tool == "die" && *retry_after <= Duration::from_secs(10)),
        "{error:?}"
    );
    assert!(error.is_retryable());
    assert_eq!(code(&pool, "echo").await, None);
    let status = pool.status();
    assert_eq!((status.circuit_open, status.circuits.len()), (1, 1));
    assert_eq!(status.circuits[0].tool.as_deref(), Some("die"));
    assert_eq!(status.circuits[0].state, CircuitState::Open);
    balanced(&status);
    // After the pause one trial call is made, and fails: the next pause begins.
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert_eq!(pool.status().circuits[0].state, CircuitState::HalfOpen);
    assert_eq!(code(&pool, "die").await, Some(ErrorCode::WorkerDied));
    assert_eq!(code(&pool, "die").await, Some(ErrorCode::CircuitOpen));
}

#[tokio::test(start_paused = true)]
async fn the_probe_is_one_however_it_ends() {
    let mut config = patient(2);
    config.breaker = Some(policy());
    let profile = ScriptedProfile::new(1);
    let pool = ready(config, &profile).await;
    for _ in 0..2 {
        assert_eq!(code(&pool, "die").await, Some(ErrorCode::WorkerDied));
    }
    assert_eq!(code(&pool, "echo").await, Some(ErrorCode::CircuitOpen));
    tokio::time::sleep(Duration::from_secs(10)).await;
    // Dropped by its caller, timed out, dropped as a stream: each gives its permit back, and none
    // counts as evidence.
    let options = CallOptions::new();
    let mut probe = Box::pin(pool.execute("hang", payload(1), &options));
    assert!(futures_util::poll!(probe.as_mut()).is_pending());
    assert_eq!(code(&pool, "echo").await, Some(ErrorCode::CircuitOpen));
    drop(probe);
    let options = CallOptions::new().timeout(Duration::from_secs(1));
    let probe = begin_with(&pool, "hang", options).await;
    assert_eq!(code(&pool, "echo").await, Some(ErrorCode::CircuitOpen));
    assert_eq!(
        probe.await.unwrap().unwrap_err().code(),
        ErrorCode::CallTimeout
    );
    let mut stream = pool
        .execute_stream("count", payload(1), &CallOptions::new())
        .await
        .unwrap();
    stream.next().await.unwrap().unwrap();
    assert_eq!(code(&pool, "echo").await, Some(ErrorCode::CircuitOpen));
    drop(stream);
    // A call whose tool raises was answered by a worker.
    assert_eq!(code(&pool, "fail").await, Some(ErrorCode::ToolRaised));
    assert_eq!(pool.status().circuits, []);
    assert_eq!(code(&pool, "echo").await, None);
}

#[tokio::test(start_paused = true)]
async fn of_many_calls_at_once_exactly_the_probes_get_through() {
    let mut config = patient(4);
    let mut breaker = policy();
    breaker.probes = 3;
    config.breaker = Some(breaker);
    let profile = ScriptedProfile::new(4);
    let pool = ready(config, &profile).await;
    for _ in 0..2 {
        assert_eq!(code(&pool, "die").await, Some(ErrorCode::WorkerDied));
    }
    tokio::time::sleep(Duration::from_secs(10)).await;
    let mut calls = Vec::new();
    for _ in 0..20 {
        calls.push(begin(&pool, "gate").await);
    }
    until(|| pool.status().in_flight == 3).await;
    assert_eq!(pool.status().circuit_open, 17);
    profile.allow(3);
    let mut good = 0;
    for call in calls {
        good += usize::from(call.await.unwrap().is_ok());
    }
    assert_eq!(good, 3);
    assert_eq!(pool.status().circuits, []);
}

#[tokio::test(start_paused = true)]
async fn tools_callers_and_time_outs_open_nothing() {
    let mut config = patient(1);
    config.breaker = Some(policy());
    config.tool_breaker = Some(policy());
    config.queue_limit = 0;
    let pool = ready(config, &ScriptedProfile::new(1)).await;
    for _ in 0..5 {
        assert_eq!(code(&pool, "fail").await, Some(ErrorCode::ToolRaised));
        let options = CallOptions::new().timeout(Duration::from_secs(1));
        let hang = begin_with(&pool, "hang", options).await;
        assert_eq!(code(&pool, "echo").await, Some(ErrorCode::Saturated));
        hang.await.unwrap().unwrap_err();
        until(|| pool.status().in_flight == 0).await;
    }
    assert_eq!(code(&pool, "echo").await, None);
    assert_eq!(pool.status().circuits, []);
}

#[tokio::test(start_paused = true)]
async fn a_pool_that_cannot_start_workers_opens_its_circuit() {
    let mut config = config(1);
    config.breaker = Some(policy());
    let profile = ScriptedProfile::new(1);
    profile.otherwise(Script::Fail { permanent: true });
    let pool = crate::support::start(config, &profile);
    for _ in 0..2 {
        assert_eq!(code(&pool, "echo").await, Some(ErrorCode::StartFailed));
    }
    assert_eq!(code(&pool, "echo").await, Some(ErrorCode::CircuitOpen));
}

#[tokio::test(start_paused = true)]
async fn batches_pass_as_calls_do() {
    let mut config = patient(1);
    config.tool_breaker = Some(policy());
    let pool = ready(config, &ScriptedProfile::new(1)).await;
    let many = |tool: &'static str| {
        pool.execute_many(tool, (0..6).map(payload), &CallOptions::new())
            .map(|result| result.err().map(|error| error.code()))
            .collect::<Vec<_>>()
    };
    let died = many("die").await;
    assert_eq!(died.len(), 6);
    assert_eq!(died[..2], [Some(ErrorCode::WorkerDied); 2]);
    assert_eq!(died.last(), Some(&Some(ErrorCode::CircuitOpen)));
    assert_eq!(many("echo").await, [None; 6]);
    balanced(&pool.status());
}
