//! Health checks of adapters: reports of workers, and the reactions of the pool.

use std::path::Path;
use std::time::Duration;

use snakepit::{HealthState, HealthStatus, PoolBuilder, RecycleReason, Snakepit};
use tempfile::TempDir;

use crate::support::pool_of;
use crate::thread_profile::{begin, until};

fn pool(dir: &Path) -> PoolBuilder {
    let adapter = format!("{}/tests/e2e/health.py", env!("CARGO_MANIFEST_DIR"));
    let dir = dir.to_str().unwrap().to_owned();
    pool_of("main", &adapter)
        .workers(2)
        .configure_python(move |python| {
            python.env.insert("HEALTH".into(), dir);
        })
        .health(|health| {
            health.interval = Duration::from_millis(20);
            health.timeout = Duration::from_millis(500);
        })
}

async fn start() -> (TempDir, Snakepit) {
    let dir = tempfile::tempdir().unwrap();
    let snakepit = begin(pool(dir.path())).await;
    until("all are checked", || {
        states(&snakepit) == [HealthState::Healthy; 2]
    })
    .await;
    (dir, snakepit)
}

fn health(snakepit: &Snakepit) -> Vec<HealthStatus> {
    let workers = snakepit.workers().into_iter();
    workers.filter_map(|one| one.health).collect()
}

fn states(snakepit: &Snakepit) -> Vec<HealthState> {
    health(snakepit).iter().map(|one| one.state).collect()
}

/// Makes the first worker report this state from now on; returns its process id.
fn says(dir: &TempDir, snakepit: &Snakepit, state: &str) -> u32 {
    let pid = snakepit.workers()[0].pid.unwrap();
    std::fs::write(dir.path().join(pid.to_string()), state).unwrap();
    pid
}

fn lives(snakepit: &Snakepit, pid: u32) -> bool {
    let mut workers = snakepit.workers().into_iter();
    workers.any(|one| one.pid == Some(pid))
}

#[tokio::test]
async fn a_worker_that_is_not_well_is_replaced_and_no_call_fails() {
    for say in ["unwell", "raise"] {
        let (dir, snakepit) = start().await;
        let pid = says(&dir, &snakepit, say);
        while lives(&snakepit, pid) {
            snakepit.execute::<u32>("pid", ()).await.unwrap();
        }
        until("two are well", || {
            states(&snakepit) == [HealthState::Healthy; 2]
        })
        .await;
        let status = &snakepit.status()[0];
        assert_eq!((status.recycled, status.errors, status.restarts), (1, 0, 0));
        assert!(status.health_failures >= 3);
        snakepit.shutdown().await;
    }
}

#[tokio::test]
async fn the_status_says_why() {
    let dir = tempfile::tempdir().unwrap();
    let pool = pool(dir.path()).health(|health| health.failures = 100);
    let snakepit = begin(pool).await;
    says(&dir, &snakepit, "raise");
    until("it is told", || {
        let first = health(&snakepit).remove(0);
        first.error.is_some_and(|error| {
            error.contains("the card has fallen off the bus") && error.contains("health.py:")
        })
    })
    .await;
    assert_eq!(states(&snakepit)[0], HealthState::Failing);
    assert!(health(&snakepit)[1].error.is_none());
    // The check is not listed as a tool.
    let tools = snakepit.tools();
    let names: Vec<_> = tools.iter().map(|tool| tool.name.as_str()).collect();
    assert_eq!(names, ["pid"]);
    snakepit.shutdown().await;
}

#[tokio::test]
async fn a_check_that_hangs_has_failed_and_its_worker_is_replaced() {
    let (dir, snakepit) = start().await;
    let pid = says(&dir, &snakepit, "hang");
    until("it is replaced", || !lives(&snakepit, pid)).await;
    let status = &snakepit.status()[0];
    assert!(status.stops.interrupt >= 3, "{:?}", status.stops);
    assert_eq!((status.call_timeouts, status.errors), (0, 0));
    snakepit.shutdown().await;
}

#[tokio::test]
async fn a_check_that_cannot_be_stopped_costs_the_worker() {
    let dir = tempfile::tempdir().unwrap();
    let pool = pool(dir.path()).configure(|pool| pool.cancel_grace = Duration::from_millis(300));
    let snakepit = begin(pool).await;
    let pid = says(&dir, &snakepit, "swallow");
    until("it is killed", || !lives(&snakepit, pid)).await;
    until("there are two", || snakepit.status()[0].ready == 2).await;
    assert_eq!(snakepit.status()[0].stops.kill, 1);
    snakepit.shutdown().await;
}

#[tokio::test]
async fn an_unhealthy_worker_serves_on_while_it_is_the_only_one() {
    let dir = tempfile::tempdir().unwrap();
    let pool = pool(dir.path())
        .workers(1)
        .configure(|pool| pool.recycle.max_drain = Duration::from_secs(60));
    let snakepit = begin(pool).await;
    let pid = says(&dir, &snakepit, "unwell");
    let mut reason = None;
    while lives(&snakepit, pid) {
        snakepit.execute::<u32>("pid", ()).await.unwrap();
        reason = snakepit
            .workers()
            .iter()
            .find_map(|one| one.recycling)
            .or(reason);
    }
    assert_eq!(reason, Some(RecycleReason::Unhealthy));
    snakepit.shutdown().await;
}
