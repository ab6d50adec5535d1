//! Calls and their ends.

use std::time::Duration;

use snakepit_core::call::{CallOptions, Request};
use snakepit_core::error::{Error, ErrorCode, Phase};
use snakepit_core::pool::{Pool, PoolConfig};
use snakepit_core::testing::ScriptedProfile;
use tower_service::Service;

use crate::support::{
    LONG, balanced, begin, begin_with, call, config, payload, ready, start, until,
};

#[tokio::test(start_paused = true)]
async fn echoes_and_counts() {
    let pool = ready(config(2), &ScriptedProfile::new(1)).await;
    for _ in 0..10 {
        assert_eq!(call(&pool, "echo").await.unwrap(), payload(7));
    }
    let status = pool.status();
    assert_eq!(
        (status.requests, status.succeeded, status.in_flight),
        (10, 10, 0)
    );
    assert_eq!(status.service_time.count, 10);
    assert_eq!(
        pool.workers()
            .iter()
            .map(|worker| worker.calls)
            .collect::<Vec<_>>(),
        [5, 5]
    );
    balanced(&status);
}

#[tokio::test(start_paused = true)]
async fn calls_wait_for_the_first_worker() {
    let pool = start(config(1), &ScriptedProfile::new(1));
    assert_eq!(call(&pool, "echo").await.unwrap(), payload(7));
    assert_eq!(pool.status().queued, 1);
}

#[tokio::test(start_paused = true)]
async fn a_tools_error_comes_back() {
    let pool = ready(config(1), &ScriptedProfile::new(1)).await;
    assert_eq!(
        call(&pool, "fail").await.unwrap_err().code(),
        ErrorCode::ToolRaised
    );
    assert_eq!(pool.status().errors, 1);
    call(&pool, "echo").await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_time_out_keeps_the_slot_until_the_tool_ends() {
    let profile = ScriptedProfile::new(1);
    let pool = ready(config(1), &profile).await;
    let options = CallOptions::new().timeout(Duration::from_secs(1));
    let error = pool
        .execute("hang", payload(1), &options)
        .await
        .unwrap_err();
    assert!(
        matches!(error, Error::Timeout { phase: Phase::Call, after, .. } if after == Duration::from_secs(1))
    );
    // The tool ends when it is cancelled, so the same worker serves the next call.
    call(&pool, "echo").await.unwrap();
    assert_eq!(profile.starts(), 1);
    balanced(&pool.status());
}

#[tokio::test(start_paused = true)]
async fn a_stuck_tool_costs_its_worker() {
    let profile = ScriptedProfile::new(1);
    let pool = ready(config(1), &profile).await;
    let options = CallOptions::new().timeout(Duration::from_secs(1));
    pool.execute("stuck", payload(1), &options)
        .await
        .unwrap_err();
    assert_eq!(
        pool.status().in_flight,
        1,
        "the slot is not free before the tool ends"
    );
    let before = tokio::time::Instant::now();
    call(&pool, "echo").await.unwrap();
    assert!(before.elapsed() >= pool.config().cancel_grace);
    assert_eq!(profile.starts(), 2);
    assert_eq!(pool.status().restarts, 1);
    balanced(&pool.status());
}

#[tokio::test(start_paused = true)]
async fn a_dropped_call_is_cancelled_and_counted() {
    let profile = ScriptedProfile::new(1);
    let pool = ready(config(1), &profile).await;
    let mut call_ = Box::pin(call(&pool, "hang"));
    assert!(futures_util::poll!(&mut call_).is_pending());
    drop(call_);
    assert_eq!((pool.status().cancelled, pool.status().in_flight), (1, 1));
    until(|| pool.status().in_flight == 0).await;
    call(&pool, "echo").await.unwrap();
    assert_eq!(profile.starts(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_dead_worker_fails_its_call_and_is_replaced() {
    let profile = ScriptedProfile::new(1);
    let pool = ready(config(1), &profile).await;
    let error = call(&pool, "die").await.unwrap_err();
    assert!(
        matches!(&error, Error::WorkerDied { reason, ambiguous: true, .. } if reason == "died as scripted")
    );
    call(&pool, "echo").await.unwrap();
    assert_eq!(pool.status().last_exit.as_deref(), Some("died as scripted"));
    balanced(&pool.status());
}

#[tokio::test(start_paused = true)]
async fn slots_of_one_worker_run_at_the_same_time() {
    let profile = ScriptedProfile::new(3);
    let pool = ready(config(1), &profile).await;
    let calls = [
        begin(&pool, "gate").await,
        begin(&pool, "gate").await,
        begin(&pool, "gate").await,
    ];
    until(|| profile.workers()[0].running() == 3).await;
    profile.allow(3);
    for call in calls {
        call.await.unwrap().unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_pool_is_a_service() {
    let mut pool = ready(config(1), &ScriptedProfile::new(1)).await;
    let mut request = Request::new("hang", payload(1));
    request.deadline = Some(tokio::time::Instant::now() + Duration::from_secs(1));
    let error = pool.call(request).await.unwrap_err();
    assert_eq!(error.code(), ErrorCode::CallTimeout);
    assert_eq!(
        pool.call(Request::new("echo", payload(3))).await.unwrap(),
        payload(3)
    );
}

#[tokio::test(start_paused = true)]
async fn settings_out_of_range_are_refused() {
    let check = |change: fn(&mut PoolConfig), text: &str| {
        let mut config = config(1);
        change(&mut config);
        let error = Pool::start(config, std::sync::Arc::new(ScriptedProfile::new(1))).unwrap_err();
        assert_eq!(error.to_string(), text);
    };
    check(
        |c| c.workers = 0,
        "`workers` must be between 1 and 1024, got 0",
    );
    check(
        |c| c.workers = 1025,
        "`workers` must be between 1 and 1024, got 1025",
    );
    check(
        |c| c.start_concurrency = 0,
        "`start_concurrency` must be between 1 and 1024, got 0",
    );
    check(
        |c| c.call_timeout = Some(Duration::ZERO),
        "`call_timeout` must be more than zero, got 0",
    );
    check(
        |c| c.queue_timeout = Duration::MAX,
        &format!(
            "`queue_timeout` must be at most ten years, got {:?}",
            Duration::MAX
        ),
    );
    check(
        |c| c.name = "".into(),
        "`name` must be 1 to 64 of the characters a-z A-Z 0-9 . _ -, got \"\"",
    );
}

#[tokio::test(start_paused = true)]
async fn a_huge_time_out_is_no_time_out() {
    let pool = ready(config(1), &ScriptedProfile::new(1)).await;
    let options = CallOptions::new()
        .timeout(Duration::MAX)
        .queue_timeout(Duration::MAX);
    let held = begin_with(&pool, "hang", CallOptions::new().timeout(LONG)).await;
    pool.execute("echo", payload(1), &options).await.unwrap();
    held.await.unwrap().unwrap_err();
}
