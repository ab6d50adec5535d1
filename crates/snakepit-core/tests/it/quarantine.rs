//! Calls that kill workers.

use std::time::Duration;

use futures_util::StreamExt;
use snakepit_core::testing::ScriptedProfile;
use snakepit_core::{
    CallOptions, Death, Error, ErrorCode, ExitStatus, Pool, PoolConfig, QuarantinePolicy,
    WorkerExit,
};

use crate::support::{LONG, balanced, begin_with, call, config, payload, ready, until};

fn strict(workers: usize) -> PoolConfig {
    let mut config = config(workers);
    config.quarantine = Some(QuarantinePolicy::default());
    config.restart.max_restarts = 1000;
    config
}

/// Waits until a worker is ready again.
async fn whole(pool: &Pool) {
    for _ in 0..1000 {
        if pool.status().ready == pool.config().workers {
            return;
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    panic!("the workers are not replaced");
}

fn crash() -> WorkerExit {
    let mut exit = WorkerExit::default();
    exit.reason = "killed by signal 11 (SIGSEGV)".into();
    exit.status = ExitStatus::Signal(11);
    exit
}

#[tokio::test(start_paused = true)]
async fn a_call_that_killed_two_workers_is_refused_for_a_while() {
    let profile = ScriptedProfile::new(1);
    let pool = ready(strict(2), &profile).await;
    for _ in 0..2 {
        let error = call(&pool, "die").await.unwrap_err();
        assert_eq!(error.code(), ErrorCode::WorkerDied);
    }
    whole(&pool).await;
    let starts = profile.starts();
    for _ in 0..10 {
        let error = call(&pool, "die").await.unwrap_err();
        assert_eq!(error.code(), ErrorCode::Quarantined);
        assert!(!error.is_retryable());
    }
    assert_eq!(profile.starts(), starts);
    // Other arguments are another call, and so is another tool.
    call(&pool, "echo").await.unwrap();
    let other = pool.execute("die", payload(8), &CallOptions::new()).await;
    assert_eq!(other.unwrap_err().code(), ErrorCode::WorkerDied);
    let status = pool.status();
    assert_eq!(
        (status.quarantined, status.in_quarantine, status.errors),
        (10, 1, 13)
    );
    balanced(&status);

    tokio::time::sleep(Duration::from_secs(601)).await;
    assert_eq!(pool.status().in_quarantine, 0);
    assert_eq!(
        call(&pool, "die").await.unwrap_err().code(),
        ErrorCode::WorkerDied
    );
}

#[tokio::test(start_paused = true)]
async fn without_a_quarantine_nothing_is_refused() {
    let mut config = config(1);
    config.restart.max_restarts = 1000;
    let pool = ready(config, &ScriptedProfile::new(1)).await;
    for _ in 0..5 {
        assert_eq!(
            call(&pool, "die").await.unwrap_err().code(),
            ErrorCode::WorkerDied
        );
        whole(&pool).await;
    }
}

#[tokio::test(start_paused = true)]
async fn calls_in_the_same_worker_share_the_blame_and_finished_ones_have_none() {
    let profile = ScriptedProfile::new(2);
    let pool = ready(strict(1), &profile).await;
    for death in 1..=4 {
        assert_eq!(pool.status().in_quarantine, 0, "before death {death}");
        call(&pool, "echo").await.unwrap();
        let innocent = begin_with(&pool, "hang", CallOptions::new().fingerprint("a")).await;
        let other = begin_with(&pool, "hang", CallOptions::new().fingerprint("b")).await;
        until(|| profile.workers()[0].running() == 2).await;
        profile.workers()[0].end(crash());
        for call in [innocent, other] {
            let error = call.await.unwrap().unwrap_err();
            assert!(
                matches!(
                    error,
                    Error::WorkerDied {
                        cause: Death::Signal(11),
                        ambiguous: true,
                        ..
                    }
                ),
                "{error:?}"
            );
        }
        whole(&pool).await;
    }
    // Four halves each.
    assert_eq!(pool.status().in_quarantine, 2);
    call(&pool, "echo").await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn nobody_is_blamed_for_a_worker_that_the_host_stopped() {
    let profile = ScriptedProfile::new(2);
    let pool = ready(strict(1), &profile).await;
    for _ in 0..4 {
        // The stuck call costs its worker after the grace time; the other one only happens to be there.
        let options = CallOptions::new().timeout(Duration::from_secs(1));
        let stuck = begin_with(&pool, "stuck", options).await;
        let other = begin_with(&pool, "hang", CallOptions::new()).await;
        assert_eq!(
            stuck.await.unwrap().unwrap_err().code(),
            ErrorCode::CallTimeout
        );
        let error = other.await.unwrap().unwrap_err();
        assert!(
            matches!(
                error,
                Error::WorkerDied {
                    cause: Death::Stopped,
                    ..
                }
            ),
            "{error:?}"
        );
        whole(&pool).await;
    }
    assert_eq!(pool.status().in_quarantine, 0);
}

#[tokio::test(start_paused = true)]
async fn a_call_whose_caller_has_gone_is_blamed_too() {
    let profile = ScriptedProfile::new(1);
    let pool = ready(strict(1), &profile).await;
    for _ in 0..2 {
        let options = CallOptions::new()
            .timeout(Duration::from_secs(1))
            .fingerprint("x");
        let call = begin_with(&pool, "stuck", options).await;
        assert_eq!(
            call.await.unwrap().unwrap_err().code(),
            ErrorCode::CallTimeout
        );
        profile.workers()[0].end(crash());
        // Its place is taken by another one, now or after a back-off.
        tokio::time::sleep(Duration::from_secs(1)).await;
        whole(&pool).await;
    }
    let options = CallOptions::new().fingerprint("x");
    let error = pool
        .execute_stream("echo", payload(1), &options)
        .await
        .unwrap_err();
    assert_eq!(error.code(), ErrorCode::Quarantined);
}

#[tokio::test(start_paused = true)]
async fn the_poisonous_item_of_a_batch_is_refused_and_the_others_run() {
    let profile = ScriptedProfile::new(1);
    let pool = ready(strict(1), &profile).await;
    for _ in 0..2 {
        assert!(
            pool.execute("die", payload(3), &CallOptions::new())
                .await
                .is_err()
        );
        whole(&pool).await;
    }
    assert_eq!(pool.status().in_quarantine, 1);
    // The first batches have one item each, so that each death has one culprit.
    let items = [payload(3), payload(4), payload(3)];
    let results: Vec<_> = pool
        .execute_many("die", items, &CallOptions::new())
        .map(|result| result.map_err(|error| error.code()))
        .collect()
        .await;
    assert_eq!(
        results,
        [
            Err(ErrorCode::Quarantined),
            Err(ErrorCode::WorkerDied),
            Err(ErrorCode::Quarantined)
        ]
    );
    pool.await_ready(LONG).await.unwrap();
    balanced(&pool.status());
}
