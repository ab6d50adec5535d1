//! `execute_many`.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use futures_util::StreamExt;
use snakepit_core::call::CallOptions;
use snakepit_core::error::Error;
use snakepit_core::testing::ScriptedProfile;

use crate::support::{balanced, begin, call, config, payload, ready, until};

#[tokio::test(start_paused = true)]
async fn one_result_for_each_item_in_order() {
    let pool = ready(config(3), &ScriptedProfile::new(1)).await;
    let mut results = pool.execute_many("echo", (0..10_000).map(payload), &CallOptions::new());
    for n in 0..10_000 {
        assert_eq!(results.next().await.unwrap().unwrap(), payload(n));
    }
    assert!(results.next().await.is_none());
    assert!(results.next().await.is_none());
    let status = pool.status();
    assert_eq!(
        (status.requests, status.succeeded, status.in_flight),
        (10_000, 10_000, 0)
    );
    balanced(&status);
}

#[tokio::test(start_paused = true)]
async fn items_are_taken_lazily() {
    let pool = ready(config(1), &ScriptedProfile::new(1)).await;
    let taken = Arc::new(AtomicU64::new(0));
    let counter = Arc::clone(&taken);
    let items = (0..).map(move |n| {
        counter.fetch_add(1, Ordering::SeqCst);
        payload(n)
    });
    let mut results = pool.execute_many("echo", items, &CallOptions::new());
    assert_eq!(taken.load(Ordering::SeqCst), 0);
    results.next().await.unwrap().unwrap();
    assert!(taken.load(Ordering::SeqCst) <= 2);
}

#[tokio::test(start_paused = true)]
async fn a_failed_item_does_not_harm_the_others() {
    let pool = ready(config(1), &ScriptedProfile::new(1)).await;
    let results: Vec<_> = pool
        .execute_many("fail", (0..5).map(payload), &CallOptions::new())
        .collect()
        .await;
    assert_eq!(results.len(), 5);
    assert!(results.iter().all(Result::is_err));
    assert_eq!(pool.status().errors, 5);
    balanced(&pool.status());
}

#[tokio::test(start_paused = true)]
async fn a_dead_worker_costs_only_its_batch() {
    let pool = ready(config(1), &ScriptedProfile::new(1)).await;
    let results: Vec<_> = pool
        .execute_many("die", (0..3).map(payload), &CallOptions::new())
        .collect()
        .await;
    assert_eq!(results.len(), 3);
    assert!(
        results
            .iter()
            .all(|result| matches!(result, Err(Error::WorkerDied { .. })))
    );
    call(&pool, "echo").await.unwrap();
    balanced(&pool.status());
}

#[tokio::test(start_paused = true)]
async fn batches_wait_when_the_queue_is_full() {
    let profile = ScriptedProfile::new(1);
    let mut config = config(1);
    config.queue_limit = 0;
    let pool = ready(config, &profile).await;
    let first = begin(&pool, "gate").await;
    let mut results = pool.execute_many("echo", (0..3).map(payload), &CallOptions::new());
    assert!(futures_util::poll!(results.next()).is_pending());
    until(|| pool.status().queue_depth > 0).await;
    profile.allow(1);
    first.await.unwrap().unwrap();
    assert_eq!(results.collect::<Vec<_>>().await.len(), 3);
}

#[tokio::test(start_paused = true)]
async fn dropping_the_stream_cancels_its_batches() {
    let profile = ScriptedProfile::new(1);
    let pool = ready(config(1), &profile).await;
    let mut results = pool.execute_many("hang", (0..3).map(payload), &CallOptions::new());
    assert!(futures_util::poll!(results.next()).is_pending());
    until(|| pool.status().requests == 2).await;
    drop(results);
    until(|| pool.status().in_flight == 0 && pool.status().queue_depth == 0).await;
    call(&pool, "echo").await.unwrap();
    assert_eq!(profile.starts(), 1);
    balanced(&pool.status());
}
