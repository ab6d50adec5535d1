//! A hidden problem of each kind, in a real pool: a finding names it.

use std::fs;
use std::time::Duration;

use snakepit::diag::Finding;
use snakepit::{Affinity, CallOptions, PoolBuilder, RetryPolicy, Snakepit, args};
use tokio::task::JoinSet;

use crate::support::{LONG, pool_of};

const TOOLS: &str = r#"
import ctypes, os, time
from snakepit_bridge import tool

kept = []

@tool
def hold(seconds: float) -> str:
    ctypes.PyDLL(None).usleep(int(seconds * 1_000_000))
    return "held"

@tool
def slow() -> str:
    time.sleep(0.05)  # the tool sleeps
    return "slow"

@tool
def block(path: str) -> str:
    with open(path) as pipe:
        return pipe.read()

@tool
def leak() -> int:
    kept.append(b"x" * (1 << 20))
    time.sleep(0.02)  # the tool sleeps
    return len(kept)

@tool
def die() -> None:
    os._exit(3)
"#;

/// What a whole with one pool of these tools is found to suffer from.
struct Patient {
    snakepit: Snakepit,
    home: tempfile::TempDir,
    load: JoinSet<()>,
}

impl Patient {
    async fn new(change: impl FnOnce(PoolBuilder) -> PoolBuilder) -> Self {
        let home = tempfile::tempdir().unwrap();
        let file = home.path().join("tools.py");
        fs::write(&file, TOOLS).unwrap();
        let pool = pool_of("main", &file.display().to_string());
        let builder = Snakepit::builder().data_dir(home.path().join("pit"));
        let snakepit = builder.pool(change(pool)).start().await.unwrap();
        Self {
            snakepit,
            home,
            load: JoinSet::new(),
        }
    }

    /// Makes a call again and again, whatever becomes of it.
    fn calls(&mut self, callers: usize, tool: &'static str) {
        for _ in 0..callers {
            let snakepit = self.snakepit.clone();
            self.load.spawn(async move {
                loop {
                    drop(snakepit.execute::<snakepit::Value>(tool, ()).await);
                }
            });
        }
    }

    /// Looks until a rule has spoken.
    async fn finding(mut self, rule: &str) -> Finding {
        let looking = async {
            let mut earlier = self.snakepit.report();
            let mut interval = tokio::time::interval(Duration::from_millis(100));
            loop {
                interval.tick().await;
                let report = self.snakepit.report();
                let mut findings = report.findings(None);
                if report.at - earlier.at > 2.0 {
                    findings.extend(report.findings(Some(&earlier)));
                    earlier = report;
                }
                if let Some(found) = findings.into_iter().find(|finding| finding.rule == rule) {
                    return found;
                }
            }
        };
        let found = tokio::time::timeout(LONG, looking).await.expect(rule);
        self.load.shutdown().await;
        self.snakepit.shutdown().await;
        found
    }
}

#[tokio::test]
async fn a_worker_that_holds_the_gil_is_named_with_its_tool() {
    let mut patient = Patient::new(|pool| {
        pool.configure(|config| {
            config.heartbeat.initial_delay = Duration::ZERO;
            config.heartbeat.interval = Duration::from_millis(200);
            config.heartbeat.timeout = Duration::from_millis(100);
        })
    })
    .await;
    let snakepit = patient.snakepit.clone();
    patient.load.spawn(async move {
        let held = snakepit.execute::<String>("hold", args! { "seconds" => 5.0 });
        drop(held.await);
    });
    let found = patient.finding("gil_held").await;
    assert_eq!(found.worker.as_deref(), Some("main-1"));
    assert!(found.what.contains("in tool `hold`"), "{found:?}");
}

#[tokio::test]
async fn a_queue_that_is_slower_than_the_work_wants_more_workers() {
    let mut patient = Patient::new(|pool| pool).await;
    patient.calls(8, "slow");
    let found = patient.finding("queue_delay").await;
    assert!(
        found.action.contains("raise `workers` above 1"),
        "{found:?}"
    );
}

#[tokio::test]
async fn sessions_that_starve_beside_a_free_worker_are_told() {
    let affinity = |config: &mut snakepit::PoolConfig| config.affinity = Affinity::StrictQueue;
    let mut patient = Patient::new(|pool| pool.workers(2).configure(affinity)).await;
    let pipe = patient.home.path().join("pipe");
    nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).unwrap();
    for _ in 0..3 {
        let session = patient.snakepit.session("one");
        let path = pipe.display().to_string();
        patient.load.spawn(async move {
            let options = CallOptions::new();
            let blocked =
                session.execute_with::<String>("block", args! { "path" => path }, &options);
            drop(blocked.await);
        });
    }
    let found = patient.finding("affinity_starves").await;
    assert!(found.what.contains("1 slot is free"), "{found:?}");
}

#[tokio::test]
async fn memory_that_grows_without_a_limit_is_told() {
    let mut patient = Patient::new(|pool| pool).await;
    patient.calls(1, "leak");
    let found = patient.finding("memory_leak").await;
    assert!(found.action.contains("recycle.max_memory"), "{found:?}");
}

#[tokio::test]
async fn calls_that_kill_and_are_repeated_are_a_storm() {
    let mut patient = Patient::new(|pool| {
        pool.workers(2).configure(|config| {
            let mut retry = RetryPolicy::default();
            (retry.budget, retry.burst) = (100, 10_000);
            config.retry = Some(retry);
            config.tools.entry("die".into()).or_default().idempotent = true;
            config.restart.max_restarts = 100_000;
            config.restart.initial_backoff = Duration::from_millis(1);
            config.restart.max_backoff = Duration::from_millis(1);
        })
    })
    .await;
    patient.calls(2, "die");
    let found = patient.finding("retry_storm").await;
    assert!(found.what.contains("has repeated"), "{found:?}");
}

#[tokio::test]
async fn more_workers_than_the_memory_holds_are_told() {
    let patient = Patient::new(|pool| pool.workers(2)).await;
    let mut report = patient.snakepit.report();
    // A machine that has room for one of them.
    let each = report.pools[0].memory.unwrap().average_bytes;
    report.machine.memory_bytes = Some(each * 3 / 2);
    let findings = report.findings(None);
    assert_eq!(findings[0].rule, "too_many_workers");
    assert!(
        findings[0].action.contains("lower `workers` to 1"),
        "{findings:?}"
    );
    patient.snakepit.shutdown().await;
}
