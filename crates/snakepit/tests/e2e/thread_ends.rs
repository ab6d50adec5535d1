//! Workers of several slots: dropped calls, deaths of workers, shutdown.

use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use snakepit::core::pool::WorkerState;
use snakepit::{Error, RecycleReason, args};
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::support::{LONG, alive, file};
use crate::thread_profile::{begin, path, pid, pool, start, together, until};

#[tokio::test]
async fn a_cancelled_call_leaves_the_others_alone() {
    let snakepit = start(8).await;
    let before = pid(&snakepit);
    let dir = tempfile::tempdir().unwrap();
    let (begun, end) = (dir.path().join("begun"), dir.path().join("end"));
    let other = {
        let arguments = args! { "begun" => path(&dir.path().join("o")), "end" => path(&end) };
        let snakepit = snakepit.clone();
        async move { snakepit.execute::<String>("wait", arguments).await }
    };
    let mut calls = JoinSet::new();
    calls.spawn(other);
    file(&dir.path().join("o")).await;
    let call = snakepit.execute::<()>("loops", args! { "begun" => path(&begun) });
    tokio::select! {
        result = call => panic!("it ended by itself: {result:?}"),
        _ = file(&begun) => {}
    }
    until("the loop goes on", || {
        let stops = snakepit.status()[0].stops;
        stops.exception + stops.interrupt == 1
    })
    .await;
    std::fs::write(&end, "over").unwrap();
    assert_eq!(calls.join_next().await.unwrap().unwrap().unwrap(), "over");
    assert_eq!(pid(&snakepit), before);
    together::<String>(&snakepit, "meet", 8).await;
    snakepit.shutdown().await;
}

#[tokio::test]
async fn a_stuck_call_costs_its_worker_and_no_other_call() {
    let pool = pool(4).configure(|config| config.cancel_grace = Duration::from_millis(200));
    let snakepit = begin(pool).await;
    let old = pid(&snakepit);
    let dir = tempfile::tempdir().unwrap();
    let end = path(&dir.path().join("end"));
    let mut others = JoinSet::new();
    for index in 0..2 {
        let begun = dir.path().join(index.to_string());
        let arguments = args! { "begun" => path(&begun), "end" => end.clone() };
        let snakepit = snakepit.clone();
        others.spawn(async move { snakepit.execute::<String>("wait", arguments).await });
        file(&begun).await;
    }
    let begun = dir.path().join("begun");
    let call = snakepit.execute::<()>("sleeps", args! { "begun" => path(&begun) });
    tokio::select! {
        result = call => panic!("it ended by itself: {result:?}"),
        _ = file(&begun) => {}
    }
    until("it is not replaced", || snakepit.status()[0].recycled == 1).await;
    let drains = snakepit
        .workers()
        .into_iter()
        .find(|it| it.pid == Some(old));
    let drains = drains.expect("it lives as long as its other calls");
    assert_eq!(
        (drains.state, drains.in_flight, drains.recycling),
        (WorkerState::Draining, 3, Some(RecycleReason::Stuck))
    );
    let new: u32 = timeout(LONG, snakepit.execute("pid", ()))
        .await
        .unwrap()
        .unwrap();
    assert_ne!(new, old);
    std::fs::write(&end, "over").unwrap();
    for result in others.join_all().await {
        assert_eq!(result.unwrap(), "over");
    }
    until("the old one goes on", || !alive(old)).await;
    until("its call is not counted", || {
        snakepit.status()[0].stops.kill == 1
    })
    .await;
    let status = &snakepit.status()[0];
    assert_eq!(
        (status.errors, status.cancelled, status.in_flight),
        (0, 1, 0)
    );
    snakepit.shutdown().await;
}

#[tokio::test]
async fn the_death_of_a_worker_is_one_outcome_for_each_of_its_calls() {
    let snakepit = start(8).await;
    let mut calls = JoinSet::new();
    for index in 0..8 {
        let snakepit = snakepit.clone();
        let tool = if index == 3 { "dies" } else { "meet" };
        calls.spawn(async move {
            let result = snakepit.execute::<Option<String>>(tool, args! { "count" => 8 });
            result.await
        });
    }
    let results = timeout(LONG, calls.join_all()).await.unwrap();
    assert_eq!(results.len(), 8);
    // A call may coincide with the death, and its answer may already be on the way.
    let died = |error: &Error| matches!(error, Error::WorkerDied { .. });
    let failed = results.iter().filter_map(|result| result.as_ref().err());
    assert!(
        failed.clone().count() > 0 && failed.clone().all(died),
        "{results:?}"
    );
    together::<String>(&snakepit, "meet", 8).await;
    let status = &snakepit.status()[0];
    assert_eq!(status.requests, 16);
    assert_eq!(status.succeeded + status.errors, 16);
    assert_eq!((status.restarts, status.in_flight), (1, 0));
    snakepit.shutdown().await;
}

#[tokio::test]
async fn a_killed_worker_fails_the_calls_that_run_and_no_other() {
    let snakepit = begin(pool(4).workers(2)).await;
    let dir = tempfile::tempdir().unwrap();
    let end = path(&dir.path().join("end"));
    let mut calls = JoinSet::new();
    for index in 0..8 {
        let begun = dir.path().join(index.to_string());
        let arguments = args! { "begun" => path(&begun), "end" => end.clone() };
        let snakepit = snakepit.clone();
        calls.spawn(async move { snakepit.execute::<String>("wait", arguments).await });
        file(&begun).await;
    }
    let victim = i32::try_from(pid(&snakepit)).unwrap();
    kill(Pid::from_raw(victim), Signal::SIGKILL).unwrap();
    until("nobody has noticed", || snakepit.status()[0].errors == 4).await;
    std::fs::write(&end, "over").unwrap();
    let results = timeout(LONG, calls.join_all()).await.unwrap();
    assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 4);
    snakepit.shutdown().await;
}

#[tokio::test]
async fn a_shutdown_waits_for_the_calls_of_all_slots() {
    let snakepit = start(4).await;
    let worker = pid(&snakepit);
    let dir = tempfile::tempdir().unwrap();
    let end = dir.path().join("end");
    let mut calls = JoinSet::new();
    for index in 0..3 {
        let begun = dir.path().join(index.to_string());
        let arguments = args! { "begun" => path(&begun), "end" => path(&end) };
        let snakepit = snakepit.clone();
        calls.spawn(async move { snakepit.execute::<String>("wait", arguments).await });
        file(&begun).await;
    }
    let mut closing = JoinSet::new();
    closing.spawn({
        let snakepit = snakepit.clone();
        async move { snakepit.shutdown().await }
    });
    std::fs::write(&end, "over").unwrap();
    for result in calls.join_all().await {
        assert_eq!(result.unwrap(), "over");
    }
    let report = timeout(LONG, closing.join_all()).await.unwrap().remove(0);
    assert!(report.leftover.is_empty(), "{report:?}");
    assert!(!alive(worker));
}
