//! Signs of life: heartbeats, the replacement of silent workers, and the workers that are never
//! replaced.

use std::time::Duration;

use snakepit_core::call::CallOptions;
use snakepit_core::host_tools::{HostState, HostStateConfig};
use snakepit_core::pool::{
    HeartbeatConfig, HeartbeatState, HeartbeatStatus, Pool, PoolConfig, PoolState,
};
use snakepit_core::state::SessionOptions;
use snakepit_core::testing::{ScriptedProfile, ScriptedWorker};
use snakepit_core::worker::Pulse;
use tokio::time::{Instant, advance, sleep, timeout};

use crate::support::{LONG, balanced, begin, call, config, ready};

pub(crate) const SECOND: Duration = Duration::from_secs(1);

pub(crate) fn watched(workers: usize, change: impl FnOnce(&mut HeartbeatConfig)) -> PoolConfig {
    let mut config = config(workers);
    config.call_timeout = None;
    change(&mut config.heartbeat);
    config
}

pub(crate) fn beats(pool: &Pool) -> Vec<HeartbeatStatus> {
    let workers = pool.workers();
    workers
        .into_iter()
        .filter_map(|one| one.heartbeat)
        .collect()
}

pub(crate) fn state(pool: &Pool) -> HeartbeatState {
    beats(pool)[0].state
}

pub(crate) fn silence(worker: &ScriptedWorker) {
    worker.set_pulse(None);
}

pub(crate) fn answer(worker: &ScriptedWorker, held: u64) {
    let held = (held > 0).then(|| Duration::from_secs(held));
    worker.set_pulse(Some(Pulse { held }));
}

/// Advances the clock until a condition holds.
pub(crate) async fn later(mut condition: impl FnMut() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < LONG, "the condition does not come true");
        sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn workers_are_asked_again_and_again() {
    let profile = ScriptedProfile::new(1);
    let pool = ready(watched(2, |_| {}), &profile).await;
    sleep(21 * SECOND).await;
    for worker in profile.workers() {
        assert_eq!(worker.questions(), 10, "every two seconds");
    }
    let beats = beats(&pool);
    assert!(beats.iter().all(|one| one.state == HeartbeatState::Ok));
    assert_eq!(beats[0].age_seconds, Some(1.0));
    assert_eq!((beats[0].misses, beats[0].held_seconds), (0, None));
    assert_eq!(pool.status().heartbeat_misses, 0);
}

#[tokio::test(start_paused = true)]
async fn the_first_question_has_time_and_heartbeats_can_be_off() {
    let profile = ScriptedProfile::new(1);
    let _pool = ready(watched(1, |one| one.initial_delay = LONG), &profile).await;
    sleep(99 * SECOND).await;
    assert_eq!(profile.workers()[0].questions(), 0);
    sleep(10 * SECOND).await;
    assert_eq!(profile.workers()[0].questions(), 5);

    let profile = ScriptedProfile::new(1);
    let pool = ready(watched(1, |one| one.enabled = false), &profile).await;
    sleep(100 * SECOND).await;
    assert_eq!(profile.workers()[0].questions(), 0);
    assert!(beats(&pool).is_empty());
}

#[tokio::test(start_paused = true)]
async fn an_idle_worker_that_is_silent_is_replaced() {
    let profile = ScriptedProfile::new(1);
    let pool = ready(watched(2, |_| {}), &profile).await;
    sleep(5 * SECOND).await;
    let start = Instant::now();
    silence(&profile.workers()[0]);
    profile.started(3).await;
    // Heartbeats after 1, 3 and 5 s, and ten seconds for the last one.
    assert_eq!(start.elapsed().as_secs(), 15);
    later(|| pool.status().state == PoolState::Ready).await;
    let status = pool.status();
    assert_eq!((status.heartbeat_kills, status.heartbeat_misses), (1, 3));
    assert_eq!((status.restarts, status.start_failures), (1, 0));
    assert_eq!(status.ready, 2);
    for _ in 0..4 {
        call(&pool, "echo").await.unwrap();
    }
    balanced(&pool.status());
}

#[tokio::test(start_paused = true)]
async fn a_silent_worker_gets_no_call_while_it_is_killed() {
    let profile = ScriptedProfile::new(1);
    let pool = ready(watched(2, |_| {}), &profile).await;
    let silent = profile.workers()[0].id().clone();
    silence(&profile.workers()[0]);
    later(|| pool.status().heartbeat_kills == 1).await;
    let one = begin(&pool, "gate").await;
    let two = begin(&pool, "gate").await;
    for worker in profile.workers() {
        assert!(*worker.id() != silent || worker.running() == 0);
    }
    profile.allow(2);
    one.await.unwrap().unwrap();
    two.await.unwrap().unwrap();
    balanced(&pool.status());
}

/// The original loses the place of a worker that was ended for its heartbeats: its supervisor stays
/// without a child, but is counted.
#[tokio::test(start_paused = true)]
async fn defect_03_a_heartbeat_kill_costs_no_capacity() {
    let profile = ScriptedProfile::new(1);
    let mut config = watched(3, |_| {});
    config.restart.max_restarts = 1;
    let pool = ready(config, &profile).await;
    for round in 1..=20 {
        let workers = profile.workers();
        silence(&workers[round % 3]);
        later(|| pool.status().heartbeat_kills == round as u64).await;
        later(|| pool.status().ready == 3).await;
    }
    let status = pool.status();
    assert_eq!(profile.workers().len(), 3);
    assert_eq!(status.state, PoolState::Ready, "it does not give up");
    assert_eq!((status.restarts, status.start_failures), (20, 0));
    assert_eq!(status.start_error, None);
    assert_eq!(profile.most(), 3, "nor does it grow");
}

/// The original ends a worker at the first slow or failed answer, regardless of the limit of
/// misses.
#[tokio::test(start_paused = true)]
async fn defect_04_one_missed_heartbeat_kills_nobody() {
    let profile = ScriptedProfile::new(1);
    let pool = ready(watched(1, |one| one.timeout = SECOND), &profile).await;
    let worker = profile.workers()[0].clone();
    for _ in 0..10 {
        silence(&worker);
        later(|| beats(&pool)[0].misses == 2).await;
        answer(&worker, 0);
        later(|| beats(&pool)[0].misses == 0).await;
        sleep(20 * SECOND).await;
    }
    let status = pool.status();
    assert_eq!((profile.starts(), status.heartbeat_kills), (1, 0));
    assert!(status.heartbeat_misses >= 20, "{}", status.heartbeat_misses);
    assert_eq!(state(&pool), HeartbeatState::Ok);
}

/// In the original a worker lives only as long as a row in the table of sessions, which a crash, a
/// full table or a tool can remove.
#[tokio::test(start_paused = true)]
async fn defect_71a_a_worker_lives_without_any_session() {
    let host = HostState::new(HostStateConfig::new()).unwrap();
    let session = host
        .sessions()
        .create("user", SessionOptions::new())
        .unwrap();
    let profile = ScriptedProfile::new(1);
    let pool = ready(watched(2, |_| {}), &profile).await;
    let options = CallOptions::new().session("user");
    pool.execute("echo", crate::support::payload(7), &options)
        .await
        .unwrap();
    session.delete().unwrap();
    pool.release_session(&"user".into());
    sleep(101 * SECOND).await;
    drop(host);
    sleep(100 * SECOND).await;
    assert_eq!((profile.starts(), pool.status().heartbeat_misses), (2, 0));
    for worker in profile.workers() {
        assert_eq!(worker.questions(), 100, "they were asked all the time");
    }
}

#[tokio::test(start_paused = true)]
async fn a_silent_worker_is_replaced_once_its_call_is_over() {
    let profile = ScriptedProfile::new(1);
    let pool = ready(watched(1, |_| {}), &profile).await;
    let busy = begin(&pool, "gate").await;
    silence(&profile.workers()[0]);
    sleep(100 * SECOND).await;
    assert_eq!(profile.starts(), 1);
    profile.allow(1);
    busy.await.unwrap().unwrap();
    timeout(5 * SECOND, profile.started(2)).await.unwrap();
    call(&pool, "echo").await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_host_that_was_late_replaces_nobody() {
    let profile = ScriptedProfile::new(1);
    let change = |one: &mut HeartbeatConfig| one.misses = 1;
    let pool = ready(watched(3, change), &profile).await;
    sleep(5 * SECOND).await;
    // Heartbeats are open, and no answer is read while the host is suspended.
    profile.workers().iter().for_each(|one| silence(one));
    sleep(2 * SECOND).await;
    advance(30 * SECOND).await;
    profile.workers().iter().for_each(|one| answer(one, 0));
    sleep(60 * SECOND).await;
    let status = pool.status();
    assert_eq!((profile.starts(), status.heartbeat_misses), (3, 0));
    assert!(beats(&pool).iter().all(|one| one.age_seconds < Some(2.1)));
}

#[tokio::test(start_paused = true)]
async fn a_pool_closes_while_workers_are_silent() {
    let profile = ScriptedProfile::new(1);
    let pool = ready(watched(2, |_| {}), &profile).await;
    let busy = begin(&pool, "gate").await;
    profile.workers().iter().for_each(|one| silence(one));
    sleep(8 * SECOND).await;
    let start = Instant::now();
    pool.close().await;
    assert_eq!(start.elapsed().as_secs(), 10, "the drain of the busy one");
    assert!(busy.await.unwrap().is_err());
    assert_eq!(pool.status().heartbeat_kills, 0);
    assert!(profile.workers().is_empty());
    sleep(LONG).await;
    assert_eq!(profile.starts(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_dies_while_it_is_unresponsive_is_replaced_once() {
    let profile = ScriptedProfile::new(1);
    let pool = ready(watched(2, |_| {}), &profile).await;
    let worker = profile.workers()[0].clone();
    silence(&worker);
    later(|| pool.status().heartbeat_kills == 1).await;
    worker.die("killed by signal 9", false);
    later(|| pool.status().ready == 2).await;
    sleep(LONG).await;
    assert_eq!((profile.starts(), profile.workers().len()), (3, 2));
}

#[test]
fn settings_out_of_range_are_refused() {
    let key = |change: fn(&mut HeartbeatConfig)| {
        let config = watched(1, change);
        config.validate().map_err(|error| error.key)
    };
    let refused = |key: &str| Err(format!("heartbeat.{key}"));
    assert_eq!(key(|_| {}), Ok(()));
    assert_eq!(
        key(|one| one.interval = Duration::ZERO),
        refused("interval")
    );
    assert_eq!(
        key(|one| one.interval = Duration::from_millis(9)),
        refused("interval")
    );
    assert_eq!(key(|one| one.timeout = Duration::ZERO), refused("timeout"));
    assert_eq!(key(|one| one.misses = 0), refused("misses"));
    assert_eq!(key(|one| one.misses = 101), refused("misses"));
    assert_eq!(
        key(|one| one.initial_delay = Duration::MAX),
        refused("initial_delay")
    );
    assert_eq!(
        key(|one| one.stall_timeout = Some(Duration::ZERO)),
        refused("stall_timeout")
    );
}
