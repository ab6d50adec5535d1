//! Calls that wait in a worker behind one that cannot be stopped: each runs elsewhere, exactly
//! once.

use std::path::Path;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::future::join_all;
use snakepit::{CallOptions, PoolBuilder, PythonProfile, Snakepit};
use tokio::time::timeout;

use crate::support::{LONG, pool_of, root};

const GRACE: Duration = Duration::from_millis(500);

fn pool() -> PoolBuilder {
    let adapter = root().join("crates/snakepit/tests/e2e/held_tools.py");
    pool_of("main", adapter.to_str().unwrap())
        .configure(|config| config.cancel_grace = GRACE)
        .recycle(|recycle| recycle.max_drain = 10 * LONG)
}

fn threads() -> PoolBuilder {
    pool().profile(PythonProfile::Thread {
        threads_per_worker: 8,
    })
}

/// Waits until the tool has begun; returns its process id.
async fn begun(path: &Path) -> u32 {
    let mut tick = tokio::time::interval(Duration::from_millis(1));
    loop {
        tick.tick().await;
        let text = std::fs::read_to_string(path).unwrap_or_default();
        if let Some(pid) = text.strip_suffix('\n') {
            return pid.parse().unwrap();
        }
    }
}

/// Makes calls, a batch and streams behind a call that cannot be stopped: at the same time, or once
/// that call runs if `first`. Returns the processes that ran them.
async fn behind(
    snakepit: &Snakepit,
    blocks: &'static str,
    note: &'static str,
    first: bool,
) -> Vec<u32> {
    let folder = tempfile::tempdir().unwrap();
    let (marker, notes) = (folder.path().join("begun"), folder.path().join("notes"));
    let (marked, path) = (marker.to_str().unwrap(), notes.to_str().unwrap());
    let options = CallOptions::new().timeout(GRACE);
    let blocked = snakepit
        .call::<()>(blocks)
        .args((marked,))
        .options(&options)
        .into_future();
    let items: Vec<_> = (4..7).map(|number| (path.to_owned(), number)).collect();
    let others = async {
        let old = if first { begun(&marker).await } else { 0 };
        let calls = (0..4).map(|number| snakepit.execute::<u32>(note, (path, number)));
        let many = snakepit.execute_many::<u32, _>(note, items);
        let tool = note.replace("note", "note_stream");
        let streams = (7..10).map(|number| {
            let stream = snakepit.execute_stream::<u32>(tool.as_str(), (path, number));
            async move { stream.await.unwrap().collect::<Vec<_>>().await }
        });
        let (calls, many, streams) =
            tokio::join!(join_all(calls), many.collect::<Vec<_>>(), join_all(streams));
        assert!(streams.iter().all(|chunks| chunks.len() == 1));
        let ran = calls
            .into_iter()
            .chain(many)
            .chain(streams.into_iter().flatten());
        let ran: Vec<_> = ran.map(Result::unwrap).collect();
        assert!(!ran.contains(&old), "{ran:?}");
        ran
    };
    let (blocked, ran) = timeout(LONG, async { tokio::join!(blocked, others) })
        .await
        .expect("they do not wait for the end of the call in front");
    blocked.unwrap_err();
    let text = std::fs::read_to_string(&notes).unwrap();
    let mut numbers: Vec<u32> = text.lines().map(|line| line.parse().unwrap()).collect();
    numbers.sort_unstable();
    assert_eq!(
        numbers,
        (0..10).collect::<Vec<_>>(),
        "each has run, and once"
    );
    let status = &snakepit.status()[0];
    assert_eq!((status.retries, status.errors), (0, 0));
    ran
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_behind_a_tool_that_cannot_be_stopped_run_elsewhere() {
    for (pool, blocks, note) in [
        (pool().concurrency(16), "blocks", "note"),
        (pool().concurrency(16), "blocks_loop", "note_loop"),
        (pool().concurrency(16), "blocks_loop", "note"),
        (threads(), "blocks", "note"),
    ] {
        let snakepit = Snakepit::builder().pool(pool).start().await.unwrap();
        behind(&snakepit, blocks, note, true).await;
        snakepit.shutdown().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_that_come_together_with_one_that_cannot_be_stopped_run_once() {
    for (pool, blocks, note) in [
        (pool().concurrency(16), "blocks", "note"),
        (pool().concurrency(16), "blocks_loop", "note_loop"),
        (threads(), "blocks", "note"),
    ] {
        let snakepit = Snakepit::builder().pool(pool).start().await.unwrap();
        behind(&snakepit, blocks, note, false).await;
        snakepit.shutdown().await;
    }
}
