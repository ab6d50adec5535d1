//! Queues, time-outs, deaths and shutdown.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use snakepit::{CallOptions, Death, Error, ErrorCode, Phase, Snakepit, args};
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::support::{LONG, alive, file, pool, start};

/// Calls that keep a worker busy until the file `go` exists.
struct Busy {
    calls: JoinSet<Result<i64, Error>>,
    go: PathBuf,
    pid: u32,
}

impl Busy {
    async fn new(snakepit: &Snakepit, dir: &Path, name: &str) -> Self {
        let (started, go) = (
            dir.join(format!("{name}.started")),
            dir.join(format!("{name}.go")),
        );
        let arguments =
            args! { "started" => started.to_str().unwrap(), "go" => go.to_str().unwrap() };
        let (snakepit, mut calls) = (snakepit.clone(), JoinSet::new());
        calls.spawn(async move { snakepit.execute::<i64>("meet", arguments).await });
        let pid = file(&started).await.parse().unwrap();
        Self { calls, go, pid }
    }

    async fn finish(mut self) -> Result<i64, Error> {
        fs::write(&self.go, "go").unwrap();
        self.outcome().await
    }

    async fn outcome(&mut self) -> Result<i64, Error> {
        timeout(LONG, self.calls.join_next())
            .await
            .unwrap()
            .unwrap()
            .unwrap()
    }
}

#[tokio::test]
async fn a_full_queue_refuses_at_once() {
    let pool = pool("main", 1).queue_limit(0);
    let snakepit = Snakepit::builder().pool(pool).start().await.unwrap();
    let dir = tempfile::tempdir().unwrap();
    let busy = Busy::new(&snakepit, dir.path(), "a").await;
    let error = snakepit.execute::<i64>("pid", ()).await.unwrap_err();
    assert!(matches!(error, Error::Saturated { .. }), "{error:?}");
    assert!(error.is_retryable());
    busy.finish().await.unwrap();
    snakepit.execute::<i64>("pid", ()).await.unwrap();
    snakepit.shutdown().await;
}

#[tokio::test]
async fn time_outs_of_queue_and_call_are_told_apart() {
    let snakepit = start(1).await;
    let dir = tempfile::tempdir().unwrap();
    let busy = Busy::new(&snakepit, dir.path(), "a").await;
    let options = CallOptions::new().queue_timeout(Duration::from_millis(20));
    let error = snakepit
        .call::<i64>("pid")
        .options(&options)
        .await
        .unwrap_err();
    assert!(
        matches!(
            error,
            Error::Timeout {
                phase: Phase::Queue,
                ..
            }
        ),
        "{error:?}"
    );
    busy.finish().await.unwrap();

    let never = dir.path().join("never");
    let options = CallOptions::new().timeout(Duration::from_millis(50));
    let arguments = (never.to_str().unwrap(),);
    let error = snakepit
        .call::<String>("wait_for")
        .args(arguments)
        .options(&options)
        .await
        .unwrap_err();
    assert!(
        matches!(
            error,
            Error::Timeout {
                phase: Phase::Call,
                ..
            }
        ),
        "{error:?}"
    );
    snakepit.shutdown().await;
}

#[tokio::test]
async fn a_tool_that_ignores_its_time_out_is_killed_and_replaced() {
    let pool = pool("main", 1).configure(|config| config.cancel_grace = Duration::from_millis(20));
    let snakepit = Snakepit::builder().pool(pool).start().await.unwrap();
    let before: i64 = snakepit.execute("pid", ()).await.unwrap();
    let options = CallOptions::new().timeout(Duration::from_millis(50));
    let error = snakepit
        .call::<()>("hold_gil")
        .options(&options)
        .await
        .unwrap_err();
    assert_eq!(error.code(), ErrorCode::CallTimeout);
    let after: i64 = snakepit.execute("pid", ()).await.unwrap();
    assert_ne!(before, after);
    snakepit.shutdown().await;
}

#[tokio::test]
async fn a_killed_worker_fails_its_call_at_once_and_only_that() {
    // Excludes that a time-out or a missed heartbeat ends the call.
    let pool = pool("main", 2)
        .call_timeout(10 * LONG)
        .heartbeat(|beat| beat.enabled = false);
    let snakepit = Snakepit::builder().pool(pool).start().await.unwrap();
    let dir = tempfile::tempdir().unwrap();
    let mut killed = Busy::new(&snakepit, dir.path(), "a").await;
    let other = Busy::new(&snakepit, dir.path(), "b").await;
    kill(Pid::from_raw(killed.pid.cast_signed()), Signal::SIGKILL).unwrap();
    match killed.outcome().await.unwrap_err() {
        Error::WorkerDied {
            ambiguous,
            reason,
            cause,
            ..
        } => {
            assert!(ambiguous);
            assert_eq!(cause, Death::Signal(9));
            assert!(reason.contains("SIGKILL"), "{reason}");
        }
        error => panic!("{error:?}"),
    }
    assert_eq!(
        other.finish().await.unwrap() as u32,
        alive_pid(&snakepit).await
    );
    let healed = async {
        let mut interval = tokio::time::interval(Duration::from_millis(5));
        while snakepit
            .workers()
            .iter()
            .filter(|worker| worker.pid.is_some())
            .count()
            < 2
        {
            interval.tick().await;
        }
    };
    timeout(LONG, healed).await.unwrap();
    snakepit.shutdown().await;
}

/// Returns the process id of the live worker; right after a death that is the survivor.
async fn alive_pid(snakepit: &Snakepit) -> u32 {
    let pids: Vec<u32> = snakepit
        .workers()
        .iter()
        .filter_map(|worker| worker.pid)
        .collect();
    let pid: u32 = snakepit.execute("pid", ()).await.unwrap();
    assert!(alive(pid) && (pids.contains(&pid) || pids.len() < 2));
    pids.first().copied().unwrap_or(pid)
}

#[tokio::test]
async fn a_tool_that_ends_its_process_is_an_ambiguous_death() {
    let snakepit = start(1).await;
    let error = snakepit.execute::<()>("die", ()).await.unwrap_err();
    let Error::WorkerDied {
        ambiguous: true,
        reason,
        cause: Death::Exited(7),
        ..
    } = error
    else {
        panic!("{error:?}")
    };
    assert!(reason.contains('7'), "{reason}");
    assert_eq!(snakepit.execute::<i64>("later", (1,)).await.unwrap(), 2);
    snakepit.shutdown().await;
}

#[tokio::test]
async fn after_the_end_calls_fail_and_no_process_is_left() {
    let snakepit = start(2).await;
    let pids: Vec<u32> = snakepit
        .workers()
        .iter()
        .filter_map(|worker| worker.pid)
        .collect();
    assert_eq!(pids.len(), 2);
    snakepit.shutdown().await;
    snakepit.shutdown().await;
    assert!(pids.iter().all(|pid| !alive(*pid)));
    let error = snakepit.execute::<i64>("pid", ()).await.unwrap_err();
    assert_eq!(error.code(), ErrorCode::Closed);
}

#[tokio::test]
async fn a_start_without_waiting_is_ready_later() {
    let builder = Snakepit::builder().pool(pool("main", 1)).wait_ready(false);
    let snakepit = builder.start().await.unwrap();
    snakepit.await_all_ready(LONG).await.unwrap();
    assert_eq!(snakepit.execute::<i64>("later", (1,)).await.unwrap(), 2);
    snakepit.shutdown().await;
}
