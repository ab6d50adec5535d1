//! Streaming calls.

use std::time::Duration;

use futures_util::StreamExt;
use snakepit_core::call::CallOptions;
use snakepit_core::error::ErrorCode;
use snakepit_core::testing::ScriptedProfile;

use crate::support::{balanced, call, config, late, payload, ready, until};

#[tokio::test(start_paused = true)]
async fn chunks_come_and_the_slot_is_free_at_the_end() {
    let pool = ready(config(1), &ScriptedProfile::new(1)).await;
    let chunks: Vec<_> = pool
        .execute_stream("echo", payload(1), &CallOptions::new())
        .await
        .unwrap()
        .collect()
        .await;
    assert_eq!(chunks.len(), 1);
    assert_eq!((pool.status().succeeded, pool.status().in_flight), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn a_stream_dropped_half_way_is_cancelled() {
    let profile = ScriptedProfile::new(1);
    let pool = ready(config(1), &profile).await;
    let mut stream = pool
        .execute_stream("count", payload(1), &CallOptions::new())
        .await
        .unwrap();
    for n in 0..3 {
        assert_eq!(stream.next().await.unwrap().unwrap(), payload(n));
    }
    drop(stream);
    until(|| pool.status().in_flight == 0).await;
    call(&pool, "echo").await.unwrap();
    assert_eq!((pool.status().cancelled, profile.starts()), (1, 1));
    balanced(&pool.status());
}

#[tokio::test(start_paused = true)]
async fn a_stream_ends_at_its_deadline_even_when_chunks_are_ready() {
    let pool = ready(config(1), &ScriptedProfile::new(1)).await;
    let options = CallOptions::new().timeout(Duration::from_secs(1));
    let mut stream = pool
        .execute_stream("count", payload(1), &options)
        .await
        .unwrap();
    stream.next().await.unwrap().unwrap();
    tokio::time::advance(Duration::from_secs(2)).await;
    assert_eq!(late(&mut stream).await.code(), ErrorCode::CallTimeout);
    assert!(stream.next().await.is_none());
    until(|| pool.status().in_flight == 0).await;
    assert_eq!(pool.status().call_timeouts, 1);
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_cannot_start_says_why() {
    let pool = ready(config(1), &ScriptedProfile::new(1)).await;
    let error = pool
        .execute_stream("fail", payload(1), &CallOptions::new())
        .await
        .unwrap_err();
    assert_eq!(error.code(), ErrorCode::ToolRaised);
    assert_eq!(pool.status().in_flight, 0);
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_nobody_reads_gives_its_slot_back_at_its_deadline() {
    let profile = ScriptedProfile::new(1);
    let pool = ready(config(1), &profile).await;
    let options = CallOptions::new().timeout(Duration::from_secs(1));
    let mut stream = pool
        .execute_stream("count", payload(1), &options)
        .await
        .unwrap();
    stream.next().await.unwrap().unwrap();
    // The call waits for the slot, and gets it although the stream is not polled.
    call(&pool, "echo").await.unwrap();
    until(|| pool.status().in_flight == 0).await;
    assert_eq!(pool.status().call_timeouts, 1);
    let error = stream.next().await.unwrap().unwrap_err();
    assert_eq!(error.code(), ErrorCode::CallTimeout);
    assert!(stream.next().await.is_none());
    assert_eq!(profile.starts(), 1);
    balanced(&pool.status());
}

#[tokio::test(start_paused = true)]
async fn a_stream_dropped_while_its_time_out_is_explained_gives_its_slot_back() {
    let profile = ScriptedProfile::new(1);
    let pool = ready(config(1), &profile).await;
    // The worker never reports its stacks, so that the error takes its time.
    profile.workers()[0].set_stacks(None);
    let options = CallOptions::new().timeout(Duration::from_secs(1));
    let stream = pool
        .execute_stream("count", payload(1), &options)
        .await
        .unwrap();
    tokio::time::sleep(Duration::from_millis(1010)).await;
    drop(stream);
    // The call waits for the slot.
    call(&pool, "echo").await.unwrap();
    until(|| pool.status().in_flight == 0).await;
    assert_eq!(pool.status().call_timeouts, 1);
    balanced(&pool.status());
}

#[tokio::test(start_paused = true)]
async fn a_reader_that_waits_is_woken_at_the_deadline() {
    let profile = ScriptedProfile::new(1);
    let pool = ready(config(1), &profile).await;
    let options = CallOptions::new().timeout(Duration::from_secs(1));
    let opened = pool.execute_stream("pause", payload(1), &options);
    let mut stream = opened.await.unwrap();
    assert_eq!(stream.next().await.unwrap().unwrap(), payload(1));
    let error = stream.next().await.unwrap().unwrap_err();
    assert_eq!(error.code(), ErrorCode::CallTimeout);
    until(|| pool.status().in_flight == 0).await;
    balanced(&pool.status());
}
