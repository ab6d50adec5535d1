//! Signs of life of workers that have calls: the events, the consequences, and that no worker is
//! killed for its silence.

use snakepit_core::call::CallOptions;
use snakepit_core::error::Error;
use snakepit_core::pool::{HeartbeatConfig, HeartbeatState};
use snakepit_core::testing::ScriptedProfile;
use tokio::time::{Instant, advance, sleep};

use crate::liveness::{SECOND, answer, beats, later, silence, state, watched};
use crate::support::{LONG, balanced, begin, begin_with, call, ready};

/// In the original the heartbeat waits behind the calls of the worker, and the answer has no
/// consequence.
#[tokio::test(start_paused = true)]
async fn defect_72_a_busy_worker_is_asked_and_the_answer_counts() {
    let profile = ScriptedProfile::new(2);
    let pool = ready(watched(1, |_| {}), &profile).await;
    let worker = profile.workers()[0].clone();
    let busy = begin(&pool, "gate").await;
    sleep(SECOND).await;
    let before = worker.questions();
    sleep(20 * SECOND).await;
    assert_eq!(
        worker.questions(),
        before + 10,
        "it is asked beside its call"
    );
    answer(&worker, 12);
    later(|| state(&pool) == HeartbeatState::Quiet).await;
    assert_eq!(beats(&pool)[0].held_seconds, Some(12.0));
    let waiting = begin(&pool, "nap").await;
    assert_eq!(pool.status().queue_depth, 1, "it gets no further call");
    answer(&worker, 0);
    waiting.await.unwrap().unwrap();
    assert_eq!(state(&pool), HeartbeatState::Ok);
    profile.allow(1);
    busy.await.unwrap().unwrap();
    balanced(&pool.status());
}

#[tokio::test(start_paused = true)]
async fn a_busy_worker_is_never_killed_for_its_silence() {
    let profile = ScriptedProfile::new(2);
    let pool = ready(watched(1, |_| {}), &profile).await;
    let worker = profile.workers()[0].clone();
    let busy = begin(&pool, "gate").await;
    silence(&worker);
    later(|| state(&pool) == HeartbeatState::Quiet).await;
    let waiting = begin_with(&pool, "echo", CallOptions::new().queue_timeout(LONG * 100)).await;
    sleep(3600 * SECOND).await;
    assert_eq!(pool.status().queue_depth, 1);
    assert!(beats(&pool)[0].misses > 1000);
    answer(&worker, 0);
    waiting.await.unwrap().unwrap();
    profile.allow(1);
    busy.await.unwrap().unwrap();
    assert_eq!((profile.starts(), pool.status().heartbeat_kills), (1, 0));
    balanced(&pool.status());
}

#[tokio::test(start_paused = true)]
async fn a_call_without_cpu_time_is_told_once_and_kept() {
    let profile = ScriptedProfile::new(1);
    let pool = ready(watched(1, |_| {}), &profile).await;
    let worker = profile.workers()[0].clone();
    worker.set_cpu(3 * SECOND);
    let busy = begin(&pool, "gate").await;
    sleep(9 * SECOND).await;
    assert_eq!(state(&pool), HeartbeatState::Ok);
    sleep(5 * SECOND).await;
    assert_eq!(state(&pool), HeartbeatState::Stalled);
    assert!(beats(&pool)[0].flat_seconds >= Some(10.0));
    worker.set_cpu(4 * SECOND);
    sleep(2 * SECOND).await;
    assert_eq!(state(&pool), HeartbeatState::Ok, "it works again");
    sleep(3600 * SECOND).await;
    assert_eq!(state(&pool), HeartbeatState::Stalled);
    profile.allow(1);
    busy.await.unwrap().unwrap();
    sleep(2 * SECOND).await;
    assert_eq!(state(&pool), HeartbeatState::Ok, "an idle worker rests");
    assert_eq!(pool.status().heartbeat_kills, 0);
}

#[tokio::test(start_paused = true)]
async fn a_call_without_cpu_time_is_killed_only_on_request() {
    let profile = ScriptedProfile::new(1);
    let change = |one: &mut HeartbeatConfig| one.stall_timeout = Some(60 * SECOND);
    let pool = ready(watched(1, change), &profile).await;
    profile.workers()[0].set_cpu(SECOND);
    // Rest without a call does not count.
    sleep(1000 * SECOND).await;
    let start = Instant::now();
    let error = call(&pool, "stuck").await.unwrap_err();
    assert!(matches!(error, Error::WorkerDied { .. }), "{error:?}");
    let took = start.elapsed().as_secs();
    assert!((60..=64).contains(&took), "{took} s");
    later(|| pool.status().ready == 1).await;
    let status = pool.status();
    assert_eq!((status.heartbeat_kills, status.restarts), (1, 1));
    assert_eq!(status.start_failures, 0);
    balanced(&status);
}

#[tokio::test(start_paused = true)]
async fn short_calls_are_no_rest_even_if_they_use_no_cpu_time() {
    let profile = ScriptedProfile::new(1);
    let change = |one: &mut HeartbeatConfig| one.stall_timeout = Some(10 * SECOND);
    let pool = ready(watched(1, change), &profile).await;
    profile.workers()[0].set_cpu(SECOND);
    let end = Instant::now() + 100 * SECOND;
    while Instant::now() < end {
        call(&pool, "nap").await.unwrap();
    }
    assert_eq!((profile.starts(), pool.status().heartbeat_kills), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn a_tool_that_goes_on_loses_its_worker_when_somebody_waits() {
    let took = async |kill_when_queued| {
        let profile = ScriptedProfile::new(1);
        let mut config = watched(1, |one| one.kill_when_queued = kill_when_queued);
        config.cancel_grace = 60 * SECOND;
        let pool = ready(config, &profile).await;
        let options = CallOptions::new().timeout(10 * SECOND);
        let stuck = begin_with(&pool, "stuck", options).await;
        assert!(stuck.await.unwrap().is_err());
        let start = Instant::now();
        let options = CallOptions::new().queue_timeout(LONG);
        pool.execute("echo", crate::support::payload(7), &options)
            .await
            .unwrap();
        balanced(&pool.status());
        start.elapsed().as_secs()
    };
    assert!(took(true).await <= 2, "at the next sign of life");
    assert_eq!(took(false).await, 60, "after its grace");
}

#[tokio::test(start_paused = true)]
async fn rest_during_a_pause_of_the_host_does_not_count() {
    let profile = ScriptedProfile::new(1);
    let change = |one: &mut HeartbeatConfig| one.stall_timeout = Some(60 * SECOND);
    let pool = ready(watched(1, change), &profile).await;
    profile.workers()[0].set_cpu(SECOND);
    let busy = begin(&pool, "gate").await;
    sleep(30 * SECOND).await;
    advance(100 * SECOND).await;
    sleep(50 * SECOND).await;
    profile.allow(1);
    busy.await.unwrap().unwrap();
    assert_eq!(pool.status().heartbeat_kills, 0);
}

#[tokio::test(start_paused = true)]
async fn a_tool_that_goes_on_costs_no_other_call_of_its_worker() {
    for kill_when_queued in [false, true] {
        let profile = ScriptedProfile::new(2);
        let mut config = watched(1, |one| one.kill_when_queued = kill_when_queued);
        // The heartbeat is the first to see that the time has passed.
        config.cancel_grace = 60 * SECOND;
        let pool = ready(config, &profile).await;
        let innocent = begin(&pool, "gate").await;
        let options = CallOptions::new().timeout(SECOND);
        let stuck = begin_with(&pool, "stuck", options).await;
        assert!(stuck.await.unwrap().is_err());
        let waiting = begin_with(&pool, "nap", CallOptions::new().queue_timeout(LONG * 10)).await;
        assert_eq!(pool.status().queue_depth, 1);
        sleep(59 * SECOND).await;
        assert_eq!(pool.status().heartbeat_kills, 0);
        // Its worker is replaced, and drains.
        waiting.await.unwrap().unwrap();
        sleep(10 * SECOND).await;
        profile.allow(1);
        innocent.await.unwrap().unwrap();
        later(|| pool.workers().len() == 1).await;
        assert_eq!(pool.status().heartbeat_kills, 0);
        balanced(&pool.status());
    }
}
