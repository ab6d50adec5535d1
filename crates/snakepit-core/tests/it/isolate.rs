//! Isolated calls, and the workers that they get.
#![expect(
    clippy::unwrap_used,
    reason = "a helper of a test may panic like the test"
)]

use std::sync::Arc;

use snakepit_core::call::CallOptions;
use snakepit_core::policy::QuarantinePolicy;
use snakepit_core::pool::{HeartbeatState, Pool, PoolConfig};
use snakepit_core::testing::{ScriptedProfile, ScriptedWorker};
use tokio::task::JoinHandle;
use tokio::time::sleep;

use crate::liveness::{SECOND, answer, silence, watched};
use crate::support::{LONG, balanced, begin, begin_with, ready, until};

type Task = JoinHandle<Result<snakepit_core::value::Payload, snakepit_core::error::Error>>;

fn strict(workers: usize) -> PoolConfig {
    let mut config = watched(workers, |_| {});
    config.quarantine = Some(QuarantinePolicy::default());
    config.restart.max_restarts = 1000;
    config.queue_timeout = LONG * 100;
    config
}

fn blamed() -> CallOptions {
    CallOptions::new().fingerprint("a").idempotent()
}

/// Lets two calls die with the worker that they share, so that the first one is isolated next time.
async fn blame(pool: &Pool, profile: &ScriptedProfile) {
    let other = CallOptions::new().fingerprint("b").idempotent();
    // The workers are filled in turn, so one of them has both.
    let mut calls = Vec::new();
    for options in [blamed(), CallOptions::new(), other, CallOptions::new()] {
        calls.push(begin_with(pool, "hang", options).await);
    }
    let workers = profile.workers();
    until(|| workers.iter().all(|one| one.running() == 2)).await;
    for worker in workers {
        worker.die("killed by signal 11", false);
    }
    for call in calls {
        call.await.unwrap().unwrap_err();
    }
    sleep(10 * SECOND).await;
    until(|| pool.status().ready == 2 && profile.workers().len() == 2).await;
}

async fn gate(pool: &Pool, worker: &ScriptedWorker) -> Task {
    let before = worker.running();
    let task = begin(pool, "gate").await;
    until(|| worker.running() == before + 1).await;
    task
}

fn states(pool: &Pool) -> Vec<HeartbeatState> {
    let workers = pool.workers();
    let beats = workers.into_iter().filter_map(|one| one.heartbeat);
    beats.map(|beat| beat.state).collect()
}

/// Sets up a silent worker that has a call, and a worker with two calls.
async fn one_quiet(pool: &Pool, profile: &ScriptedProfile) -> (Arc<ScriptedWorker>, Vec<Task>) {
    let workers = profile.workers();
    let first = begin(pool, "gate").await;
    until(|| workers.iter().any(|one| one.running() == 1)).await;
    let at = workers.iter().position(|one| one.running() == 1).unwrap();
    let (quiet, busy) = (&workers[at], &workers[1 - at]);
    silence(quiet);
    sleep(30 * SECOND).await;
    assert!(states(pool).contains(&HeartbeatState::Quiet));
    let tasks = vec![first, gate(pool, busy).await, gate(pool, busy).await];
    (Arc::clone(quiet), tasks)
}

#[tokio::test(start_paused = true)]
async fn a_paused_worker_is_the_last_choice() {
    let profile = ScriptedProfile::new(2);
    let pool = ready(strict(2), &profile).await;
    blame(&pool, &profile).await;
    let (quiet, tasks) = one_quiet(&pool, &profile).await;
    let isolated = begin_with(&pool, "echo", blamed()).await;
    profile.allow(3);
    // The calls of the other worker end, and it is free for the blamed call.
    isolated.await.unwrap().unwrap();
    assert!(states(&pool).contains(&HeartbeatState::Quiet));
    answer(&quiet, 0);
    for task in tasks {
        task.await.unwrap().unwrap();
    }
    balanced(&pool.status());
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_is_paused_while_it_is_held_is_given_up_for_another() {
    let profile = ScriptedProfile::new(2);
    let pool = ready(strict(2), &profile).await;
    blame(&pool, &profile).await;
    let workers = profile.workers();
    let mut tasks = Vec::new();
    for _ in 0..3 {
        tasks.push(begin(&pool, "stuck").await);
    }
    until(|| workers.iter().map(|one| one.running()).sum::<usize>() == 3).await;
    let least = workers.iter().find(|one| one.running() == 1).unwrap();
    let other = workers.iter().find(|one| one.running() == 2).unwrap();
    // The blamed call waits for the worker with one call, which falls silent.
    let isolated = begin_with(&pool, "echo", blamed()).await;
    silence(least);
    sleep(60 * SECOND).await;
    assert!(states(&pool).contains(&HeartbeatState::Quiet));
    other.die("killed by signal 9", false);
    // The replacement is empty.
    sleep(10 * SECOND).await;
    isolated.await.unwrap().unwrap();
    assert_eq!(least.running(), 1, "nothing has changed there");
    tasks.into_iter().for_each(|task| task.abort());
}
