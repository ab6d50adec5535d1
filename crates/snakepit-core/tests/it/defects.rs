//! Defects of the library after which this one is modelled, by their numbers in
//! `docs/original-defects.md`.
#![expect(
    clippy::unwrap_used,
    reason = "a helper of a test may panic like the test"
)]

use std::time::Duration;

use futures_util::StreamExt;
use snakepit_core::call::CallOptions;
use snakepit_core::error::ErrorCode;
use snakepit_core::policy::RetryPolicy;
use snakepit_core::pool::{Affinity, Pool};
use snakepit_core::testing::ScriptedProfile;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use crate::support::{balanced, begin, begin_with, call, config, payload, ready, start, until};

fn running(profile: &ScriptedProfile) -> Vec<usize> {
    let workers = profile.workers();
    workers.iter().map(|worker| worker.running()).collect()
}

async fn code(pool: &Pool, tool: &str, options: &CallOptions) -> ErrorCode {
    let result = pool.execute(tool, payload(1), options).await;
    result.unwrap_err().code()
}

/// Checks that the slots of an idle pool can all be used at the same time.
async fn whole(pool: &Pool, profile: &ScriptedProfile, slots: usize) {
    until(|| pool.status().slots == slots && pool.status().in_flight == 0).await;
    let mut calls = Vec::new();
    for _ in 0..slots {
        calls.push(begin(pool, "gate").await);
    }
    until(|| running(profile).iter().sum::<usize>() == slots).await;
    assert_eq!(pool.status().queue_depth, 0);
    profile.allow(slots);
    for call in calls {
        call.await.unwrap().unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn defect_01_a_dead_worker_attracts_no_calls() {
    let profile = ScriptedProfile::new(1);
    let pool = ready(config(2), &profile).await;
    sleep(Duration::from_secs(5)).await;
    let dead = profile.workers()[0].id().clone();
    profile.workers()[0].die("killed by signal 9", false);
    until(|| pool.status().restarts == 1).await;
    for _ in 0..100 {
        call(&pool, "echo").await.unwrap();
    }
    assert!(pool.workers().iter().all(|worker| worker.id != dead));
    whole(&pool, &profile, 2).await;
}

#[tokio::test(start_paused = true)]
async fn defect_02_renewing_workers_does_not_make_more_of_them() {
    let profile = ScriptedProfile::new(1);
    let pool = ready(config(2), &profile).await;
    for _ in 0..10 {
        let oldest = pool.workers()[0].id.clone();
        pool.recycle(&oldest).await.unwrap();
        until(|| profile.workers().len() == 2).await;
    }
    // Long enough for every periodic task that counts workers.
    sleep(Duration::from_secs(3600)).await;
    assert_eq!((profile.starts(), profile.most()), (12, 3));
    assert_eq!((pool.workers().len(), pool.status().ready), (2, 2));
}

#[tokio::test(start_paused = true)]
async fn defect_06_retries_that_give_up_hold_no_slot() {
    let profile = ScriptedProfile::new(2);
    let mut config = config(1);
    config.retry = Some(RetryPolicy::default());
    let pool = ready(config, &profile).await;
    let options = CallOptions::new().idempotent();
    for _ in 0..3 {
        call(&pool, "echo").await.unwrap();
        assert_eq!(code(&pool, "die", &options).await, ErrorCode::WorkerDied);
        // A backoff may be due.
        sleep(Duration::from_secs(20)).await;
    }
    assert!(pool.status().retries >= 3, "{:?}", pool.status());
    whole(&pool, &profile, 2).await;
    balanced(&pool.status());
}

#[tokio::test(start_paused = true)]
async fn defect_07_a_caller_that_is_killed_in_a_stream_leaves_no_slot_behind() {
    let profile = ScriptedProfile::new(1);
    let pool = ready(config(1), &profile).await;
    for _ in 0..5 {
        let other = pool.clone();
        let (sender, first) = tokio::sync::oneshot::channel();
        let mut caller = JoinSet::new();
        caller.spawn(async move {
            let options = CallOptions::new();
            let mut stream = other
                .execute_stream("count", payload(1), &options)
                .await
                .unwrap();
            stream.next().await.unwrap().unwrap();
            sender.send(()).unwrap();
            std::future::pending::<()>().await;
            drop(stream);
        });
        first.await.unwrap();
        caller.shutdown().await;
        until(|| pool.status().in_flight == 0).await;
    }
    whole(&pool, &profile, 1).await;
    assert_eq!((pool.status().cancelled, profile.starts()), (5, 1));
}

#[tokio::test(start_paused = true)]
async fn defect_08_slots_go_back_to_the_pool_that_they_are_of() {
    let profiles = [ScriptedProfile::new(1), ScriptedProfile::new(1)];
    let mut pools = Vec::new();
    for (profile, name) in profiles.iter().zip(["Snakepit.Pool", "other"]) {
        let mut config = config(1);
        config.name = name.into();
        pools.push(ready(config, profile).await);
    }
    for _ in 0..20 {
        for pool in &pools {
            call(pool, "echo").await.unwrap();
        }
    }
    for (pool, profile) in pools.iter().zip(&profiles) {
        whole(pool, profile, 1).await;
        assert_eq!(pool.status().requests, 21);
    }
}

#[tokio::test(start_paused = true)]
async fn defect_09_a_call_whose_time_is_over_in_the_queue_never_runs() {
    let profile = ScriptedProfile::new(1);
    let pool = ready(config(1), &profile).await;
    let busy = begin(&pool, "gate").await;
    until(|| running(&profile) == [1]).await;
    let before = profile.workers()[0].calls();
    let limited = CallOptions::new().timeout(Duration::from_secs(1));
    assert_eq!(
        code(&pool, "gate", &limited).await,
        ErrorCode::QueueTimeout,
        "the time of the call is that of the queue as well"
    );
    profile.allow(2);
    busy.await.unwrap().unwrap();
    until(|| pool.status().in_flight == 0).await;
    assert_eq!(profile.workers()[0].calls(), before);
    // The rest of the time continues to count on the worker.
    let busy = begin(&pool, "nap").await;
    let clock = Instant::now();
    assert_eq!(code(&pool, "hang", &limited).await, ErrorCode::CallTimeout);
    assert_eq!(clock.elapsed().as_millis(), 1000);
    busy.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn defect_11_the_least_loaded_worker_is_chosen() {
    let profile = ScriptedProfile::new(4);
    let pool = ready(config(3), &profile).await;
    let mut calls = Vec::new();
    for n in 1..=12 {
        calls.push(begin(&pool, "gate").await);
        until(|| running(&profile).iter().sum::<usize>() == n).await;
        let loads = running(&profile);
        let (least, most) = (loads.iter().min().unwrap(), loads.iter().max().unwrap());
        assert!(most - least <= 1, "{loads:?}");
    }
    profile.allow(12);
    for call in calls {
        call.await.unwrap().unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn defect_13_a_strict_session_whose_worker_died_gets_another_one() {
    let profile = ScriptedProfile::new(1);
    let mut config = config(2);
    config.affinity = Affinity::StrictFailFast;
    let pool = ready(config, &profile).await;
    let session = CallOptions::new().session("s");
    let home = begin_with(&pool, "gate", session.clone()).await;
    until(|| running(&profile).contains(&1)).await;
    let worker = profile.workers().into_iter().find(|one| one.running() == 1);
    worker.unwrap().die("killed by signal 9", false);
    home.await.unwrap().unwrap_err();
    assert_eq!(
        code(&pool, "echo", &session).await,
        ErrorCode::AffinityLost,
        "it is told once"
    );
    for _ in 0..10 {
        let reply = pool.execute("echo", payload(1), &session).await;
        assert_eq!(reply.unwrap(), payload(1));
    }
}

#[tokio::test(start_paused = true)]
async fn defect_14_streams_wait_in_the_queue_and_count_for_renewal() {
    let profile = ScriptedProfile::new(1);
    let mut config = config(1);
    config.recycle.max_requests = Some(3);
    config.recycle.jitter = 0.0;
    config.recycle.min_lifetime = Duration::ZERO;
    let pool = ready(config, &profile).await;
    let busy = begin(&pool, "gate").await;
    let (other, options) = (pool.clone(), CallOptions::new());
    let mut streams = JoinSet::new();
    streams.spawn(async move {
        for _ in 0..2 {
            let stream = other.execute_stream("echo", payload(1), &options).await;
            assert_eq!(stream.unwrap().count().await, 1);
        }
    });
    until(|| pool.status().queue_depth == 1).await;
    profile.allow(1);
    busy.await.unwrap().unwrap();
    streams.join_next().await.unwrap().unwrap();
    until(|| pool.status().recycled == 1).await;
}

#[tokio::test(start_paused = true)]
async fn defect_16a_errors_say_where_they_come_from() {
    let pool = ready(config(1), &ScriptedProfile::new(1)).await;
    let options = CallOptions::new();
    let limited = CallOptions::new().timeout(Duration::from_secs(1));
    assert_eq!(code(&pool, "fail", &options).await, ErrorCode::ToolRaised);
    assert_eq!(code(&pool, "hang", &limited).await, ErrorCode::CallTimeout);
    assert_eq!(code(&pool, "die", &options).await, ErrorCode::WorkerDied);
    pool.close().await;
    assert_eq!(code(&pool, "echo", &options).await, ErrorCode::Closed);
}

#[tokio::test(start_paused = true)]
async fn defect_17_every_call_is_counted_once_however_it_ends() {
    let profile = ScriptedProfile::new(1);
    let mut config = config(1);
    config.queue_limit = 1;
    let pool = ready(config, &profile).await;
    let busy = begin(&pool, "gate").await;
    let waits = begin(&pool, "fail").await;
    assert_eq!(
        code(&pool, "echo", &CallOptions::new()).await,
        ErrorCode::Saturated
    );
    assert_eq!(pool.status().queue_depth, 1);
    profile.allow(1);
    busy.await.unwrap().unwrap();
    waits.await.unwrap().unwrap_err();
    let status = pool.status();
    assert_eq!((status.requests, status.succeeded), (3, 1));
    assert_eq!((status.errors, status.saturated), (1, 1));
    assert_eq!((status.queued, status.queue_depth), (1, 0));
    balanced(&status);
}

#[tokio::test(start_paused = true)]
async fn defect_18_all_slots_of_a_worker_are_used() {
    let profile = ScriptedProfile::new(5);
    let pool = ready(config(2), &profile).await;
    whole(&pool, &profile, 10).await;
}

#[tokio::test(start_paused = true)]
async fn defect_19_pools_whose_names_begin_alike_count_their_own_workers() {
    let profiles = [ScriptedProfile::new(1), ScriptedProfile::new(1)];
    let mut pools = Vec::new();
    for ((profile, name), workers) in profiles.iter().zip(["a", "a-worker"]).zip([1, 3]) {
        let mut config = config(workers);
        config.name = name.into();
        pools.push(start(config, profile));
    }
    for (pool, profile) in pools.iter().zip(&profiles) {
        let workers = pool.config().workers;
        until(|| pool.status().ready == workers).await;
        sleep(Duration::from_secs(2)).await;
        profile.workers()[0].die("killed by signal 9", false);
        until(|| pool.status().restarts == 1).await;
        until(|| pool.status().ready == workers).await;
        assert_eq!(profile.starts(), workers + 1);
    }
}

#[tokio::test(start_paused = true)]
async fn defect_69_a_renewed_worker_ends_its_calls_first() {
    let profile = ScriptedProfile::new(2);
    let pool = ready(config(1), &profile).await;
    let calls = [begin(&pool, "gate").await, begin(&pool, "gate").await];
    until(|| running(&profile) == [2]).await;
    let old = pool.workers()[0].id.clone();
    pool.recycle(&old).await.unwrap();
    sleep(Duration::from_secs(60)).await;
    assert_eq!(running(&profile), [2, 0]);
    profile.allow(2);
    for call in calls {
        call.await.unwrap().unwrap();
    }
    until(|| profile.workers().len() == 1).await;
    assert_eq!(pool.status().errors, 0);
}

#[tokio::test(start_paused = true)]
async fn defect_70_a_worker_that_is_slow_to_end_holds_no_replacement_up() {
    let profile = ScriptedProfile::new(1);
    let pool = ready(config(1), &profile).await;
    let busy = begin(&pool, "gate").await;
    let clock = Instant::now();
    let old = pool.workers()[0].id.clone();
    pool.recycle(&old).await.unwrap();
    // The old worker continues for a minute; the new one serves meanwhile.
    call(&pool, "echo").await.unwrap();
    assert_eq!(clock.elapsed(), Duration::ZERO);
    sleep(Duration::from_secs(60)).await;
    profile.allow(1);
    busy.await.unwrap().unwrap();
    until(|| profile.workers().len() == 1).await;
    assert_eq!((profile.starts(), pool.status().ready), (2, 1));
}
