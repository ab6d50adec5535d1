//! Calls that were sent ahead of their turn come back, independent of their callers.
#![expect(
    clippy::unwrap_used,
    reason = "a helper of a test may panic like the test"
)]

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use snakepit_core::error::Error;
use snakepit_core::pool::Pool;
use snakepit_core::testing::{ScriptedProfile, ScriptedWorker};
use tokio::time::{Instant, sleep, timeout};

use crate::ahead::{Call, all, behind, quick};
use crate::support::{LONG, balanced, begin, call, config, until};

/// Polls a future once, without letting other tasks run in between.
pub(crate) fn poll<F: Future + ?Sized>(future: &mut Pin<Box<F>>) -> Poll<F::Output> {
    future
        .as_mut()
        .poll(&mut Context::from_waker(Waker::noop()))
}

/// Like [`behind`], with a call in front that runs the tool `front`.
async fn behind_of(
    pool: &Pool,
    profile: &ScriptedProfile,
    front: &'static str,
    tools: &[&'static str],
) -> (Call, Vec<Call>, Arc<ScriptedWorker>) {
    let before = begin(pool, "gate").await;
    let front = begin(pool, front).await;
    let mut calls = Vec::new();
    for tool in tools {
        calls.push(begin(pool, tool).await);
    }
    let worker = profile.workers().remove(0);
    profile.allow(1);
    before.await.unwrap().unwrap();
    until(|| worker.sent_ahead() == tools.len().min(4) && worker.running() == 1).await;
    (front, calls, worker)
}

#[tokio::test(start_paused = true)]
async fn nothing_behind_a_call_that_leaves_an_unknown_state_is_begun() {
    let (pool, profile) = quick(config(1), 1).await;
    let (front, calls, worker) = behind_of(&pool, &profile, "interrupted", &["gate"; 4]).await;
    profile.allow(4);
    front.abort();
    all(calls).await;
    // The call in front was interrupted only after they had come back.
    assert_eq!((worker.calls(), worker.recalls()), (2, 4));
    assert_eq!(profile.starts(), 2);
    balanced(&pool.status());
}

#[tokio::test(start_paused = true)]
async fn they_come_back_although_their_callers_do_not_look() {
    let (pool, profile) = quick(config(1), 1).await;
    let before = begin(&pool, "gate").await;
    let front = begin(&pool, "interrupted").await;
    let mut asleep = Box::pin(call(&pool, "gate"));
    assert!(poll(&mut asleep).is_pending());
    let worker = profile.workers().remove(0);
    profile.allow(1);
    before.await.unwrap().unwrap();
    until(|| {
        assert!(poll(&mut asleep).is_pending());
        worker.sent_ahead() == 1 && worker.running() == 1
    })
    .await;
    let began = Instant::now();
    front.abort();
    until(|| worker.running() == 0).await;
    assert!(
        began.elapsed() < Duration::from_millis(1),
        "no cancellation waits for them"
    );
    assert!(worker.recalls() > 0 && worker.calls() == 2);
    profile.allow(1);
    asleep.await.unwrap();
    assert_eq!((worker.calls(), profile.starts()), (2, 2));
    balanced(&pool.status());
}

#[tokio::test(start_paused = true)]
async fn one_that_is_on_its_way_to_the_worker_comes_back_too() {
    let (pool, profile) = quick(config(1), 1).await;
    let before = begin(&pool, "gate").await;
    let front = begin(&pool, "interrupted").await;
    let mut asleep = Box::pin(call(&pool, "gate"));
    assert!(poll(&mut asleep).is_pending());
    let worker = profile.workers().remove(0);
    profile.allow(1);
    before.await.unwrap().unwrap();
    until(|| worker.running() == 1 && worker.calls() == 2).await;
    // The call has its place behind the one in front, but its caller does not know yet.
    front.abort();
    until(|| worker.running() == 0).await;
    profile.allow(1);
    timeout(LONG, asleep).await.unwrap().unwrap();
    assert_eq!((worker.calls(), profile.starts()), (2, 2));
    balanced(&pool.status());
}

#[tokio::test(start_paused = true)]
async fn what_lies_in_the_other_slots_of_such_a_worker_comes_back_at_once() {
    let (pool, profile) = quick(config(1), 2).await;
    let interrupted = begin(&pool, "interrupted").await;
    let (front, calls, worker) = behind_of_two(&pool, &profile).await;
    let began = Instant::now();
    interrupted.abort();
    until(|| worker.recalls() == 4).await;
    assert!(began.elapsed() < Duration::from_millis(1));
    profile.allow(7);
    front.await.unwrap().unwrap();
    all(calls).await;
    assert_eq!((worker.calls(), profile.starts()), (3, 2));
    balanced(&pool.status());
}

/// Puts four calls behind one in a slot, beside another call; two more wait.
async fn behind_of_two(
    pool: &Pool,
    profile: &ScriptedProfile,
) -> (Call, Vec<Call>, Arc<ScriptedWorker>) {
    let before = begin(pool, "gate").await;
    let front = begin(pool, "gate").await;
    let mut calls = Vec::new();
    for _ in 0..4 {
        calls.push(begin(pool, "gate").await);
    }
    // Calls that could run in the other slot wait for it.
    let mut more = Vec::new();
    for _ in 0..2 {
        more.push(begin(pool, "gate").await);
    }
    let worker = profile.workers().remove(0);
    profile.allow(1);
    before.await.unwrap().unwrap();
    until(|| worker.sent_ahead() == 4 && worker.running() == 2).await;
    for call in more {
        call.abort();
    }
    until(|| pool.status().queue_depth == 4).await;
    (front, calls, worker)
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_is_recycled_gives_them_to_its_replacement_at_once() {
    let (pool, profile) = quick(config(1), 1).await;
    let (front, calls, worker) = behind(&pool, &profile, &["gate"; 3]).await;
    let began = Instant::now();
    pool.recycle(worker.id()).await.unwrap();
    let next = profile.workers().pop().unwrap();
    until(|| next.running() == 1).await;
    assert!(began.elapsed() < Duration::from_millis(1));
    assert_eq!((worker.running(), worker.recalls()), (1, 3));
    profile.allow(4);
    front.await.unwrap().unwrap();
    all(calls).await;
    assert_eq!((worker.calls(), next.calls()), (2, 3));
    balanced(&pool.status());
}

#[tokio::test(start_paused = true)]
async fn a_surplus_worker_gives_them_back() {
    let (pool, profile) = quick(config(2), 1).await;
    let other = begin(&pool, "gate").await;
    let (front, calls, _) = {
        let before = begin(&pool, "gate").await;
        let front = begin(&pool, "gate").await;
        let mut calls = Vec::new();
        for _ in 0..6 {
            calls.push(begin(&pool, "gate").await);
        }
        profile.allow(1);
        (before, calls, front)
    };
    let ahead = || -> usize { profile.workers().iter().map(|it| it.sent_ahead()).sum() };
    until(|| ahead() >= 4).await;
    let began = Instant::now();
    pool.resize(1).await.unwrap();
    let drained = || profile.workers().into_iter().find(|it| it.recalls() > 0);
    if let Some(worker) = drained() {
        until(|| worker.recalls() == worker.sent_ahead()).await;
    }
    assert!(began.elapsed() < Duration::from_millis(1));
    profile.allow(20);
    all(calls).await;
    all(vec![front, other]).await;
    until(|| pool.status().ready == 1).await;
    balanced(&pool.status());
}

#[tokio::test(start_paused = true)]
async fn a_pool_that_closes_refuses_them_while_the_one_in_front_runs() {
    let (pool, profile) = quick(config(1), 1).await;
    let (front, calls, worker) = behind(&pool, &profile, &["gate"; 6]).await;
    let (began, clone) = (Instant::now(), pool.clone());
    let runtime = tokio::runtime::Handle::current();
    let closing = runtime.spawn(async move { clone.close().await });
    for call in calls {
        assert!(matches!(call.await.unwrap(), Err(Error::Closed(_))));
    }
    assert!(began.elapsed() < Duration::from_millis(1));
    assert_eq!((worker.running(), pool.status().queue_depth), (1, 0));
    profile.allow(1);
    front.await.unwrap().unwrap();
    closing.await.unwrap();
    balanced(&pool.status());
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_gives_nothing_back_delays_no_cancellation_for_long() {
    let (pool, profile) = quick(config(1), 1).await;
    let (front, calls, worker) = behind(&pool, &profile, &["gate"; 3]).await;
    profile.hold_recalls();
    let began = Instant::now();
    front.abort();
    until(|| pool.status().cancelled == 1).await;
    sleep(pool.config().cancel_grace / 2).await;
    // The call was cancelled, and the next one has its turn.
    until(|| worker.calls() == 3).await;
    assert!(began.elapsed() < pool.config().cancel_grace);
    profile.allow(3);
    all(calls).await;
    assert!(worker.is_alive());
    balanced(&pool.status());
}

#[tokio::test(start_paused = true)]
async fn a_caller_that_leaves_while_its_call_comes_back_costs_no_worker() {
    let (pool, profile) = quick(config(1), 1).await;
    profile.hold_answers();
    let (front, mut calls, worker) = behind(&pool, &profile, &["gate"]).await;
    // The call in front is slow: the one behind it is recalled, but not reported back yet.
    sleep(Duration::from_millis(10)).await;
    assert_eq!(worker.recalls(), 1);
    profile.allow(1);
    front.await.unwrap().unwrap();
    calls.remove(0).abort();
    until(|| pool.status().cancelled == 1).await;
    profile.release_answers();
    until(|| pool.status().in_flight == 0).await;
    sleep(LONG).await;
    assert!(worker.is_alive());
    assert_eq!((worker.calls(), profile.starts()), (2, 1));
    balanced(&pool.status());
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_comes_after_its_turn_is_heard() {
    let (pool, profile) = quick(config(1), 1).await;
    profile.hold_answers();
    let (front, calls, worker) = behind(&pool, &profile, &["gate"; 2]).await;
    sleep(Duration::from_millis(10)).await;
    profile.allow(3);
    front.await.unwrap().unwrap();
    // Both have come back, and have had their turn meanwhile, as far as the pool knows.
    sleep(Duration::from_secs(3)).await;
    assert_eq!(worker.calls(), 2);
    profile.release_answers();
    all(calls).await;
    assert_eq!((worker.calls(), profile.starts()), (4, 1));
    balanced(&pool.status());
}
