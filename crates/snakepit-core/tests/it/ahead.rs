//! Calls that are sent ahead of their turn.
#![expect(
    clippy::unwrap_used,
    reason = "a helper of a test may panic like the test"
)]

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use snakepit_core::call::CallOptions;
use snakepit_core::error::Error;
use snakepit_core::policy::{QuarantinePolicy, RetryPolicy};
use snakepit_core::pool::{Affinity, Pool, PoolConfig};
use snakepit_core::testing::{ScriptedProfile, ScriptedWorker};
use snakepit_core::value::Payload;
use tokio::task::JoinHandle;

use crate::support::{LONG, balanced, begin, begin_with, call, config, payload, ready, until};

pub(crate) type Call = JoinHandle<Result<Payload, Error>>;

/// Returns a pool whose calls were all short so far.
pub(crate) async fn quick(config: PoolConfig, slots: u16) -> (Pool, ScriptedProfile) {
    let profile = ScriptedProfile::new(slots).ahead();
    let pool = ready(config, &profile).await;
    for _ in 0..20 {
        call(&pool, "echo").await.unwrap();
    }
    (pool, profile)
}

/// Fills the only slot with a call, and sends the others ahead of their turn behind it, `hold` of
/// them in the worker.
pub(crate) async fn behind(
    pool: &Pool,
    profile: &ScriptedProfile,
    tools: &[&'static str],
) -> (Call, Vec<Call>, Arc<ScriptedWorker>) {
    let before = begin(pool, "gate").await;
    let front = begin(pool, "gate").await;
    let mut calls = Vec::new();
    for tool in tools {
        calls.push(begin(pool, tool).await);
    }
    let worker = profile.workers().remove(0);
    let ahead = worker.sent_ahead();
    profile.allow(1);
    before.await.unwrap().unwrap();
    let all = ahead + tools.len().min(4);
    until(|| worker.sent_ahead() == all).await;
    (front, calls, worker)
}

pub(crate) async fn all(calls: Vec<Call>) {
    for call in calls {
        call.await.unwrap().unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn short_calls_lie_behind_the_one_that_runs_and_count_as_queued() {
    let (pool, profile) = quick(config(1), 1).await;
    let (front, calls, worker) = behind(&pool, &profile, &["gate"; 6]).await;
    let status = pool.status();
    assert_eq!((status.in_flight, status.queue_depth), (1, 6));
    assert_eq!((worker.sent_ahead(), worker.running()), (4, 1));
    profile.allow(7);
    front.await.unwrap().unwrap();
    all(calls).await;
    let status = pool.status();
    assert_eq!((status.in_flight, status.queue_depth), (0, 0));
    assert_eq!(worker.recalls(), 0);
    // All but the first have waited, and each was counted once.
    assert_eq!((status.queued, status.queue_time.count), (7, 7));
    balanced(&status);
}

#[tokio::test(start_paused = true)]
async fn without_short_calls_before_nothing_is_sent_ahead() {
    let profile = ScriptedProfile::new(1).ahead();
    let pool = ready(config(1), &profile).await;
    for tool in ["echo", "nap"] {
        for _ in 0..20 {
            call(&pool, tool).await.unwrap();
        }
        let calls = [
            begin(&pool, "gate").await,
            begin(&pool, "gate").await,
            begin(&pool, "gate").await,
        ];
        if tool == "nap" {
            profile.allow(3);
            all(calls.into()).await;
            assert_eq!(profile.workers()[0].sent_ahead(), 0);
            return;
        }
        // The first waiting call of a pool is not sent behind another one: durations are not known
        // yet.
        assert_eq!(profile.workers()[0].sent_ahead(), 0);
        tokio::time::sleep(Duration::from_secs(1)).await;
        profile.allow(3);
        all(calls.into()).await;
    }
}

#[tokio::test(start_paused = true)]
async fn calls_behind_a_slow_one_are_taken_back_and_keep_their_places() {
    let (pool, profile) = quick(config(1), 1).await;
    let (front, calls, worker) = behind(&pool, &profile, &["gate"; 3]).await;
    let last = begin(&pool, "gate").await;
    tokio::time::sleep(Duration::from_millis(10)).await;
    assert_eq!(worker.recalls(), 3);
    let status = pool.status();
    assert_eq!((status.in_flight, status.queue_depth), (1, 4));
    // One after the other, in order of arrival.
    profile.allow(1);
    front.await.unwrap().unwrap();
    for call in calls.into_iter().chain([last]) {
        until(|| worker.running() == 1).await;
        assert!(!call.is_finished());
        profile.allow(1);
        call.await.unwrap().unwrap();
    }
    balanced(&pool.status());
}

#[tokio::test(start_paused = true)]
async fn a_call_behind_a_slow_one_goes_to_another_slot() {
    let (pool, profile) = quick(config(2), 1).await;
    let (one, other) = (begin(&pool, "gate").await, begin(&pool, "gate").await);
    let mut calls = Vec::new();
    for _ in 0..6 {
        calls.push(begin(&pool, "gate").await);
    }
    profile.allow(1);
    let ahead = || -> usize { profile.workers().iter().map(|it| it.sent_ahead()).sum() };
    until(|| ahead() == 4).await;
    // Two have slots, four are behind one of them; the other slot is kept for a call that still
    // waits.
    assert_eq!((pool.status().in_flight, pool.status().queue_depth), (2, 5));
    tokio::time::sleep(Duration::from_millis(10)).await;
    let recalls: usize = profile.workers().iter().map(|it| it.recalls()).sum();
    assert_eq!(recalls, 4);
    profile.allow(7);
    all(calls).await;
    all(vec![one, other]).await;
    balanced(&pool.status());
}

#[tokio::test(start_paused = true)]
async fn a_call_that_was_not_begun_survives_its_worker() {
    let mut config = config(1);
    config.quarantine = Some(QuarantinePolicy::default());
    config.retry = Some(RetryPolicy::default());
    let (pool, profile) = quick(config, 1).await;
    let (front, calls, worker) = behind(&pool, &profile, &["gate"; 3]).await;
    worker.die("killed by signal 11 (SIGSEGV)", false);
    let error = front.await.unwrap().unwrap_err();
    assert!(matches!(error, Error::WorkerDied { .. }), "{error:?}");
    profile.allow(3);
    all(calls).await;
    let status = pool.status();
    assert_eq!(
        (status.retries, status.errors, status.succeeded),
        (0, 1, 24)
    );
    assert_eq!(status.quarantined, 0);
    balanced(&status);
}

#[tokio::test(start_paused = true)]
async fn a_call_that_its_caller_drops_is_taken_back_and_the_one_in_front_goes_on() {
    let (pool, profile) = quick(config(1), 1).await;
    let before = begin(&pool, "gate").await;
    let front = begin(&pool, "gate").await;
    let mut dropped = Box::pin(call(&pool, "gate"));
    assert!(futures_util::poll!(&mut dropped).is_pending());
    let last = begin(&pool, "gate").await;
    let worker = profile.workers().remove(0);
    profile.allow(1);
    before.await.unwrap().unwrap();
    // The call is sent, and the next one behind it.
    until(|| {
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        assert!(dropped.as_mut().poll(&mut context).is_pending());
        worker.sent_ahead() == 2
    })
    .await;
    drop(dropped);
    until(|| worker.recalls() == 1).await;
    let status = pool.status();
    assert_eq!(
        (status.in_flight, status.queue_depth, status.cancelled),
        (1, 1, 1)
    );
    assert_eq!((worker.running(), worker.calls()), (1, 2));
    profile.allow(2);
    all(vec![front, last]).await;
    assert_eq!(worker.calls(), 3);
    balanced(&pool.status());
}

#[tokio::test(start_paused = true)]
async fn a_call_that_has_begun_by_then_is_cancelled_like_any_other() {
    let (pool, profile) = quick(config(1), 1).await;
    profile.hold_recalls();
    let (front, _, worker) = behind(&pool, &profile, &["hang"]).await;
    let options = CallOptions::new().timeout(Duration::from_secs(1));
    let late = begin_with(&pool, "hang", options).await;
    profile.allow(1);
    front.await.unwrap().unwrap();
    until(|| worker.running() == 1).await;
    profile.answer_recalls();
    assert!(late.await.unwrap().is_err());
    assert!(worker.is_alive());
}

#[tokio::test(start_paused = true)]
async fn strict_sessions_streams_and_large_arguments_are_not_sent_ahead() {
    let (pool, profile) = quick(config(1), 1).await;
    let strict = || {
        CallOptions::new()
            .session("s")
            .affinity(Affinity::StrictQueue)
    };
    // Behind no other call, and no other call behind it.
    let before = begin(&pool, "gate").await;
    let one = begin_with(&pool, "gate", strict()).await;
    let two = begin(&pool, "gate").await;
    let three = begin_with(&pool, "gate", strict()).await;
    let clone = pool.clone();
    let mut stream = Box::pin(async move {
        clone
            .execute_stream("echo", payload(1), &CallOptions::new())
            .await
    });
    assert!(futures_util::poll!(&mut stream).is_pending());
    let large = Payload::encode(&"x".repeat(20_000)).unwrap();
    let options = CallOptions::new();
    let mut large = Box::pin(pool.execute("echo", large, &options));
    assert!(futures_util::poll!(&mut large).is_pending());
    profile.allow(4);
    all(vec![before, one, two, three]).await;
    let mut stream = stream.await.unwrap();
    assert!(stream.next().await.unwrap().is_ok());
    assert!(stream.next().await.is_none());
    large.await.unwrap();
    assert_eq!(profile.workers()[0].sent_ahead(), 0);
    balanced(&pool.status());
}

#[tokio::test(start_paused = true)]
async fn a_worker_is_recycled_and_loses_none() {
    let mut config = config(1);
    config.recycle.max_requests = Some(20);
    config.recycle.jitter = 0.0;
    config.recycle.min_lifetime = Duration::ZERO;
    let (pool, profile) = quick(config, 1).await;
    profile.allow(200);
    for round in 1..6 {
        let mut calls = Vec::new();
        for _ in 0..30 {
            calls.push(begin(&pool, "gate").await);
        }
        all(calls).await;
        // Its replacement takes over in the meantime.
        tokio::time::sleep(LONG).await;
        assert!(profile.starts() > round, "{}", profile.starts());
    }
    assert_eq!(pool.status().succeeded, 170);
    balanced(&pool.status());
}

#[tokio::test(start_paused = true)]
async fn closing_leaves_no_call_without_an_outcome() {
    let (pool, profile) = quick(config(1), 1).await;
    let (front, mut calls, _worker) = behind(&pool, &profile, &["gate"; 6]).await;
    let clone = pool.clone();
    let closing = begin_close(clone);
    calls.push(front);
    let mut closed = 0;
    for call in calls {
        closed += usize::from(call.await.unwrap().is_err());
    }
    assert!(closed > 0);
    closing.await.unwrap();
    assert_eq!(pool.status().queue_depth, 0);
    balanced(&pool.status());
}

fn begin_close(pool: Pool) -> JoinHandle<()> {
    tokio::runtime::Handle::current().spawn(async move { pool.close().await })
}
