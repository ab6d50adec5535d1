//! Streams.

use std::fs;

use snakepit::ErrorCode;

use crate::support::{LONG, file, start};

#[tokio::test]
async fn chunks_come_in_order() {
    let snakepit = start(1).await;
    for tool in ["count", "count_later"] {
        let mut stream = snakepit.execute_stream::<i64>(tool, (1000,)).await.unwrap();
        for expected in 0..1000 {
            assert_eq!(stream.next().await.unwrap().unwrap(), expected);
        }
        assert!(stream.next().await.is_none(), "{tool}");
    }
    snakepit.shutdown().await;
}

#[tokio::test]
async fn the_first_chunk_does_not_wait_for_the_second() {
    let snakepit = start(1).await;
    let dir = tempfile::tempdir().unwrap();
    let go = dir.path().join("go");
    let arguments = (go.to_str().unwrap(),);
    let mut stream = snakepit
        .execute_stream::<String>("first_then_wait", arguments)
        .await
        .unwrap();
    assert_eq!(stream.next().await.unwrap().unwrap(), "first");
    fs::write(&go, "now").unwrap();
    assert_eq!(stream.next().await.unwrap().unwrap(), "second");
    assert!(stream.next().await.is_none());
    snakepit.shutdown().await;
}

#[tokio::test]
async fn a_dropped_stream_closes_the_generator_and_frees_the_worker() {
    let snakepit = start(1).await;
    let dir = tempfile::tempdir().unwrap();
    let finished = dir.path().join("finished");
    let arguments = (finished.to_str().unwrap(),);
    let mut stream = snakepit
        .execute_stream::<snakepit::Bytes>("forever", arguments)
        .await
        .unwrap();
    for _ in 0..100 {
        stream.next().await.unwrap().unwrap();
    }
    drop(stream);
    assert_eq!(file(&finished).await, "closed");
    assert_eq!(snakepit.execute::<i64>("later", (1,)).await.unwrap(), 2);
    snakepit.shutdown().await;
}

#[tokio::test]
async fn an_endless_stream_waits_for_its_consumer() {
    let snakepit = start(1).await;
    let pid: u32 = snakepit.execute("pid", ()).await.unwrap();
    let dir = tempfile::tempdir().unwrap();
    let finished = dir.path().join("finished");
    let arguments = (finished.to_str().unwrap(),);
    let mut stream = snakepit
        .execute_stream::<snakepit::Bytes>("forever", arguments)
        .await
        .unwrap();
    stream.next().await.unwrap().unwrap();
    let before = resident(std::process::id()) + resident(pid);
    // Back-pressure has stopped the worker once its CPU time no longer grows.
    let mut interval = tokio::time::interval(std::time::Duration::from_millis(50));
    let stopped = async {
        let mut last = u64::MAX;
        loop {
            interval.tick().await;
            let now = ticks(pid);
            if now == last {
                return;
            }
            last = now;
        }
    };
    tokio::time::timeout(LONG, stopped).await.unwrap();
    let after = resident(std::process::id()) + resident(pid);
    assert!(
        after < before + (32 << 20),
        "memory grew from {before} to {after} bytes"
    );
    drop(stream);
    snakepit.shutdown().await;
}

/// Returns the resident memory in bytes.
fn resident(pid: u32) -> u64 {
    let text = fs::read_to_string(format!("/proc/{pid}/statm")).unwrap();
    text.split(' ').nth(1).unwrap().parse::<u64>().unwrap() * 4096
}

/// Returns the CPU time, user and system, in clock ticks.
fn ticks(pid: u32) -> u64 {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let fields: Vec<&str> = text
        .rsplit(')')
        .next()
        .unwrap()
        .split_whitespace()
        .collect();
    fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
}

#[tokio::test]
async fn an_exception_ends_the_stream_after_its_chunks() {
    let snakepit = start(1).await;
    let mut stream = snakepit
        .execute_stream::<i64>("broken_stream", ())
        .await
        .unwrap();
    assert_eq!(stream.next().await.unwrap().unwrap(), 1);
    assert_eq!(
        stream.next().await.unwrap().unwrap_err().code(),
        ErrorCode::ToolRaised
    );
    assert!(stream.next().await.is_none());
    assert_eq!(snakepit.execute::<i64>("later", (1,)).await.unwrap(), 2);
    snakepit.shutdown().await;
}

#[tokio::test]
async fn plain_and_streaming_calls_are_told_apart() {
    let snakepit = start(1).await;
    let error = snakepit.execute::<i64>("count", (3,)).await.unwrap_err();
    assert_eq!(error.code(), ErrorCode::WrongCallKind);
    let code = match snakepit.execute_stream::<i64>("later", (3,)).await {
        Err(error) => error.code(),
        Ok(mut stream) => stream.next().await.unwrap().unwrap_err().code(),
    };
    assert_eq!(code, ErrorCode::WrongCallKind);
    snakepit.shutdown().await;
}
