//! Calls ahead of their turn and their timeouts, and a random test of all of it.

use std::time::Duration;

use snakepit_core::call::CallOptions;
use snakepit_core::error::{Error, Phase};
use snakepit_core::policy::{QuarantinePolicy, RetryPolicy};
use tokio::time::Instant;

use crate::ahead::quick;
use crate::ahead_back::poll;
use crate::support::{LONG, balanced, begin, begin_with, call, config, until};

const QUEUE: Duration = Duration::from_millis(500);

fn impatient() -> CallOptions {
    CallOptions::new().queue_timeout(QUEUE)
}

fn timed_out(error: &Error, expected: Phase) -> bool {
    matches!(error, Error::Timeout { phase, after, .. } if *phase == expected && *after == QUEUE)
}

#[tokio::test(start_paused = true)]
async fn the_time_in_the_queue_runs_on_and_the_worker_decides_at_its_end() {
    let (pool, profile) = quick(config(1), 1).await;
    profile.hold_recalls();
    let before = begin(&pool, "gate").await;
    let front = begin(&pool, "gate").await;
    let start = Instant::now();
    let late = begin_with(&pool, "gate", impatient()).await;
    let worker = profile.workers().remove(0);
    profile.allow(1);
    before.await.unwrap().unwrap();
    until(|| worker.sent_ahead() == 1).await;
    tokio::time::sleep_until(start + QUEUE).await;
    profile.answer_recalls();
    let error = late.await.unwrap().unwrap_err();
    assert!(timed_out(&error, Phase::Queue), "{error:?}");
    assert!(error.is_retryable() && start.elapsed() < QUEUE * 2);
    assert_eq!((pool.status().queue_depth, pool.status().in_flight), (0, 1));
    profile.allow(2);
    front.await.unwrap().unwrap();
    assert_eq!((pool.status().queue_timeouts, worker.calls()), (1, 2));
    balanced(&pool.status());
}

#[tokio::test(start_paused = true)]
async fn a_call_that_may_have_begun_is_not_said_to_have_waited_in_vain() {
    let (pool, profile) = quick(config(1), 1).await;
    profile.hold_recalls();
    let before = begin(&pool, "gate").await;
    let front = begin(&pool, "gate").await;
    let start = Instant::now();
    let late = begin_with(&pool, "gate", impatient()).await;
    let worker = profile.workers().remove(0);
    profile.allow(1);
    before.await.unwrap().unwrap();
    until(|| worker.sent_ahead() == 1).await;
    // The worker does not answer the recall.
    let error = late.await.unwrap().unwrap_err();
    assert!(timed_out(&error, Phase::Call), "{error:?}");
    assert!(!error.is_retryable());
    assert!(start.elapsed() < QUEUE + Duration::from_millis(300));
    assert_eq!(
        pool.status().queue_depth,
        1,
        "its place is not free before that"
    );
    profile.answer_recalls();
    until(|| pool.status().queue_depth == 0).await;
    profile.allow(1);
    front.await.unwrap().unwrap();
    assert_eq!(pool.status().call_timeouts, 1);
    balanced(&pool.status());
}

#[tokio::test(start_paused = true)]
async fn one_that_has_begun_by_then_has_had_its_turn() {
    let (pool, profile) = quick(config(1), 1).await;
    profile.hold_recalls();
    let before = begin(&pool, "gate").await;
    let mut front = Box::pin(call(&pool, "gate"));
    assert!(poll(&mut front).is_pending());
    let late = begin_with(&pool, "gate", impatient()).await;
    let worker = profile.workers().remove(0);
    profile.allow(1);
    before.await.unwrap().unwrap();
    until(|| {
        assert!(poll(&mut front).is_pending());
        worker.sent_ahead() == 1
    })
    .await;
    // The caller of the call in front does not poll, so the pool does not know of its end.
    profile.allow(1);
    until(|| worker.calls() == 3).await;
    profile.answer_recalls();
    tokio::time::sleep(QUEUE * 2).await;
    assert!(!late.is_finished());
    profile.allow(1);
    late.await.unwrap().unwrap();
    front.await.unwrap();
    assert_eq!(pool.status().queue_timeouts, 0);
    balanced(&pool.status());
}

/// A small generator, so that a failure can be reproduced.
fn numbers(seed: u64) -> impl FnMut(u64) -> u64 {
    let mut state = seed;
    move |below| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % below
    }
}

#[tokio::test(start_paused = true)]
async fn whatever_happens_every_call_has_one_outcome_and_no_slot_is_lost() {
    for seed in 0..40 {
        let mut number = numbers(seed);
        let slots = 1 + u16::try_from(number(2)).unwrap();
        let mut config = config(1 + usize::try_from(number(2)).unwrap());
        config.restart.max_restarts = 1000;
        config.recycle.max_requests = Some(100 + u32::try_from(number(100)).unwrap() as u64);
        config.queue_timeout = LONG * 100;
        if seed % 2 == 0 {
            config.quarantine = Some(QuarantinePolicy::default());
            config.retry = Some(RetryPolicy::default());
        }
        let workers = config.workers;
        let (pool, profile) = quick(config, slots).await;
        let mut calls = Vec::new();
        let mut left = Vec::new();
        for _ in 0..300 {
            match number(40) {
                0 => calls.push(begin(&pool, "nap").await),
                1 => calls.push(begin(&pool, "die").await),
                2 => {
                    let time = Duration::from_micros(100 + number(5000));
                    let options = CallOptions::new().timeout(time);
                    calls.push(begin_with(&pool, "hang", options).await);
                }
                3 => {
                    let mut gone = Box::pin(async { call(&pool, "gate").await });
                    for _ in 0..=number(6) {
                        if futures_util::poll!(&mut gone).is_ready() {
                            break;
                        }
                        tokio::task::yield_now().await;
                    }
                }
                4 => drop(left.pop()),
                5 => left.push(begin(&pool, "echo").await),
                6 => profile.allow(1),
                7 => begin(&pool, "interrupted").await.abort(),
                8 => {
                    let time = Duration::from_micros(100 + number(20_000));
                    let options = CallOptions::new().queue_timeout(time).idempotent();
                    calls.push(begin_with(&pool, "gate", options).await);
                }
                9 => profile.hold_answers(),
                10 => profile.hold_recalls(),
                11..=14 => {
                    profile.release_answers();
                    profile.answer_recalls();
                }
                15 => {
                    let workers = profile.workers();
                    let n = usize::try_from(number(8)).unwrap();
                    if let Some(worker) = workers.get(n) {
                        let (pool, id) = (pool.clone(), worker.id().clone());
                        let runtime = tokio::runtime::Handle::current();
                        drop(runtime.spawn(async move { pool.recycle(&id).await }));
                    }
                }
                16 => tokio::time::sleep(Duration::from_micros(number(5000))).await,
                _ => {
                    profile.allow(1);
                    calls.push(begin(&pool, "gate").await);
                }
            }
        }
        profile.allow(1000);
        profile.release_answers();
        profile.answer_recalls();
        for call in calls.into_iter().chain(left) {
            drop(call.await.unwrap());
        }
        let whole = || {
            let status = pool.status();
            (status.in_flight, status.queue_depth, status.ready) == (0, 0, workers)
        };
        for _ in 0..1000 {
            if whole() {
                break;
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        assert!(whole(), "{seed} {:?}", pool.status());
        balanced(&pool.status());
        tokio::time::timeout(LONG, pool.close()).await.unwrap();
    }
}
