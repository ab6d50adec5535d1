//! Orderly shutdowns with running, waiting and stubborn calls.

use std::fs;
use std::time::Duration;

use snakepit::{ErrorCode, args};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

use crate::oracle::Scene;
use crate::random::Random;
use crate::record::{Row, ms};
use crate::subject::Host;
use crate::support::{LONG, file};

const NONE: Duration = Duration::from_millis(500);

#[test]
fn row_12_orderly_shutdown_leaves_nothing() {
    let row = Row::new(12, "orderly shutdown under load");
    let scene = Scene::new();
    let (mut host, _) = Host::ready(&scene, "load_shutdown", 3);
    host.answer("@shut");
    assert!(host.wait().success());
    let took = scene.clean(NONE);
    row.holds(format!("nothing left after {}", ms(took)));
}

#[tokio::test(flavor = "multi_thread")]
async fn row_57_workers_that_ignore_sigterm() {
    let row = Row::new(57, "worker ignores SIGTERM and holds the GIL");
    let scene = Scene::new();
    let grace = Duration::from_secs(1);
    let pool = scene.pool(1).configure(|pool| {
        pool.drain_timeout = Duration::ZERO;
        pool.stop_grace = grace;
    });
    let clock = Instant::now();
    let snakepit = scene.host(pool).start().await.unwrap();
    let start_time = clock.elapsed();
    snakepit.execute::<i64>("stubborn", ()).await.unwrap();
    let (started, mut calls) = (scene.path("started"), JoinSet::new());
    let arguments = args! { "started" => scene.text("started"), "amount" => 1_i64 << 40 };
    let other = snakepit.clone();
    calls.spawn(async move { other.execute::<i64>("hold_gil", arguments).await });
    file(&started).await;
    let start = Instant::now();
    timeout(LONG, snakepit.shutdown()).await.unwrap();
    let took = start.elapsed();
    // A machine that is slow here was slow at the start, too.
    let limit = grace + (start_time * 4).max(Duration::from_secs(2));
    assert!(grace <= took && took < limit, "{took:?}, at most {limit:?}");
    assert!(calls.join_next().await.unwrap().unwrap().is_err());
    drop(snakepit);
    scene.clean(NONE);
    row.holds(format!(
        "grace of {}, dead {} later",
        ms(grace),
        ms(took - grace)
    ));
}

#[tokio::test(flavor = "multi_thread")]
async fn row_67_running_and_queued_calls() {
    let row = Row::new(67, "shutdown with running and queued calls");
    let scene = Scene::new();
    let snakepit = scene.host(scene.pool(1)).start().await.unwrap();
    let mut running = JoinSet::new();
    let other = snakepit.clone();
    let arguments = args! { "started" => scene.text("started"), "go" => scene.text("go") };
    running.spawn(async move { other.execute::<i64>("wait", arguments).await });
    file(&scene.path("started")).await;
    let mut queued = JoinSet::new();
    for _ in 0..4 {
        let (other, ledger) = (snakepit.clone(), scene.text("ledger"));
        let arguments = args! { "ledger" => ledger, "text" => "ran" };
        queued.spawn(async move { other.execute::<String>("note", arguments).await });
    }
    while snakepit.status()[0].queue_depth < 4 {
        tokio::task::yield_now().await;
    }
    let closing = async {
        let shutdown = snakepit.shutdown();
        tokio::pin!(shutdown);
        // The first poll closes the pool; the running call may end after that.
        tokio::select! {
            biased;
            _ = &mut shutdown => {}
            one = queued.join_next() => {
                assert_eq!(one.unwrap().unwrap().unwrap_err().code(), ErrorCode::Closed);
                fs::write(scene.path("go"), "go").unwrap();
                let report = shutdown.await;
                assert!(report.leftover.is_empty(), "{report:?}");
            }
        }
    };
    timeout(LONG, closing).await.unwrap();
    assert!(running.join_next().await.unwrap().unwrap().is_ok());
    while let Some(one) = queued.join_next().await {
        assert_eq!(one.unwrap().unwrap_err().code(), ErrorCode::Closed);
    }
    assert!(!scene.path("ledger").exists(), "no queued call ran");
    drop(snakepit);
    scene.clean(NONE);
    row.holds("the running call has its result, queued ones are refused");
}

#[tokio::test(flavor = "multi_thread")]
async fn row_69_shutdown_races_crash_and_restart() {
    let row = Row::new(69, "shutdown races crash and restart");
    let mut random = Random::new(u64::from(std::process::id()));
    for _ in 0..20 {
        let scene = Scene::new();
        let pool = scene.pool(2).configure(|pool| {
            pool.stop_grace = Duration::from_millis(300);
            pool.restart.initial_backoff = Duration::from_millis(1);
        });
        let snakepit = scene.host(pool).start().await.unwrap();
        let mut calls = JoinSet::new();
        for _ in 0..2 {
            let other = snakepit.clone();
            calls.spawn(async move { other.execute::<()>("die", args! { "how" => "exit" }).await });
        }
        assert!(calls.join_next().await.unwrap().unwrap().is_err());
        // The fault is the moment: dead, waiting for a start, starting, or ready again.
        tokio::time::sleep(Duration::from_micros(random.below(200_000))).await; // polls: the random moment itself
        timeout(LONG, snakepit.shutdown()).await.unwrap();
        drop(snakepit);
        scene.clean(NONE);
    }
    row.holds("20 times, nothing left");
}
