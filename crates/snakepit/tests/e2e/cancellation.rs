//! The cancellation of calls after a time-out, with tools that resist it in different ways.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use snakepit::{HostTool, Snakepit, Status, ToolContext, ToolResult, Value, args};
use tokio::time::{Instant, timeout};

use crate::support::{LONG, file, pool_of, root};

/// Variable with the file for the table of `cargo xtask cancellation`.
const OUT: &str = "SNAKEPIT_CANCELLATION_OUT";

const FLAG: &[&str] = &["flag"];
const TASK: &[&str] = &["task"];
const RAISED: &[&str] = &["exception", "interrupt"];
const AGAIN: &[&str] = &["again"];
const KILL: &[&str] = &["kill"];

/// Tools that are interrupted in a known state of the worker, which stays in service.
const SOUND: &[&str] = &["loops", "sleeps"];

/// A tool, its behaviour, whether it is a stream, whether it cleans up, and the steps that may stop
/// it.
type Case = (
    &'static str,
    &'static str,
    bool,
    bool,
    &'static [&'static str],
);

const CASES: &[Case] = &[
    (
        "sees_the_flag",
        "looks at `ctx.cancelled`",
        false,
        false,
        FLAG,
    ),
    ("asks_the_host", "waits for a host tool", false, false, FLAG),
    ("awaits", "coroutine that awaits", false, true, TASK),
    (
        "agenerates",
        "asynchronous generator, left half-way",
        true,
        true,
        TASK,
    ),
    ("loops", "loop of Python code", false, false, RAISED),
    ("sleeps", "`time.sleep`", false, false, RAISED),
    ("locks", "`lock.acquire()`", false, false, RAISED),
    ("reads", "reads a socket", false, false, RAISED),
    ("runs", "`subprocess.run`", false, false, RAISED),
    ("multiplies", "numpy in C, in a loop", false, false, RAISED),
    ("generates", "generator, left half-way", true, true, RAISED),
    (
        "blocks_its_loop",
        "coroutine that blocks its event loop",
        false,
        false,
        RAISED,
    ),
    (
        "cleans_up",
        "sleeps, then cleans up for 300 ms",
        false,
        true,
        RAISED,
    ),
    (
        "swallows_once",
        "`except BaseException: pass`, once",
        false,
        false,
        AGAIN,
    ),
    (
        "shields",
        "coroutine that swallows one cancellation",
        false,
        true,
        AGAIN,
    ),
    (
        "swallows_all",
        "`except BaseException: pass`, for ever",
        false,
        false,
        KILL,
    ),
    (
        "holds_the_gil",
        "C code that keeps the GIL",
        false,
        false,
        KILL,
    ),
];

/// Calls a tool, drops the call once the tool runs, and returns the step that stopped it and the
/// time. `None` if the tool cannot run here.
async fn stop(snakepit: &Snakepit, case: &Case, dir: &Path) -> Option<(String, Duration)> {
    let (tool, _, stream, closes, _) = *case;
    let begun = dir.join(format!("{tool}.begun"));
    let path = |path: &Path| path.to_str().unwrap().to_owned();
    let mut arguments = args! { "begun" => path(&begun) };
    let closed = dir.join(format!("{tool}.closed"));
    if closes {
        arguments = args! { "begun" => path(&begun), "closed" => path(&closed) };
    }
    let before = stops(&snakepit.status()[0]);
    let host = snakepit.clone();
    let call = async move {
        if !stream {
            return host.execute::<()>(tool, arguments).await.is_err();
        }
        let mut chunks = host.execute_stream::<i64>(tool, arguments).await.unwrap();
        while chunks.next().await.is_some() {}
        false
    };
    tokio::select! {
        failed = call => {
            assert!(failed && tool == "multiplies", "`{tool}` ended by itself");
            return None;
        }
        _ = file(&begun) => {}
    }
    // The call has just been dropped.
    let since = Instant::now();
    let mut interval = tokio::time::interval(Duration::from_millis(1));
    loop {
        interval.tick().await;
        let now = stops(&snakepit.status()[0]);
        if let Some(index) = (0..now.len()).find(|index| now[*index].1 > before[*index].1) {
            assert!(!closes || closed.exists(), "`{tool}` did not clean up");
            return Some((now[index].0.to_owned(), since.elapsed()));
        }
    }
}

fn stops(status: &Status) -> [(&'static str, u64); 6] {
    let stops = status.stops;
    [
        ("flag", stops.flag),
        ("task", stops.task),
        ("exception", stops.exception),
        ("interrupt", stops.interrupt),
        ("again", stops.again),
        ("kill", stops.kill),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn every_tool_is_stopped_and_the_next_call_finds_nothing_of_it() {
    let never = HostTool::dynamic_asynchronous("never", |_: ToolContext, _| {
        std::future::pending::<ToolResult<Value>>()
    });
    let adapter = root().join("python/tests/cancel_adapter.py");
    let pool = pool_of("main", adapter.to_str().unwrap())
        .configure(|config| config.cancel_grace = Duration::from_secs(2));
    let builder = Snakepit::builder().host_tool(never.exposed());
    let snakepit = builder.pool(pool).start().await.unwrap();
    let dir = tempfile::tempdir().unwrap();
    let mut table = String::from("| tool | stopped by | after | its worker |\n|---|---|---|---|\n");
    for case in CASES {
        let (tool, what, _, _, steps) = *case;
        let pid: i64 = snakepit.execute("pid", ()).await.unwrap();
        let stopped = timeout(LONG, stop(&snakepit, case, dir.path())).await;
        let Some((step, after)) = stopped.unwrap_or_else(|_| panic!("`{tool}` goes on")) else {
            let _ = writeln!(table, "| {what} | skipped: numpy is not installed | | |");
            continue;
        };
        assert!(steps.contains(&&*step), "`{tool}` was stopped by {step}");
        // The worker stays if no exception was raised into the tool, or if it was raised at a point
        // known to be safe.
        let next: i64 = snakepit.execute("pid", ()).await.unwrap();
        let (stays, raised) = (next == pid, !["flag", "task"].contains(&&*step));
        if !raised || SOUND.contains(&tool) {
            assert!(stays, "`{tool}` cost its worker");
        }
        assert!(!stays || step != "kill", "`{tool}`");
        let worker = if stays { "stays" } else { "is replaced" };
        let _ = writeln!(
            table,
            "| {what} | {step} | {} ms | {worker} |",
            after.as_millis()
        );
        let sum: i64 = snakepit.execute("spins_then_works", ()).await.unwrap();
        assert_eq!(sum, 599_994);
    }
    println!("{table}");
    if let Some(out) = std::env::var_os(OUT).map(PathBuf::from) {
        std::fs::write(out, table).unwrap();
    }
    snakepit.shutdown().await;
}
