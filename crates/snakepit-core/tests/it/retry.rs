//! Repeated calls.

use std::time::Duration;

use snakepit_core::call::CallOptions;
use snakepit_core::error::ErrorCode;
use snakepit_core::policy::{QuarantinePolicy, RetryPolicy};
use snakepit_core::pool::{Pool, PoolConfig};
use snakepit_core::testing::{Script, ScriptedProfile};
use tokio::time::Instant;

use crate::support::{balanced, begin_with, config, payload, ready, until};

fn retrying(workers: usize) -> PoolConfig {
    let mut config = config(workers);
    config.restart.max_restarts = 1000;
    config.restart.initial_backoff = Duration::ZERO;
    config.retry = Some(RetryPolicy::default());
    config
}

fn harmless() -> CallOptions {
    CallOptions::new().idempotent()
}

async fn code(pool: &Pool, tool: &str, options: &CallOptions) -> Option<ErrorCode> {
    let result = pool.execute(tool, payload(7), options).await;
    result.err().map(|error| error.code())
}

#[tokio::test(start_paused = true)]
async fn an_idempotent_call_survives_its_worker() {
    let profile = ScriptedProfile::new(1);
    let pool = ready(retrying(2), &profile).await;
    let call = begin_with(&pool, "gate", harmless()).await;
    let busy = || {
        profile
            .workers()
            .into_iter()
            .find(|worker| worker.running() == 1)
    };
    until(|| busy().is_some()).await;
    busy().unwrap().die("killed", false);
    until(|| pool.status().errors == 1).await;
    profile.allow(1);
    assert_eq!(call.await.unwrap().unwrap(), payload(7));
    let status = pool.status();
    assert_eq!((status.requests, status.retries, status.errors), (2, 1, 1));
    balanced(&status);
}

#[tokio::test(start_paused = true)]
async fn a_call_that_may_have_run_is_not_repeated_unless_that_is_harmless() {
    let pool = ready(retrying(1), &ScriptedProfile::new(1)).await;
    let died = Some(ErrorCode::WorkerDied);
    assert_eq!(code(&pool, "die", &CallOptions::new()).await, died);
    assert_eq!((pool.status().requests, pool.status().retries), (1, 0));
    assert_eq!(code(&pool, "die", &harmless()).await, died);
    assert_eq!((pool.status().requests, pool.status().retries), (4, 2));
    // Errors of tools are answers.
    let raised = Some(ErrorCode::ToolRaised);
    assert_eq!(code(&pool, "fail", &harmless()).await, raised);
    assert_eq!(pool.status().retries, 2);
}

#[tokio::test(start_paused = true)]
async fn a_call_that_was_not_sent_is_repeated() {
    // The first worker is dead before the pool knows.
    let profile = ScriptedProfile::new(1).then(Script::Die);
    let pool = crate::support::start(retrying(1), &profile);
    assert_eq!(code(&pool, "echo", &CallOptions::new()).await, None);
}

#[tokio::test(start_paused = true)]
async fn the_budget_bounds_all_retries_together() {
    let mut config = retrying(1);
    let mut policy = RetryPolicy::default();
    policy.burst = 3;
    config.retry = Some(policy);
    let pool = ready(config, &ScriptedProfile::new(1)).await;
    for _ in 0..30 {
        code(&pool, "die", &harmless()).await;
    }
    // Three saved up, and a tenth of the 29 calls after the first, which found the budget full.
    let status = pool.status();
    assert_eq!((status.retries, status.requests), (5, 35));
    balanced(&status);
}

#[tokio::test(start_paused = true)]
async fn retries_end_with_the_deadline_and_queue_anew() {
    let mut config = retrying(1);
    let mut policy = RetryPolicy::default();
    policy.retries = 100;
    policy.burst = 1000;
    config.retry = Some(policy);
    config.queue_timeout = Duration::from_millis(500);
    let pool = ready(config, &ScriptedProfile::new(1)).await;
    let start = Instant::now();
    let options = harmless().timeout(Duration::from_secs(5));
    assert!(code(&pool, "die", &options).await.is_some());
    let took = start.elapsed();
    assert!(took <= Duration::from_secs(5), "{took:?}");
    // Longer than one queue time, because each retry has its own.
    assert!(took > Duration::from_millis(500), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn what_is_in_quarantine_is_not_repeated() {
    let mut config = retrying(1);
    config.quarantine = Some(QuarantinePolicy::default());
    let mut policy = RetryPolicy::default();
    policy.retries = 50;
    policy.burst = 1000;
    config.retry = Some(policy);
    let profile = ScriptedProfile::new(1);
    let pool = ready(config, &profile).await;
    let quarantined = Some(ErrorCode::Quarantined);
    assert_eq!(code(&pool, "die", &harmless()).await, quarantined);
    assert_eq!(pool.status().retries, 2);
    until(|| pool.status().ready == 1).await;
    assert_eq!(profile.starts(), 3);
}
