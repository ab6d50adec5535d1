//! Replacement of live workers.

use std::time::Duration;

use futures_util::StreamExt;
use snakepit_core::call::CallOptions;
use snakepit_core::error::{Error, ErrorCode};
use snakepit_core::id::WorkerId;
use snakepit_core::pool::{
    Affinity, MemoryDecision, Pool, PoolConfig, RecycleBudget, RecycleError, RecycleMode,
    RecycleReason, WorkerState,
};
use snakepit_core::testing::{Script, ScriptedProfile};
use tokio::time::{Instant, sleep};

use crate::support::{balanced, begin, begin_with, call, config, payload, ready, until};

const SECOND: Duration = Duration::from_secs(1);

fn recycling(
    workers: usize,
    change: impl FnOnce(&mut snakepit_core::pool::RecycleConfig),
) -> PoolConfig {
    let mut config = config(workers);
    config.recycle.jitter = 0.0;
    config.recycle.min_lifetime = Duration::ZERO;
    change(&mut config.recycle);
    config
}

fn ids(pool: &Pool) -> Vec<String> {
    let mut ids: Vec<_> = pool
        .workers()
        .iter()
        .map(|one| one.id.to_string())
        .collect();
    ids.sort();
    ids
}

fn slow() -> Script {
    Script::Slow(SECOND)
}

#[tokio::test(start_paused = true)]
async fn a_worker_has_its_calls_and_is_replaced() {
    let profile = ScriptedProfile::new(1);
    let pool = ready(recycling(1, |one| one.max_requests = Some(3)), &profile).await;
    profile.otherwise(slow());
    for _ in 0..2 {
        call(&pool, "echo").await.unwrap();
    }
    assert_eq!(pool.workers()[0].recycling, None);
    call(&pool, "echo").await.unwrap();
    profile.started(2).await;
    assert_eq!(pool.workers()[0].recycling, Some(RecycleReason::Requests));
    call(&pool, "echo").await.unwrap();
    sleep(2 * SECOND).await;
    assert_eq!(ids(&pool), ["test-2"]);
    assert_eq!((profile.most(), pool.status().recycled), (2, 1));
    call(&pool, "echo").await.unwrap();
    let status = pool.status();
    assert_eq!((status.restarts, status.start_failures), (0, 0));
    balanced(&status);
}

#[tokio::test(start_paused = true)]
async fn workers_of_one_age_go_one_after_the_other() {
    let profile = ScriptedProfile::new(1);
    let pool = ready(
        recycling(4, |one| one.max_age = Some(100 * SECOND)),
        &profile,
    )
    .await;
    profile.otherwise(slow());
    sleep(99 * SECOND).await;
    assert_eq!((profile.starts(), pool.status().recycled), (4, 0));
    sleep(2 * SECOND + SECOND / 2).await;
    assert_eq!(pool.status().recycled, 1, "each takes a second");
    sleep(3 * SECOND).await;
    assert_eq!(pool.status().recycled, 4);
    assert_eq!((profile.starts(), profile.most()), (8, 5));
    assert_eq!(pool.status().ready, 4);
}

#[tokio::test(start_paused = true)]
async fn no_limit_applies_before_the_least_age() {
    let profile = ScriptedProfile::new(1);
    let change = |one: &mut snakepit_core::pool::RecycleConfig| {
        one.max_requests = Some(1);
        one.min_lifetime = 10 * SECOND;
    };
    let pool = ready(recycling(1, change), &profile).await;
    let start = Instant::now();
    call(&pool, "echo").await.unwrap();
    profile.started(2).await;
    assert_eq!(start.elapsed().as_secs(), 10);
}

#[tokio::test(start_paused = true)]
async fn a_worker_is_replaced_by_hand_at_any_age() {
    let profile = ScriptedProfile::new(1);
    let pool = ready(config(2), &profile).await;
    let new = pool.recycle(&WorkerId::new("test-1")).await.unwrap();
    assert_eq!(new, WorkerId::new("test-3"));
    until(|| ids(&pool) == ["test-2", "test-3"]).await;
    let error = pool.recycle(&WorkerId::new("test-1")).await.unwrap_err();
    assert!(matches!(error, RecycleError::UnknownWorker { .. }));
    assert_eq!(error.code(), ErrorCode::UnknownWorker);
    let twice = WorkerId::new("test-2");
    let (one, other) = tokio::join!(pool.recycle(&twice), pool.recycle(&twice));
    assert_eq!(
        (one.unwrap(), other.unwrap()),
        ("test-4".into(), "test-4".into())
    );
    assert_eq!(pool.status().recycled, 2);
    pool.close().await;
    let error = pool.recycle(&new).await.unwrap_err();
    assert!(matches!(error, RecycleError::Closed(_)), "{error:?}");
}

#[tokio::test(start_paused = true)]
async fn the_old_worker_stays_when_its_replacement_does_not_start() {
    let profile = ScriptedProfile::new(1);
    let pool = ready(
        recycling(1, |one| one.max_age = Some(10 * SECOND)),
        &profile,
    )
    .await;
    profile.otherwise(Script::Fail { permanent: true });
    sleep(20 * SECOND).await;
    let starts = profile.starts();
    assert!((4..10).contains(&starts), "the waits grow: {starts}");
    sleep(600 * SECOND).await;
    assert!(profile.starts() < starts + 20, "{}", profile.starts());
    let status = pool.status();
    assert_eq!(status.recycle_error.as_deref(), Some("the script says so"));
    assert_eq!(status.recycle_failures as usize, profile.starts() - 1);
    assert_eq!((status.start_error, status.ready), (None, 1));
    call(&pool, "echo").await.unwrap();
    let error = pool.recycle(&WorkerId::new("test-1")).await.unwrap_err();
    assert_eq!(error.code(), ErrorCode::StartFailed, "{error:?}");
    profile.otherwise(Script::Ready);
    sleep(61 * SECOND).await;
    let status = pool.status();
    assert_eq!(status.recycle_error, None, "it heals by itself");
    assert!(status.recycled >= 1);
}

#[tokio::test(start_paused = true)]
async fn a_call_and_a_stream_keep_their_worker_for_a_time() {
    let profile = ScriptedProfile::new(2);
    let mut config = recycling(1, |one| one.max_drain = 30 * SECOND);
    config.call_timeout = None;
    let pool = ready(config, &profile).await;
    let options = CallOptions::new();
    let mut stream = pool
        .execute_stream("count", payload(0), &options)
        .await
        .unwrap();
    let call = begin(&pool, "gate").await;
    pool.recycle(&WorkerId::new("test-1")).await.unwrap();
    profile.allow(1);
    call.await.unwrap().unwrap();
    let start = Instant::now();
    let mut chunks = 0;
    while let Some(chunk) = stream.next().await {
        assert_eq!(chunk.unwrap().decode::<u64>().unwrap(), chunks);
        chunks += 1;
        sleep(SECOND).await;
    }
    // The last chunk came before the end; the end is seen a second after it.
    assert_eq!((start.elapsed().as_secs(), chunks), (31, 31));
    until(|| ids(&pool) == ["test-2"]).await;
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_dies_meanwhile_is_not_replaced_twice() {
    let profile = ScriptedProfile::new(1);
    let pool = ready(
        recycling(2, |one| one.max_age = Some(10 * SECOND)),
        &profile,
    )
    .await;
    profile.otherwise(slow());
    profile.started(3).await;
    profile.workers()[0].die("killed by signal 9", false);
    sleep(5 * SECOND).await;
    assert_eq!((profile.starts(), pool.status().ready), (4, 2));
    assert_eq!((pool.status().restarts, pool.status().recycled), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn in_place_the_old_worker_ends_first() {
    let profile = ScriptedProfile::new(1);
    let change = |one: &mut snakepit_core::pool::RecycleConfig| {
        one.max_age = Some(10 * SECOND);
        one.mode = RecycleMode::InPlace;
    };
    let pool = ready(recycling(3, change), &profile).await;
    profile.otherwise(slow());
    sleep(10 * SECOND + SECOND / 2).await;
    assert_eq!((pool.status().ready, pool.status().starting), (2, 1));
    sleep(3 * SECOND).await;
    assert_eq!((pool.status().ready, pool.status().recycled), (3, 3));
    assert_eq!((profile.most(), profile.starts()), (3, 6));
    let by_hand = pool.recycle(&WorkerId::new("test-4")).await.unwrap();
    assert_eq!(by_hand, WorkerId::new("test-7"));
    assert_eq!((profile.most(), pool.status().restarts), (3, 0));
}

#[tokio::test(start_paused = true)]
async fn pools_share_a_budget() {
    let profile = ScriptedProfile::new(1);
    let budget = RecycleBudget::new();
    let mut pools = Vec::new();
    for _ in 0..3 {
        let change = |one: &mut snakepit_core::pool::RecycleConfig| {
            one.max_age = Some(10 * SECOND);
            one.budget = Some(budget.clone());
        };
        let mut config = recycling(8, change);
        config.start_concurrency = 8;
        pools.push(ready(config, &profile).await);
    }
    assert_eq!(budget.allowed(), 2);
    profile.otherwise(slow());
    sleep(10 * SECOND + SECOND / 2).await;
    assert_eq!((budget.taken(), profile.starts()), (2, 26));
    while pools.iter().map(|pool| pool.status().recycled).sum::<u64>() < 24 {
        assert!(budget.taken() <= 2);
        sleep(SECOND / 4).await;
    }
    assert_eq!(profile.most(), 26);
}

#[tokio::test(start_paused = true)]
async fn a_worker_warms_up_before_it_takes_calls() {
    let profile = ScriptedProfile::new(1);
    let mut config = config(1);
    config.warm_up = Some("gate".to_owned());
    let pool = crate::support::start(config, &profile);
    until(|| {
        profile
            .workers()
            .first()
            .is_some_and(|one| one.running() == 1)
    })
    .await;
    assert_eq!((pool.status().ready, pool.status().starting), (0, 1));
    profile.allow(1);
    until(|| pool.status().ready == 1).await;
    let (other, name) = (pool.clone(), WorkerId::new("test-1"));
    let mut waiting = std::pin::pin!(other.recycle(&name));
    assert!(futures_util::poll!(&mut waiting).is_pending());
    profile.started(2).await;
    call(&pool, "echo").await.unwrap();
    assert_eq!(
        pool.workers()[0].state,
        WorkerState::Idle,
        "the old one goes on"
    );
    profile.allow(1);
    assert_eq!(waiting.await.unwrap(), WorkerId::new("test-2"));
}

#[tokio::test(start_paused = true)]
async fn a_failed_warm_up_is_a_failed_start() {
    let profile = ScriptedProfile::new(1);
    let pool = ready(config(1), &profile).await;
    drop(pool);
    let mut config = config(1);
    config.warm_up = Some("fail".to_owned());
    let pool = crate::support::start(config, &profile);
    until(|| pool.status().start_failures > 0).await;
    assert!(pool.status().ready == 0 && profile.workers().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_strict_session_is_told_once_and_another_never() {
    let profile = ScriptedProfile::new(1);
    let pool = ready(config(2), &profile).await;
    let strict = CallOptions::new()
        .session("s")
        .affinity(Affinity::StrictQueue);
    let hint = CallOptions::new().session("h");
    let echo = async |options: &CallOptions| pool.execute("echo", payload(1), options).await;
    for _ in 0..2 {
        echo(&strict).await.unwrap();
        echo(&hint).await.unwrap();
    }
    for id in ["test-1", "test-2"] {
        pool.recycle(&id.into()).await.unwrap();
    }
    let error = echo(&strict).await.unwrap_err();
    assert!(matches!(error, Error::AffinityLost { .. }), "{error:?}");
    for _ in 0..3 {
        echo(&strict).await.unwrap();
        echo(&hint).await.unwrap();
    }
    let waiting = begin_with(&pool, "gate", strict).await;
    profile.allow(1);
    waiting.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn memory_above_the_limit_at_several_looks() {
    let profile = ScriptedProfile::new(1);
    let pool = ready(recycling(2, |one| one.max_memory = Some(1000)), &profile).await;
    let heavy = profile.workers()[0].clone();
    profile.workers()[1].set_memory(900);
    heavy.set_memory(2000);
    sleep(11 * SECOND).await;
    heavy.set_memory(800);
    sleep(5 * SECOND).await;
    let seen = pool.workers()[0].memory.unwrap();
    assert_eq!(
        (seen.bytes, seen.peak_bytes, seen.limit_bytes),
        (800, 2000, 1000)
    );
    assert_eq!(seen.decision, MemoryDecision::Keep);
    heavy.set_memory(2000);
    sleep(16 * SECOND).await;
    assert_eq!(pool.status().recycled, 1);
    assert_eq!(ids(&pool), ["test-2", "test-3"]);
}

#[tokio::test(start_paused = true)]
async fn growing_memory_is_met_at_a_quiet_moment() {
    let profile = ScriptedProfile::new(1);
    let pool = ready(recycling(1, |one| one.max_memory = Some(1000)), &profile).await;
    let worker = profile.workers()[0].clone();
    let busy = begin(&pool, "gate").await;
    sleep(SECOND).await;
    for look in 1..15 {
        worker.set_memory(look * 60);
        sleep(5 * SECOND).await;
    }
    let memory = pool.workers()[0].memory.unwrap();
    assert_eq!(
        memory.decision,
        MemoryDecision::ReplaceWhenQuiet,
        "{memory:?}"
    );
    assert!((memory.growth.unwrap() - 12.0).abs() < 1.0, "{memory:?}");
    assert_eq!((profile.starts(), pool.workers()[0].recycling), (1, None));
    profile.allow(1);
    busy.await.unwrap().unwrap();
    sleep(6 * SECOND).await;
    assert_eq!((profile.starts(), pool.status().recycled), (2, 1));
}
