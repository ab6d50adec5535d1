//! Workers that are stopped, stuck or idle: which ones are replaced, and which ones stay.

use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use snakepit::{
    CallOptions, Error, ErrorCode, HeartbeatState, HeartbeatStatus, PoolBuilder, Snakepit, args,
};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::oracle::{Scene, eventually_async};
use crate::record::{Row, ms};
use crate::support::in_time;

const INTERVAL: Duration = Duration::from_millis(200);
const TIMEOUT: Duration = Duration::from_millis(800);

/// Time from the missed heartbeats to a ready replacement: stacks of the old worker, and a start on
/// a busy machine.
const REPLACED: Duration = Duration::from_secs(5);

fn watched(scene: &Scene, workers: usize) -> PoolBuilder {
    scene.pool(workers).heartbeat(|beat| {
        beat.interval = INTERVAL;
        beat.timeout = TIMEOUT;
        beat.initial_delay = Duration::ZERO;
    })
}

fn beat(snakepit: &Snakepit) -> HeartbeatStatus {
    let mut workers = snakepit.workers().into_iter();
    workers.find_map(|one| one.heartbeat).unwrap()
}

async fn asked(snakepit: &Snakepit) {
    let answered = || {
        let workers = snakepit.workers();
        let beats = workers.iter().filter_map(|one| one.heartbeat.as_ref());
        beats.filter(|one| one.age_seconds.is_some()).count() == workers.len()
    };
    eventually_async("every worker has answered", answered).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn row_54_an_idle_worker_is_stopped() {
    let row = Row::new(54, "idle worker SIGSTOP");
    let scene = Scene::new();
    let snakepit = scene.host(watched(&scene, 2)).start().await.unwrap();
    asked(&snakepit).await;
    let victim = snakepit.workers()[0].pid.unwrap();
    let clock = Instant::now();
    kill(
        Pid::from_raw(i32::try_from(victim).unwrap()),
        Signal::SIGSTOP,
    )
    .unwrap();
    let replaced = || {
        let others = snakepit.workers().iter().all(|one| one.pid != Some(victim));
        others && snakepit.status()[0].ready == 2
    };
    eventually_async("the worker is replaced", replaced).await;
    let took = clock.elapsed();
    assert!(
        took >= TIMEOUT + INTERVAL,
        "{took:?}: three answers were missed"
    );
    assert!(
        in_time(clock, TIMEOUT + 4 * INTERVAL + REPLACED),
        "{took:?}"
    );
    for _ in 0..4 {
        snakepit.execute::<i64>("pid", ()).await.unwrap();
    }
    let status = snakepit.status().remove(0);
    assert_eq!((status.heartbeat_kills, status.restarts), (1, 1));
    assert_eq!((status.start_failures, status.errors), (0, 0));
    scene.close(snakepit).await;
    row.holds(format!("replaced after {}, 0 failed starts", ms(took)));
}

#[tokio::test(flavor = "multi_thread")]
async fn row_54_a_worker_is_stopped_during_its_call() {
    let row = Row::new(54, "worker SIGSTOP during a call");
    let scene = Scene::new();
    let pool = watched(&scene, 1).configure(|config| {
        config.cancel_grace = Duration::from_millis(500);
    });
    let snakepit = scene.host(pool).start().await.unwrap();
    let deadline = TIMEOUT + 10 * INTERVAL;
    let (other, mut calls) = (snakepit.clone(), JoinSet::new());
    let arguments = args! { "started" => scene.text("started") };
    let clock = Instant::now();
    calls.spawn(async move {
        let options = CallOptions::new().timeout(deadline);
        let call = other
            .call::<()>("stop_self")
            .args(arguments)
            .options(&options);
        call.await
    });
    let silent = || beat(&snakepit).misses >= 3;
    eventually_async("its silence is seen", silent).await;
    assert_eq!(snakepit.workers()[0].in_flight, 1);
    let error = calls.join_next().await.unwrap().unwrap().unwrap_err();
    let took = clock.elapsed();
    assert_eq!(error.code(), ErrorCode::CallTimeout, "{error:?}");
    assert!(
        took >= deadline,
        "{took:?}: never killed before its deadline"
    );
    snakepit.execute::<i64>("pid", ()).await.unwrap();
    let status = snakepit.status().remove(0);
    assert!(status.heartbeat_misses >= 3, "{status:?}");
    assert_eq!((status.restarts, status.start_failures), (1, 0));
    scene.close(snakepit).await;
    row.holds("kept until its deadline, killed after the grace, replaced");
}

#[tokio::test(flavor = "multi_thread")]
async fn row_55_a_held_gil_is_seen_and_left_alone() {
    let row = Row::new(55, "GIL held far beyond the heartbeat's time-out");
    let scene = Scene::new();
    let snakepit = scene.host(watched(&scene, 1)).start().await.unwrap();
    let before: i64 = snakepit.execute("pid", ()).await.unwrap();
    asked(&snakepit).await;
    let (other, mut calls) = (snakepit.clone(), JoinSet::new());
    let arguments = args! { "started" => scene.text("started"), "amount" => 150_000_000 };
    let clock = Instant::now();
    calls.spawn(async move { other.execute::<i64>("hold_gil", arguments).await });
    let quiet = || beat(&snakepit).state == HeartbeatState::Quiet;
    eventually_async("the held interpreter is seen", quiet).await;
    let seen = beat(&snakepit);
    let held = seen.held_seconds.unwrap();
    assert!(held >= TIMEOUT.as_secs_f64(), "{seen:?}");
    assert_eq!(snakepit.workers()[0].in_flight, 1, "the call goes on");
    let sum = calls.join_next().await.unwrap().unwrap().unwrap();
    assert_eq!(sum, 11_249_999_925_000_000);
    let took = clock.elapsed();
    let fine = || beat(&snakepit).state == HeartbeatState::Ok;
    eventually_async("the interpreter answers again", fine).await;
    assert_eq!(snakepit.execute::<i64>("pid", ()).await.unwrap(), before);
    assert_eq!(snakepit.status()[0].heartbeat_kills, 0);
    scene.close(snakepit).await;
    row.holds(format!(
        "held for {}, status says so, same worker",
        ms(took)
    ));
}

#[tokio::test(flavor = "multi_thread")]
async fn row_56_a_call_that_waits_is_left_alone() {
    let row = Row::new(56, "call waits without CPU time");
    let scene = Scene::new();
    let snakepit = scene.host(watched(&scene, 1)).start().await.unwrap();
    let before: i64 = snakepit.execute("pid", ()).await.unwrap();
    let (other, mut calls) = (snakepit.clone(), JoinSet::new());
    let nap = TIMEOUT * 3;
    let arguments = args! { "ms" => u64::try_from(nap.as_millis()).unwrap() };
    calls.spawn(async move { other.execute::<i64>("nap", arguments).await });
    let stalled = || beat(&snakepit).state == HeartbeatState::Stalled;
    eventually_async("the rest is seen", stalled).await;
    let seen = beat(&snakepit);
    assert_eq!(seen.held_seconds, None, "{seen:?}");
    assert!(seen.flat_seconds >= Some(TIMEOUT.as_secs_f64()), "{seen:?}");
    let after = calls.join_next().await.unwrap().unwrap().unwrap();
    assert_eq!(before, after);
    assert_eq!(snakepit.status()[0].heartbeat_kills, 0);
    scene.close(snakepit).await;
    row.holds("told, kept, result returned");
}

#[tokio::test(flavor = "multi_thread")]
async fn row_56_a_call_that_waits_too_long_is_killed_on_request() {
    let row = Row::new(56, "call waits without CPU time, stall_timeout");
    let scene = Scene::new();
    let stall = TIMEOUT * 2;
    let pool = watched(&scene, 1).heartbeat(|beat| beat.stall_timeout = Some(stall));
    let snakepit = scene.host(pool).start().await.unwrap();
    let clock = Instant::now();
    let error = snakepit
        .execute::<i64>("nap", args! { "ms" => 60_000 })
        .await
        .unwrap_err();
    let took = clock.elapsed();
    assert!(matches!(error, Error::WorkerDied { .. }), "{error:?}");
    assert!(took >= stall, "{took:?}");
    snakepit.execute::<i64>("pid", ()).await.unwrap();
    let status = snakepit.status().remove(0);
    assert_eq!((status.heartbeat_kills, status.restarts), (1, 1));
    assert_eq!(status.start_failures, 0);
    scene.close(snakepit).await;
    row.holds(format!("WorkerDied after {}, replaced", ms(took)));
}
