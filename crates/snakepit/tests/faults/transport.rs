//! Connections between workers and host that stall, trickle, or break in one direction.

use std::time::Duration;

use snakepit::{CallOptions, ErrorCode, Snakepit};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

use crate::oracle::Scene;
use crate::proxy::{Mode, Proxy};
use crate::record::{Row, ms};
use crate::support::LONG;

const WORKERS: usize = 2;
const DEADLINE: Duration = Duration::from_millis(500);

/// Makes concurrent calls, each of which must have one outcome. Returns the number of successes and
/// the time of the slowest.
async fn calls(snakepit: &Snakepit, count: usize, deadline: Duration) -> (usize, Duration) {
    let mut calls = JoinSet::new();
    let clock = Instant::now();
    for _ in 0..count {
        let other = snakepit.clone();
        calls.spawn(async move {
            let options = CallOptions::new().timeout(deadline);
            let outcome = other.call::<i64>("pid").options(&options).await;
            (outcome.map_err(|error| error.code()), clock.elapsed())
        });
    }
    let (mut outcomes, mut fine, mut slowest) = (0, 0, Duration::ZERO);
    while let Some(call) = calls.join_next().await {
        let (outcome, took) = call.unwrap();
        outcomes += 1;
        slowest = slowest.max(took);
        match outcome {
            Ok(_) => fine += 1,
            Err(ErrorCode::CallTimeout | ErrorCode::QueueTimeout | ErrorCode::WorkerDied) => {}
            Err(other) => panic!("{other}"),
        }
    }
    assert_eq!(outcomes, count);
    (fine, slowest)
}

async fn whole(snakepit: &Snakepit) {
    let whole = async {
        while snakepit.status()[0].ready < WORKERS
            || calls(snakepit, WORKERS, DEADLINE).await.0 < WORKERS
        {
            // polls: replacements become ready
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(LONG, whole).await.unwrap();
}

/// Causes a fault during calls. Checks that deadlines hold meanwhile and that the pool recovers
/// afterwards.
async fn disturbed(row: Row, mode: Mode) {
    let scene = Scene::new();
    let proxy = Proxy::start(&scene);
    let pool = scene
        .pool(WORKERS)
        .python_path(Proxy::directory(&scene))
        .configure(|pool| {
            pool.cancel_grace = Duration::from_millis(300);
            pool.drain_timeout = Duration::from_millis(300);
            pool.stop_grace = Duration::from_millis(300);
            pool.restart.initial_backoff = Duration::from_millis(1);
            pool.restart.max_backoff = Duration::from_millis(100);
            pool.restart.max_restarts = 10_000;
        });
    let clock = Instant::now();
    let snakepit = scene.host(pool).start().await.unwrap();
    let start_time = clock.elapsed();
    assert_eq!(calls(&snakepit, 20, LONG).await.0, 20);
    assert!(proxy.bytes() > 0, "they came through the proxy");
    proxy.set(mode);
    let (fine, slowest) = calls(&snakepit, 20, DEADLINE).await;
    assert_eq!(fine, 0, "none can be answered");
    let limit = DEADLINE + start_time.max(Duration::from_millis(200));
    assert!(slowest < limit, "{slowest:?}, at most {limit:?}");
    proxy.set(Mode::Pass);
    let clock = Instant::now();
    whole(&snakepit).await;
    let healed = clock.elapsed();
    timeout(LONG, snakepit.shutdown()).await.unwrap();
    drop(proxy);
    scene.close(snakepit).await;
    row.holds(format!(
        "deadline of {} kept within {}, whole again after {}",
        ms(DEADLINE),
        ms(slowest.saturating_sub(DEADLINE)),
        ms(healed)
    ));
}

#[tokio::test(flavor = "multi_thread")]
async fn row_81_a_connection_that_stalls() {
    disturbed(Row::new(81, "connection stalls"), Mode::Stall).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn row_81_a_connection_with_a_byte_a_second() {
    disturbed(Row::new(81, "connection carries 1 B/s"), Mode::Trickle).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn row_81_a_connection_that_is_cut() {
    disturbed(Row::new(81, "connection is cut"), Mode::Cut).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn row_81_a_connection_that_only_the_host_sees_end() {
    disturbed(
        Row::new(81, "connection half open, ended for the host"),
        Mode::CutHost,
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn row_81_a_connection_that_only_the_worker_sees_end() {
    disturbed(
        Row::new(81, "connection half open, ended for the worker"),
        Mode::CutWorker,
    )
    .await;
}
