//! Starting, replacing, giving up, resizing.

use std::time::Duration;

use snakepit_core::error::{Error, Phase};
use snakepit_core::pool::PoolState;
use snakepit_core::testing::{Script, ScriptedProfile};

use crate::support::{LONG, balanced, begin, call, config, ready, start, until};

#[tokio::test(start_paused = true)]
async fn failed_starts_are_tried_again_with_growing_waits() {
    let fail = || Script::Fail { permanent: false };
    let profile = ScriptedProfile::new(1)
        .then(fail())
        .then(fail())
        .then(fail());
    let before = tokio::time::Instant::now();
    let pool = ready(config(1), &profile).await;
    assert_eq!(before.elapsed().as_millis() / 100, 7, "100 + 200 + 400 ms");
    assert_eq!((profile.starts(), pool.status().start_failures), (4, 3));
}

#[tokio::test(start_paused = true)]
async fn a_permanent_failure_is_told_at_once_and_a_later_start_heals() {
    let profile = ScriptedProfile::new(1).then(Script::Fail { permanent: true });
    let pool = start(config(1), &profile);
    let before = tokio::time::Instant::now();
    assert!(matches!(
        pool.await_all_ready(LONG).await,
        Err(Error::Start { .. })
    ));
    assert!(before.elapsed() < Duration::from_millis(10));
    let window = pool.config().restart.window;
    tokio::time::timeout(window + Duration::from_secs(1), async {
        while call(&pool, "echo").await.is_err() {
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    })
    .await
    .unwrap();
    assert!(before.elapsed() + Duration::from_secs(2) >= window);
}

#[tokio::test(start_paused = true)]
async fn a_pool_whose_workers_keep_dying_gives_up() {
    let profile = ScriptedProfile::new(1);
    let mut config = config(1);
    config.restart.max_restarts = 3;
    let pool = ready(config, &profile).await;
    profile.otherwise(Script::Die);
    call(&pool, "die").await.unwrap_err();
    let waiting = begin(&pool, "echo").await;
    assert!(waiting.await.unwrap().is_err());
    let mut errors = 0;
    while pool.status().state != PoolState::GaveUp {
        call(&pool, "echo").await.unwrap_err();
        errors += 1;
        assert!(errors < 20);
    }
    assert!(matches!(
        call(&pool, "echo").await,
        Err(Error::Start { .. })
    ));
    assert_eq!(profile.starts(), 4, "one and three replacements");
    profile.otherwise(Script::Ready);
    pool.resize(2).await.unwrap();
    call(&pool, "echo").await.unwrap();
    assert_eq!(pool.status().start_error, None);
    balanced(&pool.status());
}

#[tokio::test(start_paused = true)]
async fn starting_is_limited_in_number_and_time() {
    let profile = ScriptedProfile::new(1);
    profile.otherwise(Script::Hang);
    let mut config = config(10);
    config.start_concurrency = 3;
    let pool = start(config, &profile);
    profile.started(3).await;
    assert_eq!(pool.status().starting, 3);
    let error = pool
        .await_all_ready(Duration::from_secs(1))
        .await
        .unwrap_err();
    assert!(matches!(
        error,
        Error::Timeout {
            phase: Phase::Start,
            ..
        }
    ));
    assert_eq!(profile.starts(), 3);
    profile.otherwise(Script::Ready);
    pool.await_all_ready(LONG).await.unwrap();
    assert_eq!(pool.workers().len(), 10);
}

#[tokio::test(start_paused = true)]
async fn a_pool_grows_and_shrinks() {
    let profile = ScriptedProfile::new(1);
    let pool = ready(config(1), &profile).await;
    pool.resize(4).await.unwrap();
    until(|| profile.workers().len() == 4).await;
    until(|| pool.status().ready == 4).await;
    let busy = begin(&pool, "gate").await;
    pool.resize(1).await.unwrap();
    until(|| profile.workers().len() == 1).await;
    assert_eq!(pool.status().ready, 1, "the busy worker stays");
    profile.allow(1);
    busy.await.unwrap().unwrap();
    assert!(pool.resize(0).await.is_err());
    balanced(&pool.status());
}

#[tokio::test(start_paused = true)]
async fn an_idle_worker_that_dies_is_replaced() {
    let profile = ScriptedProfile::new(1);
    let pool = ready(config(2), &profile).await;
    tokio::time::advance(Duration::from_secs(5)).await;
    profile.workers()[0].die("killed by signal 9", false);
    until(|| profile.starts() == 3).await;
    call(&pool, "echo").await.unwrap();
    assert_eq!(pool.status().restarts, 1);
}
