//! A hidden problem of each kind in a real pool: a finding names it within ten seconds.

use std::fs;
use std::time::Duration;

use snakepit::diag::{Finding, Machine, Watch};
use snakepit::{Affinity, PoolBuilder, PoolConfig, RetryPolicy, Snakepit, Value, args};
use tokio::task::JoinSet;
use tokio::time::{Instant, interval, timeout};

use crate::support::{LONG, in_time, pool_of};

/// The tools of all demos. `ballast.txt` holds the amount of memory that a worker allocates.
const TOOLS: &str = r#"
import ctypes, os, pathlib, time
from snakepit_bridge import tool

ballast = pathlib.Path(__file__).with_name("ballast.txt")
model = b"x" * int(ballast.read_text()) if ballast.exists() else None
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

@tool
def echo(x: int) -> int:
    return x
"#;

/// A host with a pool of these tools, and its load.
struct Demo {
    snakepit: Snakepit,
    home: tempfile::TempDir,
    load: JoinSet<()>,
}

/// A hidden problem, and the rule that names it.
struct Problem {
    rule: &'static str,
    pool: fn(PoolBuilder) -> PoolBuilder,
    load: fn(&mut Demo),
    /// Parts of the finding's text.
    says: &'static [&'static str],
}

const PROBLEMS: &[Problem] = &[
    Problem {
        rule: "gil_held",
        pool: |pool| {
            pool.heartbeat(|heartbeat| {
                heartbeat.initial_delay = Duration::ZERO;
                heartbeat.interval = Duration::from_millis(200);
                heartbeat.timeout = Duration::from_millis(100);
            })
        },
        load: |demo| demo.call("hold", || args! { "seconds" => 30.0 }),
        says: &[
            "worker `main-1` holds the GIL",
            "in tool `hold`",
            "snakepit stack main-1",
        ],
    },
    Problem {
        rule: "queue_delay",
        pool: |pool| pool,
        load: |demo| (0..8).for_each(|_| demo.call("slow", || args! {})),
        says: &["calls of pool `main` wait", "raise `workers` above 1"],
    },
    Problem {
        rule: "affinity_starves",
        pool: |pool| pool.workers(2).configure(strict),
        load: Demo::block_a_session,
        says: &["1 slot is free", "affinity `hint`"],
    },
    Problem {
        rule: "memory_leak",
        pool: |pool| pool,
        load: |demo| demo.call("leak", || args! {}),
        says: &["each worker of pool `main` grows by", "recycle.max_memory"],
    },
    Problem {
        rule: "retry_storm",
        pool: |pool| pool.workers(2).configure(repeats),
        load: |demo| (0..2).for_each(|_| demo.call("die", || args! {})),
        says: &["pool `main` has retried", "find out why the workers die"],
    },
    // The finding appears as soon as one worker shows the cost of each.
    Problem {
        rule: "too_many_workers",
        pool: |pool| {
            pool.workers(MANY)
                .configure(|config| config.start_concurrency = 1)
        },
        load: |_| {},
        says: &["1000 workers of pool `main` take", "lower `workers` to"],
    },
];

/// Number of workers that exceeds any machine's memory if each takes a 900th part of it.
const MANY: usize = 1000;

fn strict(config: &mut PoolConfig) {
    config.affinity = Affinity::StrictQueue;
}

fn repeats(config: &mut PoolConfig) {
    let mut retry = RetryPolicy::default();
    (retry.budget, retry.burst) = (100, 10_000);
    config.retry = Some(retry);
    config.tools.entry("die".into()).or_default().idempotent = true;
    config.restart.max_restarts = 100_000;
    config.restart.initial_backoff = Duration::from_millis(1);
    config.restart.max_backoff = Duration::from_millis(1);
}

impl Demo {
    async fn start(pool: fn(PoolBuilder) -> PoolBuilder, ballast: Option<u64>) -> Self {
        let home = tempfile::tempdir().unwrap();
        let file = home.path().join("tools.py");
        fs::write(&file, TOOLS).unwrap();
        if let Some(bytes) = ballast {
            fs::write(home.path().join("ballast.txt"), bytes.to_string()).unwrap();
        }
        let builder = Snakepit::builder().data_dir(home.path().join("pit"));
        let builder = builder.pool(pool(pool_of("main", &file.display().to_string())));
        // The pool of a thousand workers must not be waited for.
        let builder = builder.wait_ready(ballast.is_none());
        Self {
            snakepit: builder.start().await.unwrap(),
            home,
            load: JoinSet::new(),
        }
    }

    /// Makes a call repeatedly, whatever its outcome.
    fn call<A: serde::Serialize + Send + 'static>(
        &mut self,
        tool: &'static str,
        args: impl Fn() -> A + Send + 'static,
    ) {
        let snakepit = self.snakepit.clone();
        self.load.spawn(async move {
            loop {
                drop(snakepit.execute::<Value>(tool, args()).await);
            }
        });
    }

    fn block_a_session(&mut self) {
        let pipe = self.home.path().join("pipe");
        nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).unwrap();
        for _ in 0..3 {
            let session = self.snakepit.session("one");
            let path = pipe.display().to_string();
            self.load.spawn(async move {
                drop(
                    session
                        .execute::<Value>("block", args! { "path" => path })
                        .await,
                );
            });
        }
    }

    /// Takes reports as `top` does until this rule has a finding.
    async fn named(&self, rule: &str) -> Finding {
        let (mut watch, mut looks) = (Watch::default(), interval(Duration::from_millis(250)));
        loop {
            looks.tick().await;
            watch.add(self.snakepit.report());
            let mut findings = watch.findings().iter();
            if let Some(finding) = findings.find(|finding| finding.rule == rule) {
                return finding.clone();
            }
        }
    }

    async fn end(mut self) {
        self.load.shutdown().await;
        self.snakepit.shutdown().await;
    }
}

#[tokio::test]
async fn a_hidden_problem_of_each_kind_is_named_within_ten_seconds() {
    for problem in PROBLEMS {
        let memory = Machine::here().memory_bytes.unwrap();
        let ballast = (problem.rule == "too_many_workers").then_some(memory / 900);
        let mut demo = Demo::start(problem.pool, ballast).await;
        let began = Instant::now();
        (problem.load)(&mut demo);
        let found = timeout(LONG, demo.named(problem.rule)).await;
        let found = found.unwrap_or_else(|_| panic!("nothing names {}", problem.rule));
        assert!(
            in_time(began, Duration::from_secs(10)),
            "{} took {:?}",
            problem.rule,
            began.elapsed()
        );
        let text = format!("{}\n{}", found.what, found.action);
        for part in problem.says {
            assert!(text.contains(part), "{part}: {found:?}");
        }
        demo.end().await;
    }
}

#[tokio::test]
async fn a_demo_without_a_problem_has_no_finding() {
    let mut demo = Demo::start(|pool| pool.workers(2), None).await;
    demo.call("echo", || args! { "x" => 1 });
    let (mut watch, mut looks) = (Watch::default(), interval(Duration::from_millis(250)));
    for _ in 0..14 {
        looks.tick().await;
        watch.add(demo.snakepit.report());
        assert!(watch.findings().is_empty(), "{:?}", watch.findings());
    }
    demo.end().await;
}
