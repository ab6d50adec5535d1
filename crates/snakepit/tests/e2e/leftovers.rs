//! Remains of a worker: processes that hold its connections, shared memory, programs of a shell.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::sys::signal::Signal;
use snakepit::{
    ContainmentMode, Death, Error, HostTool, PoolBuilder, Snakepit, ToolContext, ToolResult, Value,
    args,
};
use tokio::time::timeout;

use crate::support::{LONG, file};
use crate::worker_life::{died, eventually, pool, send, start, text, threads, worker};

/// Calls a tool that dies and leaves a child behind, which holds the connections.
async fn dies_with_heirs(snakepit: &Snakepit, kind: &str, how: &str, said: &Path) -> Error {
    let arguments = args! { "said" => text(said), "how" => how };
    match kind {
        "dies_in_stream" => {
            let mut stream = snakepit
                .execute_stream::<i64>(kind, arguments)
                .await
                .unwrap();
            assert_eq!(stream.next().await.unwrap().unwrap(), 1);
            stream.next().await.unwrap().unwrap_err()
        }
        "many" => {
            let mut results = snakepit.execute_many::<(), _>("dies", vec![arguments; 3]);
            loop {
                if let Err(error) = results.next().await.unwrap() {
                    return error;
                }
            }
        }
        _ => snakepit.execute::<()>(kind, arguments).await.unwrap_err(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_accepted_from_what_a_dead_worker_has_left() {
    let dir = tempfile::tempdir().unwrap();
    let sync = ["dies", "dies_in_stream", "many", "dies_asking"].as_slice();
    let profiles = [
        (pool(), sync),
        (threads(pool()), sync),
        (pool().concurrency(4), &["dies_in_loop", "dies"]),
    ];
    let never = HostTool::dynamic_asynchronous("never", |_: ToolContext, _: Value| async move {
        std::future::pending::<()>().await;
        ToolResult::Ok(Value::Null)
    });
    for (profile, (pool, kinds)) in profiles.into_iter().enumerate() {
        // The end of the call must come from the process: no time-out applies.
        let builder = Snakepit::builder().host_tool(never.clone().exposed());
        let pool = pool.configure(|pool| {
            pool.queue_timeout = LONG;
            pool.restart.max_restarts = 1000;
            pool.restart.min_lifetime = Duration::ZERO;
            pool.restart.initial_backoff = Duration::from_millis(1);
            pool.restart.max_backoff = Duration::from_millis(1);
        });
        let snakepit = builder.pool(pool).start().await.unwrap();
        for kind in kinds {
            for how in ["exit", "segv"] {
                let said = dir.path().join(format!("{profile}-{kind}-{how}"));
                let call = dies_with_heirs(&snakepit, kind, how, &said);
                let error = timeout(LONG / 2, call).await.unwrap();
                let expected = match how {
                    "exit" => Death::Exited(3),
                    _ => Death::Signal(11),
                };
                assert_eq!(died(&error).0, &expected, "{profile} {kind}");
                // Now the child tries to answer.
                fs::write(format!("{}.go", text(&said)), "go").unwrap();
                let outcome = file(&said).await;
                assert!(outcome.contains("BrokenPipe"), "{kind} {how}: {outcome}");
                assert!(!outcome.contains("sent"), "{kind} {how}: {outcome}");
            }
        }
        snakepit.shutdown().await;
    }
}

fn shared(name: &str) -> PathBuf {
    Path::new("/dev/shm").join(name.trim_start_matches('/'))
}

async fn share(snakepit: &Snakepit, tool: &str) -> PathBuf {
    let name = loop {
        // A worker may just have been killed, unknown to its host.
        match snakepit.execute::<String>(tool, ()).await {
            Ok(name) => break name,
            Err(error) => assert_eq!(died(&error).0, &Death::Signal(9)),
        }
    };
    let block = shared(&name);
    assert!(block.exists());
    block
}

async fn nothing_stays_shared(pool: PoolBuilder) {
    let dir = tempfile::tempdir().unwrap();
    let pool = pool.configure(|pool| {
        pool.cancel_grace = Duration::from_millis(200);
        pool.restart.initial_backoff = Duration::from_millis(1);
    });
    let snakepit = start(pool).await;
    let block = share(&snakepit, "shares_with_a_child").await;
    assert!(snakepit.execute::<()>("crashes", ()).await.is_err());
    eventually("a crash", || !block.exists()).await;

    let block = share(&snakepit, "shares_with_a_child").await;
    send(worker(&snakepit), Signal::SIGKILL);
    eventually("a kill by others", || !block.exists()).await;

    let block = share(&snakepit, "shares").await;
    let old = snakepit.workers()[0].id.clone();
    snakepit.recycle(&old).await.unwrap();
    eventually("recycling", || !block.exists()).await;

    let named = dir.path().join("named");
    let arguments = args! { "named" => text(&named) };
    tokio::select! {
        _ = snakepit.execute::<()>("shares_and_sticks", arguments) => panic!("it sticks"),
        name = file(&named) => {
            let block = shared(&name);
            assert!(block.exists());
        }
    }
    // The caller has dropped the call and the tool does not stop: the worker is killed.
    let block = shared(&fs::read_to_string(&named).unwrap());
    eventually("a stuck call", || !block.exists()).await;

    let block = share(&snakepit, "shares").await;
    snakepit.shutdown().await;
    assert!(!block.exists(), "shutdown");
}

#[tokio::test(flavor = "multi_thread")]
async fn trackers_of_shared_memory_have_their_moment() {
    nothing_stays_shared(pool()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn trackers_of_shared_memory_have_their_moment_below_a_shim() {
    for mode in [ContainmentMode::Shim, ContainmentMode::PidNamespace] {
        if let Err(why) = mode.probe() {
            assert_ne!(mode, ContainmentMode::Shim, "{why}");
            eprintln!("skipped: {why}");
            continue;
        }
        nothing_stays_shared(pool().containment(mode)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn trackers_of_shared_memory_have_their_moment_in_a_control_group() {
    let mode = ContainmentMode::Cgroup;
    match mode.probe() {
        Ok(()) => nothing_stays_shared(pool().containment(mode)).await,
        Err(why) => eprintln!("skipped: {why}"),
    }
}
