//! Waiting for one worker, and for all of them.

use std::time::Duration;

use snakepit_core::error::{Error, Phase};
use snakepit_core::testing::{Script, ScriptedProfile};

use crate::support::{LONG, call, config, ready, start};

/// Time of a slow start: less than `start_timeout`.
const SLOW: Duration = Duration::from_secs(5);

fn times_out(result: &Result<(), Error>) -> bool {
    matches!(
        result,
        Err(Error::Timeout {
            phase: Phase::Start,
            ..
        })
    )
}

#[tokio::test(start_paused = true)]
async fn one_ready_worker_and_all_of_them_are_awaited_separately() {
    let profile = ScriptedProfile::new(1)
        .then(Script::Ready)
        .then(Script::Slow(SLOW));
    let pool = start(config(2), &profile);
    pool.await_ready(LONG).await.unwrap();
    assert!(times_out(&pool.await_all_ready(SLOW / 2).await));
    call(&pool, "echo").await.unwrap();
    pool.await_all_ready(LONG).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn after_a_death_all_workers_are_ready_again_once_the_replacement_is() {
    let profile = ScriptedProfile::new(1);
    let pool = ready(config(2), &profile).await;
    profile.otherwise(Script::Slow(SLOW));
    call(&pool, "die").await.unwrap_err();
    profile.started(3).await;
    pool.await_ready(Duration::ZERO).await.unwrap();
    assert!(times_out(&pool.await_all_ready(SLOW / 2).await));
    pool.await_all_ready(LONG).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_pool_without_workers_is_ready_once_one_has_started() {
    let profile = ScriptedProfile::new(1);
    let pool = ready(config(1), &profile).await;
    profile.otherwise(Script::Slow(SLOW));
    call(&pool, "die").await.unwrap_err();
    profile.started(2).await;
    assert!(times_out(&pool.await_ready(SLOW / 2).await));
    pool.await_ready(LONG).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_pool_that_has_given_up_is_ready_again_after_a_good_start() {
    let profile = ScriptedProfile::new(1).then(Script::Fail { permanent: true });
    let pool = start(config(1), &profile);
    for failed in [
        pool.await_ready(LONG).await,
        pool.await_all_ready(LONG).await,
    ] {
        assert!(matches!(failed, Err(Error::Start { .. })));
    }
    pool.resize(1).await.unwrap();
    pool.await_ready(LONG).await.unwrap();
    pool.await_all_ready(LONG).await.unwrap();
    pool.close().await;
    for closed in [
        pool.await_ready(LONG).await,
        pool.await_all_ready(LONG).await,
    ] {
        assert!(matches!(closed, Err(Error::Closed(_))));
    }
}
