//! Waiting calls.

use std::time::Duration;

use snakepit_core::call::CallOptions;
use snakepit_core::error::{Error, Phase};
use snakepit_core::testing::ScriptedProfile;

use crate::support::{balanced, begin, begin_with, call, config, payload, ready, until};

#[tokio::test(start_paused = true)]
async fn a_full_queue_refuses() {
    let profile = ScriptedProfile::new(1);
    let mut config = config(1);
    config.queue_limit = 2;
    let pool = ready(config, &profile).await;
    let calls = [
        begin(&pool, "gate").await,
        begin(&pool, "gate").await,
        begin(&pool, "gate").await,
    ];
    let error = call(&pool, "echo").await.unwrap_err();
    assert!(matches!(error, Error::Saturated { queued: 2, .. }));
    assert!(error.is_retryable());
    assert_eq!(pool.status().queue_depth, 2);
    profile.allow(3);
    for call in calls {
        call.await.unwrap().unwrap();
    }
    assert_eq!(pool.status().queue_time.count, 2);
    balanced(&pool.status());
}

#[tokio::test(start_paused = true)]
async fn waiting_calls_are_counted_by_session() {
    let profile = ScriptedProfile::new(1);
    let pool = ready(config(1), &profile).await;
    assert!(pool.queued_by_session().is_empty());
    let mut calls = vec![begin(&pool, "gate").await];
    for session in ["b", "a", "b"] {
        let options = CallOptions::new().session(session);
        calls.push(begin_with(&pool, "gate", options).await);
    }
    calls.push(begin(&pool, "gate").await);
    let queued = pool.queued_by_session();
    let queued: Vec<_> = queued
        .iter()
        .map(|(session, calls)| (session.as_ref().map(|it| it.as_str()), *calls))
        .collect();
    assert_eq!(queued, [(Some("b"), 2), (None, 1), (Some("a"), 1)]);
    profile.allow(5);
    for call in calls {
        call.await.unwrap().unwrap();
    }
    assert!(pool.queued_by_session().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_call_waits_no_longer_than_the_queue_time_out() {
    let profile = ScriptedProfile::new(1);
    let pool = ready(config(1), &profile).await;
    let first = begin(&pool, "gate").await;
    let start = tokio::time::Instant::now();
    let error = call(&pool, "echo").await.unwrap_err();
    assert!(matches!(
        error,
        Error::Timeout {
            phase: Phase::Queue,
            ..
        }
    ));
    assert_eq!(start.elapsed().as_secs(), 10);
    // The call's own time is shorter and ends the wait earlier.
    let second = begin_with(
        &pool,
        "echo",
        CallOptions::new().timeout(Duration::from_secs(1)),
    )
    .await;
    let error = second.await.unwrap().unwrap_err();
    assert!(
        matches!(error, Error::Timeout { phase: Phase::Queue, after, .. } if after.as_secs() == 1)
    );
    assert_eq!(
        (pool.status().queue_timeouts, pool.status().queue_depth),
        (2, 0)
    );
    profile.allow(1);
    first.await.unwrap().unwrap();
    balanced(&pool.status());
}

#[tokio::test(start_paused = true)]
async fn a_waiting_call_that_is_dropped_leaves_the_queue() {
    let profile = ScriptedProfile::new(1);
    let pool = ready(config(1), &profile).await;
    let first = begin(&pool, "gate").await;
    let mut waiting = Box::pin(call(&pool, "echo"));
    assert!(futures_util::poll!(&mut waiting).is_pending());
    assert_eq!(pool.status().queue_depth, 1);
    drop(waiting);
    assert_eq!((pool.status().queue_depth, pool.status().cancelled), (0, 1));
    profile.allow(1);
    first.await.unwrap().unwrap();
    balanced(&pool.status());
}

#[tokio::test(start_paused = true)]
async fn a_slot_for_a_caller_that_is_gone_is_passed_on() {
    let profile = ScriptedProfile::new(1);
    let pool = ready(config(1), &profile).await;
    let first = begin(&pool, "gate").await;
    let mut gone = Box::pin(call(&pool, "echo"));
    let mut next = Box::pin(call(&pool, "echo"));
    assert!(futures_util::poll!(&mut gone).is_pending());
    assert!(futures_util::poll!(&mut next).is_pending());
    profile.allow(1);
    first.await.unwrap().unwrap();
    // The slot belongs to `gone` now, which is dropped without having been polled again.
    assert_eq!((pool.status().in_flight, pool.status().queue_depth), (1, 1));
    drop(gone);
    next.await.unwrap();
    until(|| pool.status().in_flight == 0).await;
    balanced(&pool.status());
}

#[tokio::test(start_paused = true)]
async fn a_slot_that_comes_too_late_is_passed_on() {
    let profile = ScriptedProfile::new(1);
    let pool = ready(config(1), &profile).await;
    let first = begin(&pool, "gate").await;
    let options = CallOptions::new().timeout(Duration::from_secs(1));
    let mut late = Box::pin(pool.execute("stuck", payload(1), &options));
    assert!(futures_util::poll!(late.as_mut()).is_pending());
    let next = begin(&pool, "echo").await;
    profile.allow(1);
    first.await.unwrap().unwrap();
    // The slot belongs to the late call by now, but its task is not polled before its deadline.
    tokio::time::advance(Duration::from_secs(2)).await;
    let error = late.await.unwrap_err();
    assert!(
        matches!(
            error,
            Error::Timeout {
                phase: Phase::Queue,
                ..
            }
        ),
        "{error:?}"
    );
    next.await.unwrap().unwrap();
    let status = pool.status();
    assert_eq!((status.queue_timeouts, status.call_timeouts), (1, 0));
    balanced(&status);
}
