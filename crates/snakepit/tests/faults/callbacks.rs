//! Faults while tools wait for tools of the host.

use std::sync::Arc;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use snakepit::{Error, ErrorCode, HostTool, PoolState, ToolContext, Value, args};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

use crate::oracle::{Scene, eventually_async};
use crate::record::{Row, ms};
use crate::support::LONG;

/// Reports its drop, as happens to a call of a host tool that is cancelled.
struct Held(mpsc::UnboundedSender<&'static str>);

impl Drop for Held {
    fn drop(&mut self) {
        // The test may be over.
        self.0.send("dropped").ok();
    }
}

/// Returns a host tool that reports `begun` and never answers.
fn never(told: &mpsc::UnboundedSender<&'static str>) -> HostTool {
    let told = told.clone();
    HostTool::dynamic_asynchronous("never", move |_: ToolContext, _: Value| {
        let held = Held(told.clone());
        async move {
            held.0.send("begun").unwrap();
            std::future::pending::<()>().await;
            drop(held);
            Ok(Value::Null)
        }
    })
    .exposed()
}

#[tokio::test(flavor = "multi_thread")]
async fn row_53_worker_killed_during_a_call_of_a_host_tool() {
    const CALLS: usize = 3;
    let row = Row::new(53, "worker SIGKILL during a call of a host tool");
    let scene = Scene::new();
    let (told, mut events) = mpsc::unbounded_channel();
    let host = scene.host(scene.pool(CALLS)).host_tool(never(&told));
    let snakepit = host.start().await.unwrap();
    let mut calls = JoinSet::new();
    for _ in 0..CALLS {
        let other = snakepit.clone();
        let arguments = args! { "names" => ["never"] };
        calls.spawn(async move { other.execute::<Vec<Value>>("ask_host", arguments).await });
    }
    for _ in 0..CALLS {
        let event = timeout(LONG, events.recv()).await.unwrap();
        assert_eq!(event, Some("begun"));
    }
    let pids: Vec<_> = snakepit
        .workers()
        .iter()
        .filter_map(|one| one.pid)
        .collect();
    let killed = Instant::now();
    for pid in &pids {
        kill(Pid::from_raw(pid.cast_signed()), Signal::SIGKILL).unwrap();
    }
    for _ in 0..CALLS {
        let event = timeout(LONG, events.recv()).await.unwrap();
        assert_eq!(event, Some("dropped"), "each call of the host tool is over");
    }
    let took = killed.elapsed();
    let mut outcomes = 0;
    while let Some(one) = calls.join_next().await {
        let error = one.unwrap().unwrap_err();
        let lost = matches!(
            error,
            Error::WorkerDied {
                ambiguous: true,
                ..
            }
        );
        assert!(lost, "{error:?}");
        outcomes += 1;
    }
    assert_eq!(outcomes, CALLS);
    let whole = || snakepit.status()[0].ready == CALLS;
    eventually_async("the pool is whole", whole).await;
    snakepit.execute::<i64>("pid", ()).await.unwrap();
    assert!(events.try_recv().is_err(), "nothing was called again");
    scene.close(snakepit).await;
    row.holds(format!(
        "{CALLS} calls of the host tool cancelled after {}, one WorkerDied each, ambiguous",
        ms(took)
    ));
}

#[tokio::test(flavor = "multi_thread")]
async fn row_68_shutdown_during_calls_of_host_tools() {
    const CALLS: usize = 3;
    let row = Row::new(68, "shutdown during calls of host tools");
    let scene = Scene::new();
    let (told, mut events) = mpsc::unbounded_channel();
    let gate = Arc::new(Semaphore::new(0));
    let waits = HostTool::dynamic_asynchronous("waits", {
        let gate = Arc::clone(&gate);
        move |_: ToolContext, _: Value| {
            let (gate, told) = (Arc::clone(&gate), told.clone());
            async move {
                told.send("begun").unwrap();
                gate.acquire().await.unwrap().forget();
                Ok(Value::Int(1))
            }
        }
    });
    let after = HostTool::dynamic_asynchronous("after", |_: ToolContext, _: Value| async move {
        Ok(Value::Int(2))
    });
    let host = scene.host(scene.pool(CALLS));
    let host = host.host_tool(waits.exposed()).host_tool(after.exposed());
    let snakepit = host.start().await.unwrap();
    let mut calls = JoinSet::new();
    for _ in 0..CALLS {
        let other = snakepit.clone();
        let arguments = args! { "names" => ["waits", "after"] };
        calls.spawn(async move { other.execute::<Vec<i64>>("ask_host", arguments).await });
    }
    for _ in 0..CALLS {
        let event = timeout(LONG, events.recv()).await.unwrap();
        assert_eq!(event, Some("begun"));
    }
    let mut shutdown = JoinSet::new();
    let other = snakepit.clone();
    let begin = Instant::now();
    shutdown.spawn(async move { other.shutdown().await });
    let closed = || snakepit.status()[0].state == PoolState::Closed;
    eventually_async("the pool is closed", closed).await;
    let error = snakepit.execute::<i64>("pid", ()).await.unwrap_err();
    assert_eq!(error.code(), ErrorCode::Closed);
    assert!(shutdown.try_join_next().is_none(), "it waits for the calls");
    gate.add_permits(CALLS);
    while let Some(one) = timeout(LONG, calls.join_next()).await.unwrap() {
        // The second host tool was called after the shutdown had begun.
        assert_eq!(one.unwrap().unwrap(), [1, 2]);
    }
    let report = timeout(LONG, shutdown.join_next()).await.unwrap();
    let report = report.unwrap().unwrap();
    let took = begin.elapsed();
    assert!(report.leftover.is_empty(), "{report:?}");
    scene.close(snakepit).await;
    row.holds(format!(
        "{CALLS} calls had their answers and asked again, all over after {}",
        ms(took)
    ));
}
