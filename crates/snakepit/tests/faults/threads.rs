//! Workers of several slots: faults of one call or of the worker, and their effect on the other
//! calls.

use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use snakepit::{Error, PoolBuilder, PythonProfile, Snakepit, ThreadSafetyChecks, args};
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::oracle::{Scene, eventually_async};
use crate::record::Row;
use crate::support::{LONG, file};

/// Returns a pool of one worker with eight slots. Its tools declare nothing about threads, and need
/// not.
fn pool(scene: &Scene) -> PoolBuilder {
    let threads = PythonProfile::Thread {
        threads_per_worker: 8,
    };
    let pool = scene.pool(1).profile(threads);
    let pool = pool.configure(|config| config.cancel_grace = Duration::from_millis(200));
    pool.configure_python(|python| python.thread_safety_checks = ThreadSafetyChecks::Off)
}

type Calls = JoinSet<Result<u32, Error>>;

/// Starts calls that run until the file `go` exists and return their worker's process id.
async fn waiting(scene: &Scene, snakepit: &Snakepit, count: usize) -> Calls {
    let mut calls = JoinSet::new();
    for index in 0..count {
        let started = format!("started {index}");
        let arguments = args! { "started" => scene.text(&started), "go" => scene.text("go") };
        let snakepit = snakepit.clone();
        calls.spawn(async move { snakepit.execute("wait", arguments).await });
        file(&scene.path(&started)).await;
    }
    calls
}

async fn finish(scene: &Scene, calls: Calls) -> Vec<Result<u32, Error>> {
    std::fs::write(scene.path("go"), "go").unwrap();
    timeout(LONG, calls.join_all()).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn row_57_a_stuck_slot_drains_its_worker() {
    let row = Row::new(57, "a call that cannot be stopped, other slots busy");
    let scene = Scene::new();
    let snakepit = scene.host(pool(&scene)).start().await.unwrap();
    let old: u32 = snakepit.execute("pid", ()).await.unwrap();
    let others = waiting(&scene, &snakepit, 6).await;
    let stuck = snakepit.execute::<()>("sleep", args! { "started" => scene.text("sleeps") });
    let sleeps = scene.path("sleeps");
    tokio::select! {
        result = stuck => panic!("it ended by itself: {result:?}"),
        _ = file(&sleeps) => {}
    }
    eventually_async("it is replaced", || snakepit.status()[0].recycled == 1).await;
    let new: u32 = snakepit.execute("pid", ()).await.unwrap();
    assert_ne!(new, old);
    for result in finish(&scene, others).await {
        assert_eq!(result.unwrap(), old);
    }
    eventually_async("it is killed", || snakepit.status()[0].stops.kill == 1).await;
    let status = &snakepit.status()[0];
    assert_eq!(
        (status.errors, status.cancelled, status.restarts),
        (0, 1, 0)
    );
    scene.close(snakepit).await;
    row.holds("6 other calls answered by the old worker, then it was killed; new calls elsewhere");
}

#[tokio::test(flavor = "multi_thread")]
async fn row_51_a_killed_worker_of_eight_slots() {
    let row = Row::new(51, "worker SIGKILL, 8 slots busy");
    let scene = Scene::new();
    let snakepit = scene.host(pool(&scene)).start().await.unwrap();
    let old: u32 = snakepit.execute("pid", ()).await.unwrap();
    let calls = waiting(&scene, &snakepit, 8).await;
    kill(Pid::from_raw(old.cast_signed()), Signal::SIGKILL).unwrap();
    let results = finish(&scene, calls).await;
    for result in &results {
        assert!(
            matches!(result, Err(Error::WorkerDied { .. })),
            "{result:?}"
        );
    }
    let new: u32 = snakepit.execute("pid", ()).await.unwrap();
    assert_ne!(new, old);
    let status = &snakepit.status()[0];
    assert_eq!((status.errors, status.restarts), (8, 1));
    scene.close(snakepit).await;
    row.holds("8 calls have one WorkerDied each, pool whole again");
}

#[tokio::test(flavor = "multi_thread")]
async fn row_67_shutdown_with_busy_slots() {
    let row = Row::new(67, "shutdown with 8 slots busy and calls in the queue");
    let scene = Scene::new();
    let snakepit = scene.host(pool(&scene)).start().await.unwrap();
    let calls = waiting(&scene, &snakepit, 8).await;
    let mut queued = JoinSet::new();
    for _ in 0..4 {
        let snakepit = snakepit.clone();
        queued.spawn(async move { snakepit.execute::<u32>("pid", ()).await });
    }
    eventually_async("they wait", || snakepit.status()[0].queue_depth == 4).await;
    let mut closing = JoinSet::new();
    closing.spawn({
        let snakepit = snakepit.clone();
        async move { snakepit.shutdown().await }
    });
    for result in timeout(LONG, queued.join_all()).await.unwrap() {
        assert!(matches!(result, Err(Error::Closed(_))), "{result:?}");
    }
    for result in finish(&scene, calls).await {
        result.unwrap();
    }
    let report = timeout(LONG, closing.join_all()).await.unwrap().remove(0);
    assert_eq!(report.leftover, [0; 0], "{report:?}");
    scene.close(snakepit).await;
    row.holds("8 running calls have their results, 4 queued ones are refused");
}
