//! Calls that kill workers.
#![expect(
    clippy::unwrap_used,
    reason = "a helper of a test may panic like the test"
)]

use std::time::Duration;

use futures_util::StreamExt;
use snakepit_core::call::CallOptions;
use snakepit_core::error::{Death, Error, ErrorCode, ExitStatus};
use snakepit_core::policy::{QuarantinePolicy, RetryPolicy};
use snakepit_core::pool::{Pool, PoolConfig};
use snakepit_core::testing::ScriptedProfile;
use snakepit_core::worker::WorkerExit;

use crate::support::{LONG, balanced, begin, begin_with, call, config, payload, ready, until};

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
    // Other arguments make another call, and so does another tool.
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
    let mut config = strict(1);
    config.recycle.max_drain = Duration::from_secs(10);
    let pool = ready(config, &profile).await;
    for _ in 0..4 {
        // The stuck call costs its worker after the grace time; the other one only happens to be
        // there, and exceeds its time.
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
        // Another worker takes its place, now or after a backoff.
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
    // The first batches have one item each, so each death has one culprit.
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
    pool.await_all_ready(LONG).await.unwrap();
    balanced(&pool.status());
}

/// Runs a `hang` of each fingerprint in the only worker, which then dies.
async fn die_together(pool: &Pool, profile: &ScriptedProfile, calls: &[CallOptions]) {
    let mut running = Vec::new();
    for options in calls {
        running.push(begin_with(pool, "hang", options.clone()).await);
    }
    until(|| profile.workers()[0].running() == calls.len()).await;
    profile.workers()[0].end(crash());
    for call in running {
        let error = call.await.unwrap().unwrap_err();
        assert_eq!(error.code(), ErrorCode::WorkerDied);
    }
    whole(pool).await;
}

fn harmless(fingerprint: &str) -> CallOptions {
    CallOptions::new().fingerprint(fingerprint).idempotent()
}

#[tokio::test(start_paused = true)]
async fn a_harmless_call_is_isolated_and_cleared_by_an_answer() {
    let profile = ScriptedProfile::new(3);
    let pool = ready(strict(1), &profile).await;
    let (one, other) = (harmless("a"), harmless("b"));
    die_together(&pool, &profile, &[one.clone(), other]).await;
    // The blamed call waits until the worker is empty; later calls wait for its end.
    let before = begin(&pool, "gate").await;
    until(|| profile.workers()[0].running() == 1).await;
    let alone = begin_with(&pool, "gate", one.clone()).await;
    let after = begin(&pool, "gate").await;
    let another = begin(&pool, "gate").await;
    until(|| pool.status().queue_depth == 2).await;
    assert_eq!(profile.workers()[0].running(), 1);
    profile.allow(1);
    before.await.unwrap().unwrap();
    until(|| profile.workers()[0].running() == 1).await;
    assert_eq!(pool.status().queue_depth, 2, "they do not join it");
    profile.allow(1);
    alone.await.unwrap().unwrap();
    // Both get their slots at once, and the call is no longer blamed.
    until(|| profile.workers()[0].running() == 2).await;
    let free = begin_with(&pool, "gate", one).await;
    until(|| profile.workers()[0].running() == 3).await;
    profile.allow(3);
    for call in [after, another, free] {
        call.await.unwrap().unwrap();
    }
    balanced(&pool.status());
    assert_eq!(pool.status().in_flight, 0);
}

#[tokio::test(start_paused = true)]
async fn a_harmless_call_that_kills_in_isolation_is_convicted_and_its_neighbour_is_not() {
    let profile = ScriptedProfile::new(2);
    let mut config = strict(1);
    config.retry = Some(RetryPolicy::default());
    let pool = ready(config, &profile).await;
    let (poison, innocent) = (harmless("poison"), harmless("innocent"));
    let hang = begin_with(&pool, "gate", innocent).await;
    until(|| profile.workers()[0].running() == 1).await;
    let deadly = begin_with(&pool, "die", poison.clone()).await;
    until(|| pool.status().errors == 2).await;
    // Both are repeated, each isolated.
    profile.allow(1);
    assert_eq!(hang.await.unwrap().unwrap(), payload(7));
    let error = deadly.await.unwrap().unwrap_err();
    assert_eq!(error.code(), ErrorCode::WorkerDied);
    // The first death was shared, the two after it were not.
    let error = pool.execute("die", payload(7), &poison).await.unwrap_err();
    assert_eq!(error.code(), ErrorCode::Quarantined);
    whole(&pool).await;
    let status = pool.status();
    assert_eq!((status.in_quarantine, status.restarts), (1, 3));
    balanced(&status);
}

#[tokio::test(start_paused = true)]
async fn a_call_that_waits_for_a_worker_of_its_own_gives_it_back() {
    let profile = ScriptedProfile::new(2);
    let mut config = strict(1);
    config.queue_timeout = Duration::from_secs(3);
    let pool = ready(config, &profile).await;
    let (one, other) = (harmless("a"), harmless("b"));
    die_together(&pool, &profile, &[one.clone(), other.clone()]).await;
    let busy = begin(&pool, "gate").await;
    until(|| profile.workers()[0].running() == 1).await;
    // Its queue time passes.
    let error = pool.execute("echo", payload(1), &one).await.unwrap_err();
    assert_eq!(error.code(), ErrorCode::QueueTimeout);
    call(&pool, "echo").await.unwrap();
    // Its caller goes away.
    let alone = begin_with(&pool, "echo", one.clone()).await;
    let queued = begin(&pool, "echo").await;
    alone.abort();
    queued.await.unwrap().unwrap();
    // The worker dies meanwhile; two blamed calls get the next one in turn.
    let first = begin_with(&pool, "echo", one.clone()).await;
    let second = begin_with(&pool, "echo", other).await;
    profile.workers()[0].die("killed by signal 9", false);
    busy.await.unwrap().unwrap_err();
    first.await.unwrap().unwrap();
    second.await.unwrap().unwrap();
    // The pool closes.
    die_together(&pool, &profile, &[one.clone(), harmless("c")]).await;
    let busy = begin(&pool, "gate").await;
    let alone = begin_with(&pool, "echo", one).await;
    pool.close().await;
    assert_eq!(alone.await.unwrap().unwrap_err().code(), ErrorCode::Closed);
    busy.await.unwrap().unwrap_err();
    balanced(&pool.status());
}
