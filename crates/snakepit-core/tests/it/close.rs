//! The end of a pool.

use snakepit_core::error::Error;
use snakepit_core::pool::PoolState;
use snakepit_core::testing::{Script, ScriptedProfile};

use crate::support::{LONG, balanced, begin, call, config, ready, start, until};

#[tokio::test(start_paused = true)]
async fn running_calls_end_and_waiting_ones_fail() {
    let profile = ScriptedProfile::new(1);
    let pool = ready(config(1), &profile).await;
    let running = begin(&pool, "gate").await;
    let waiting = begin(&pool, "echo").await;
    let mut close = Box::pin(pool.close());
    assert!(futures_util::poll!(&mut close).is_pending());
    assert!(matches!(waiting.await.unwrap(), Err(Error::Closed(_))));
    assert!(matches!(call(&pool, "echo").await, Err(Error::Closed(_))));
    profile.allow(1);
    running.await.unwrap().unwrap();
    close.await;
    pool.close().await;
    assert!(profile.workers().is_empty());
    assert_eq!(pool.status().state, PoolState::Closed);
    assert!(matches!(
        pool.await_all_ready(LONG).await,
        Err(Error::Closed(_))
    ));
    balanced(&pool.status());
}

#[tokio::test(start_paused = true)]
async fn a_stuck_call_does_not_hold_the_end_up() {
    let profile = ScriptedProfile::new(1);
    let pool = ready(config(1), &profile).await;
    let running = begin(&pool, "stuck").await;
    let start = tokio::time::Instant::now();
    pool.close().await;
    assert_eq!(
        start.elapsed().as_secs(),
        pool.config().drain_timeout.as_secs()
    );
    assert!(matches!(
        running.await.unwrap(),
        Err(Error::WorkerDied { .. })
    ));
    balanced(&pool.status());
}

#[tokio::test(start_paused = true)]
async fn dropping_the_last_handle_ends_the_workers() {
    let profile = ScriptedProfile::new(1);
    let pool = ready(config(3), &profile).await;
    let clone = pool.clone();
    drop(pool);
    call(&clone, "echo").await.unwrap();
    drop(clone);
    until(|| profile.workers().is_empty()).await;
}

#[tokio::test(start_paused = true)]
async fn a_pool_closes_while_workers_start() {
    let profile = ScriptedProfile::new(1);
    profile.otherwise(Script::Hang);
    let pool = start(config(1), &profile);
    profile.started(1).await;
    pool.close().await;
    assert_eq!(pool.status().starting, 0);
}
