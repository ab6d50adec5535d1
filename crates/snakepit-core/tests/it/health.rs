//! Health checks: their schedule, and the consequences of a failed check.

use std::time::Duration;

use snakepit_core::call::CallOptions;
use snakepit_core::pool::{
    HealthConfig, HealthState, HealthStatus, Pool, PoolConfig, RecycleMode, RecycleReason,
};
use snakepit_core::testing::ScriptedProfile;
use tokio::time::{Instant, sleep};

use crate::support::{LONG, balanced, begin, begin_with, call, config, ready};

const SECOND: Duration = Duration::from_secs(1);

fn checked(workers: usize, change: impl FnOnce(&mut HealthConfig)) -> PoolConfig {
    let mut config = config(workers);
    config.call_timeout = None;
    change(&mut config.health);
    config
}

fn profile(slots: u16, checks: &[&str]) -> ScriptedProfile {
    let profile = ScriptedProfile::new(slots);
    profile.set_health_checks(checks);
    profile
}

fn health(pool: &Pool) -> Vec<HealthStatus> {
    let workers = pool.workers().into_iter();
    workers.filter_map(|one| one.health).collect()
}

/// Advances the clock until a condition holds.
async fn later(mut condition: impl FnMut() -> bool) {
    let start = Instant::now();
    while !condition() {
        let waited = start.elapsed();
        assert!(waited < 10 * LONG, "the condition does not come true");
        sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn each_worker_is_checked_at_its_interval_and_that_is_no_call() {
    let profile = profile(1, &["health", "nap"]);
    let pool = ready(checked(3, |_| {}), &profile).await;
    assert!(
        health(&pool)
            .iter()
            .all(|one| one.state == HealthState::Unknown)
    );
    sleep(15 * SECOND + 300 * SECOND + 31 * SECOND).await;
    for worker in profile.workers() {
        // Two tools each time.
        let times = worker.calls() / 2;
        assert!((10..=12).contains(&times), "{times}");
    }
    for one in health(&pool) {
        assert_eq!((one.state, one.failures), (HealthState::Healthy, 0));
        assert_eq!(one.took_seconds, Some(0.01));
    }
    let status = pool.status();
    assert_eq!((status.requests, status.service_time.count), (0, 0));
    assert_eq!(status.health_failures, 0);
    assert!(pool.workers().iter().all(|one| one.calls == 0));
    balanced(&status);
}

#[tokio::test(start_paused = true)]
async fn workers_without_checks_and_pools_without_are_left_alone() {
    let plain = profile(1, &[]);
    let pool = ready(checked(1, |_| {}), &plain).await;
    let off = profile(1, &["health"]);
    let silent = ready(checked(1, |one| one.enabled = false), &off).await;
    sleep(1000 * SECOND).await;
    assert_eq!(plain.workers()[0].calls() + off.workers()[0].calls(), 0);
    assert!(health(&pool).is_empty() && health(&silent).is_empty());
}

#[tokio::test(start_paused = true)]
async fn an_unhealthy_worker_serves_until_its_replacement_is_ready() {
    let profile = profile(1, &["health"]);
    let pool = ready(checked(2, |_| {}), &profile).await;
    let sick = profile.workers()[0].clone();
    sick.set_well(false);
    later(|| health(&pool).iter().any(|one| one.failures == 2)).await;
    let failing = health(&pool);
    let one = failing.iter().find(|one| one.failures == 2).unwrap();
    assert_eq!(one.state, HealthState::Failing);
    let error = one.error.as_deref().unwrap();
    assert!(error.contains("failed as scripted"), "{error}");
    assert_eq!(profile.starts(), 2, "not yet");
    let mut least = usize::MAX;
    later(|| {
        least = least.min(pool.status().ready);
        profile.starts() == 3 && !sick.is_alive()
    })
    .await;
    later(|| health(&pool).iter().all(|one| one.failures == 0)).await;
    let status = pool.status();
    assert_eq!((status.recycled, status.health_failures), (1, 3));
    assert_eq!((status.ready, least), (2, 2), "never fewer");
    call(&pool, "echo").await.unwrap();
    balanced(&status);
}

#[tokio::test(start_paused = true)]
async fn a_check_that_is_well_again_ends_the_count() {
    let profile = profile(1, &["health"]);
    let pool = ready(checked(1, |_| {}), &profile).await;
    let worker = profile.workers()[0].clone();
    for _ in 0..5 {
        worker.set_well(false);
        later(|| health(&pool)[0].failures == 2).await;
        worker.set_well(true);
        later(|| health(&pool)[0].failures == 0).await;
    }
    assert_eq!((profile.starts(), pool.status().health_failures), (1, 10));
}

/// As if the checks depended on a service that is down: replacing all workers at once would only
/// take the pool away.
#[tokio::test(start_paused = true)]
async fn where_every_worker_is_unhealthy_the_pool_stays_whole() {
    for mode in [RecycleMode::Overlap, RecycleMode::InPlace] {
        let profile = profile(1, &["fail"]);
        let mut config = checked(4, |one| one.failures = 1);
        config.recycle.mode = mode;
        let pool = ready(config, &profile).await;
        let (mut least, mut most) = (4, 4);
        let end = Instant::now() + 600 * SECOND;
        while Instant::now() < end {
            call(&pool, "echo").await.unwrap();
            least = least.min(pool.status().ready);
            most = most.max(profile.workers().len());
            sleep(SECOND / 10).await;
        }
        let expected = if mode == RecycleMode::Overlap { 4 } else { 3 };
        assert!(least >= expected && most <= 5, "{least} {most}");
        assert!(pool.status().recycled >= 20, "it goes on trying");
        assert_eq!(pool.status().errors, 0);
        balanced(&pool.status());
    }
}

#[tokio::test(start_paused = true)]
async fn a_busy_worker_is_checked_before_the_calls_that_wait() {
    let profile = profile(1, &["health"]);
    let pool = ready(checked(1, |_| {}), &profile).await;
    let worker = profile.workers()[0].clone();
    let options = || CallOptions::new().queue_timeout(LONG * 10);
    let mut calls = Vec::new();
    for _ in 0..20 {
        calls.push(begin_with(&pool, "gate", options()).await);
    }
    sleep(100 * SECOND).await;
    assert_eq!(worker.calls(), 1, "nothing runs beside a call");
    profile.allow(1);
    later(|| worker.calls() == 3).await;
    assert_eq!(health(&pool)[0].state, HealthState::Healthy);
    assert_eq!(pool.status().queue_depth, 18);
    profile.allow(19);
    for call in calls {
        call.await.unwrap().unwrap();
    }
    balanced(&pool.status());
}

/// Checks that end again and again must not keep others from beginning.
#[tokio::test(start_paused = true)]
async fn checks_that_end_hold_no_others_up() {
    let profile = profile(1, &["gate"]);
    let pool = ready(checked(100, |one| one.timeout = LONG), &profile).await;
    let begun = || {
        let workers = profile.workers();
        workers.iter().filter(|one| one.calls() > 0).count()
    };
    sleep(30 * SECOND).await;
    assert!((20..80).contains(&begun()), "about half of them are due");
    let end = Instant::now() + 17 * SECOND;
    while Instant::now() < end {
        profile.allow(1);
        sleep(SECOND * 4 / 10).await;
    }
    assert_eq!(begun(), 100, "all of them are due");
    balanced(&pool.status());
}

#[tokio::test(start_paused = true)]
async fn a_check_that_takes_too_long_has_failed_and_is_stopped() {
    let profile = profile(1, &["hang"]);
    let pool = ready(checked(1, |one| one.failures = 100), &profile).await;
    later(|| pool.status().health_failures == 2).await;
    let one = &health(&pool)[0];
    assert_eq!(one.state, HealthState::Failing);
    assert!(one.took_seconds >= Some(5.0) && one.took_seconds < Some(5.2));
    assert!(one.error.as_deref().unwrap().contains("5s"), "{one:?}");
    call(&pool, "echo").await.unwrap();
    assert_eq!((profile.starts(), pool.status().in_flight), (1, 0));
    assert_eq!(pool.status().call_timeouts, 0, "it was no call");
    balanced(&pool.status());
}

#[tokio::test(start_paused = true)]
async fn a_check_that_cannot_be_stopped_costs_the_worker() {
    let profile = profile(1, &["stuck"]);
    let pool = ready(checked(1, |_| {}), &profile).await;
    profile.set_health_checks(&[]);
    profile.started(2).await;
    later(|| pool.status().ready == 1).await;
    call(&pool, "echo").await.unwrap();
    assert_eq!(pool.status().stops.kill, 1);
    balanced(&pool.status());
}

#[tokio::test(start_paused = true)]
async fn a_check_that_kills_its_worker_is_a_death_like_any_other() {
    let profile = profile(2, &["die"]);
    let pool = ready(checked(1, |_| {}), &profile).await;
    profile.set_health_checks(&[]);
    profile.started(2).await;
    later(|| pool.status().ready == 1).await;
    let status = pool.status();
    assert_eq!((status.restarts, status.health_failures), (1, 0));
    call(&pool, "echo").await.unwrap();
    balanced(&pool.status());
}

#[tokio::test(start_paused = true)]
async fn a_pool_closes_whatever_its_checks_do() {
    for check in ["hang", "stuck", "health"] {
        let profile = profile(1, &[check]);
        let pool = ready(checked(2, |_| {}), &profile).await;
        let busy = begin(&pool, "gate").await;
        sleep(47 * SECOND).await;
        let start = Instant::now();
        profile.allow(1);
        pool.close().await;
        assert!(start.elapsed() < 20 * SECOND, "{check}");
        busy.await.unwrap().unwrap();
        assert!(profile.workers().is_empty());
    }
}

#[tokio::test(start_paused = true)]
async fn the_reason_is_told() {
    let profile = profile(2, &["health"]);
    let pool = ready(checked(1, |one| one.failures = 1), &profile).await;
    let busy = begin(&pool, "gate").await;
    profile.workers()[0].set_well(false);
    profile.started(2).await;
    later(|| {
        let mut workers = pool.workers().into_iter();
        workers.any(|one| one.recycling == Some(RecycleReason::Unhealthy))
    })
    .await;
    profile.allow(1);
    busy.await.unwrap().unwrap();
    later(|| profile.workers().len() == 1).await;
}
