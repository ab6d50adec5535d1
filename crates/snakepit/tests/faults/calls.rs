//! Workers that die, hang and misbehave during calls.

use std::fs;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_bytes::ByteBuf;
use snakepit::{CallOptions, Error, ErrorCode, Snakepit, args};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

use crate::oracle::Scene;
use crate::record::{Row, ms};
use crate::support::{LONG, file, in_time};

async fn start(scene: &Scene, workers: usize) -> Snakepit {
    let pool = scene.pool(workers);
    scene.host(pool).start().await.unwrap()
}

async fn healthy(snakepit: &Snakepit, workers: usize) {
    let ready = async {
        while snakepit.status()[0].ready < workers {
            // polls: a replacement becomes ready
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    timeout(LONG, ready).await.unwrap();
    snakepit.execute::<i64>("pid", ()).await.unwrap();
}

fn sigkill(pid: &str) {
    kill(Pid::from_raw(pid.parse().unwrap()), Signal::SIGKILL).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn row_51_worker_killed_during_a_call() {
    let row = Row::new(51, "worker SIGKILL during a call");
    let scene = Scene::new();
    let snakepit = start(&scene, 1).await;
    let (other, mut calls) = (snakepit.clone(), JoinSet::new());
    let arguments = args! { "started" => scene.text("started"), "go" => scene.text("go") };
    calls.spawn(async move { other.execute::<i64>("wait", arguments).await });
    let pid = file(&scene.path("started")).await;
    fs::remove_file(scene.path("started")).unwrap();
    let killed = Instant::now();
    sigkill(&pid);
    let error = calls.join_next().await.unwrap().unwrap().unwrap_err();
    let took = killed.elapsed();
    assert!(
        matches!(
            error,
            Error::WorkerDied {
                ambiguous: true,
                ..
            }
        ),
        "{error:?}"
    );
    assert!(in_time(killed, Duration::from_secs(1)), "{took:?}");
    healthy(&snakepit, 1).await;
    assert!(!scene.path("started").exists(), "the call was not repeated");
    scene.close(snakepit).await;
    row.holds(format!("WorkerDied, ambiguous, after {}", ms(took)));
}

#[tokio::test(flavor = "multi_thread")]
async fn row_52_worker_killed_during_a_stream() {
    let row = Row::new(52, "worker SIGKILL during a stream");
    let scene = Scene::new();
    let snakepit = start(&scene, 1).await;
    let arguments = args! { "n" => 20, "pid_file" => scene.text("pid"), "go" => scene.text("go") };
    let mut stream = snakepit
        .execute_stream::<i64>("count", arguments)
        .await
        .unwrap();
    let next = async |stream: &mut snakepit::ResultStream<i64>| {
        timeout(LONG, stream.next()).await.unwrap()
    };
    for expected in 0..10 {
        assert_eq!(next(&mut stream).await.unwrap().unwrap(), expected);
    }
    sigkill(&file(&scene.path("pid")).await);
    let error = next(&mut stream).await.unwrap().unwrap_err();
    assert_eq!(error.code(), ErrorCode::WorkerDied);
    assert!(next(&mut stream).await.is_none(), "one error, then the end");
    drop(stream);
    healthy(&snakepit, 1).await;
    scene.close(snakepit).await;
    row.holds("10 items in order, then WorkerDied once");
}

#[tokio::test(flavor = "multi_thread")]
async fn row_55_a_held_gil_is_no_reason_to_kill() {
    let row = Row::new(55, "GIL held for seconds, deadline later");
    let scene = Scene::new();
    let snakepit = start(&scene, 1).await;
    let before: i64 = snakepit.execute("pid", ()).await.unwrap();
    let clock = Instant::now();
    let arguments = args! { "started" => scene.text("started"), "amount" => 50_000_000 };
    let sum: i64 = snakepit.execute("hold_gil", arguments).await.unwrap();
    assert_eq!(sum, 1_249_999_975_000_000);
    let held = clock.elapsed();
    let after: i64 = snakepit.execute("pid", ()).await.unwrap();
    assert_eq!(before, after);
    scene.close(snakepit).await;
    row.holds(format!(
        "held for {}, result returned, same worker",
        ms(held)
    ));
}

#[tokio::test(flavor = "multi_thread")]
async fn row_61_memory_blow_up() {
    let row = Row::new(61, "memory blow-up under RLIMIT_AS");
    let scene = Scene::new();
    let snakepit = start(&scene, 1).await;
    let () = snakepit
        .execute("limit_memory", args! { "mib" => 2048 })
        .await
        .unwrap();
    let error = snakepit
        .execute::<i64>("blow_up", args! { "mib" => 8192 })
        .await
        .unwrap_err();
    healthy(&snakepit, 1).await;
    assert_eq!(error.code(), ErrorCode::ToolRaised, "{error}");
    scene.close(snakepit).await;
    row.holds("MemoryError of the tool, worker goes on");
}

#[tokio::test(flavor = "multi_thread")]
async fn row_62_children_die_with_their_worker() {
    let row = Row::new(62, "worker with many children is stopped");
    let scene = Scene::new();
    let snakepit = start(&scene, 1).await;
    for _ in 0..10 {
        snakepit.execute::<Vec<u32>>("family", ()).await.unwrap();
    }
    scene.close(snakepit).await;
    row.holds("20 children in the group gone with it");
}

#[tokio::test(flavor = "multi_thread")]
async fn row_71_dropped_callers() {
    let row = Row::new(71, "caller drops a queued and a running call");
    let scene = Scene::new();
    let snakepit = start(&scene, 1).await;
    let (other, mut running) = (snakepit.clone(), JoinSet::new());
    let arguments = args! { "started" => scene.text("started"), "go" => scene.text("go") };
    running.spawn(async move { other.execute::<i64>("persist", arguments).await });
    file(&scene.path("started")).await;
    let mut queued = JoinSet::new();
    let (other, ledger) = (snakepit.clone(), scene.text("ledger"));
    let arguments = args! { "ledger" => ledger, "text" => "ran" };
    queued.spawn(async move { other.execute::<String>("note", arguments).await });
    while snakepit.status()[0].queue_depth < 1 {
        tokio::task::yield_now().await;
    }
    queued.shutdown().await;
    running.shutdown().await;
    assert_eq!(snakepit.status()[0].queue_depth, 0);
    assert_eq!(
        snakepit.status()[0].in_flight,
        1,
        "held until the tool ends"
    );
    fs::write(scene.path("go"), "go").unwrap();
    healthy(&snakepit, 1).await;
    assert_eq!(snakepit.status()[0].in_flight, 0);
    assert!(!scene.path("ledger").exists(), "the queued call never ran");
    scene.close(snakepit).await;
    row.holds("gauges 0, queued call never ran, slot held until the end");
}

#[tokio::test(flavor = "multi_thread")]
async fn row_72_deadline_passes_in_the_queue() {
    let row = Row::new(72, "deadline passes in the queue");
    let scene = Scene::new();
    let snakepit = start(&scene, 1).await;
    let (other, mut running) = (snakepit.clone(), JoinSet::new());
    let arguments = args! { "started" => scene.text("started"), "go" => scene.text("go") };
    running.spawn(async move { other.execute::<i64>("wait", arguments).await });
    file(&scene.path("started")).await;
    let options = CallOptions::new().queue_timeout(Duration::from_millis(50));
    let arguments = args! { "ledger" => scene.text("ledger"), "text" => "ran" };
    let call = snakepit
        .call::<String>("note")
        .args(arguments)
        .options(&options);
    assert_eq!(call.await.unwrap_err().code(), ErrorCode::QueueTimeout);
    fs::write(scene.path("go"), "go").unwrap();
    assert!(running.join_next().await.unwrap().unwrap().is_ok());
    healthy(&snakepit, 1).await;
    assert!(!scene.path("ledger").exists(), "the call never ran");
    scene.close(snakepit).await;
    row.holds("QueueTimeout, never dispatched");
}

#[tokio::test(flavor = "multi_thread")]
async fn row_82_too_large_and_too_deep() {
    let row = Row::new(82, "oversize message each way, deep result");
    let scene = Scene::new();
    let pool = scene.pool(1).max_payload(1 << 20);
    let snakepit = scene.host(pool).start().await.unwrap();
    let pid: i64 = snakepit.execute("pid", ()).await.unwrap();
    let data = ByteBuf::from(vec![0; 2 << 20]);
    let error = snakepit
        .execute::<i64>("size", args! { "data" => data })
        .await;
    assert_eq!(error.unwrap_err().code(), ErrorCode::PayloadTooLarge);
    let error = snakepit
        .execute::<ByteBuf>("big", args! { "n" => 2 << 20 })
        .await;
    assert_eq!(error.unwrap_err().code(), ErrorCode::PayloadTooLarge);
    let error = snakepit
        .execute::<snakepit::Value>("deep", args! { "n" => 100_000 })
        .await
        .unwrap_err();
    assert_eq!(snakepit.execute::<i64>("pid", ()).await.unwrap(), pid);
    scene.close(snakepit).await;
    row.holds(format!(
        "PayloadTooLarge twice, {} for depth, same worker",
        error.code()
    ));
}

#[tokio::test(flavor = "multi_thread")]
async fn row_45_a_worker_that_shouts() {
    let row = Row::new(45, "worker writes 2 MB to its error output");
    let scene = Scene::new();
    let snakepit = start(&scene, 1).await;
    let n: i64 = snakepit
        .execute("shout", args! { "n" => 20_000 })
        .await
        .unwrap();
    assert_eq!(n, 20_000);
    healthy(&snakepit, 1).await;
    scene.close(snakepit).await;
    row.holds("drained, the call returns");
}
