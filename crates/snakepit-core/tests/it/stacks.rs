//! The stacks of a worker's threads when a call takes too long.

use std::time::Duration;

use futures_util::StreamExt as _;
use snakepit_core::call::CallOptions;
use snakepit_core::error::{Error, StackFrame, Stacks, ThreadStack};
use snakepit_core::testing::ScriptedProfile;
use tokio::time::Instant;

use crate::support::{balanced, call, config, late, payload, ready, until};

fn stacks() -> Stacks {
    let frame = StackFrame {
        file: "tools.py".into(),
        line: 3,
        function: "hang".into(),
    };
    let thread = ThreadStack {
        name: "MainThread".into(),
        id: 1,
        call: None,
        frames: vec![frame],
    };
    Stacks {
        threads: vec![thread],
        truncated: false,
    }
}

fn told(error: &Error) -> Option<&Stacks> {
    match error {
        Error::Timeout { stacks, .. } => stacks.as_deref(),
        other => panic!("{other:?}"),
    }
}

fn second() -> CallOptions {
    CallOptions::new().timeout(Duration::from_secs(1))
}

#[tokio::test(start_paused = true)]
async fn a_time_out_has_the_stacks_of_the_worker() {
    let profile = ScriptedProfile::new(1);
    let pool = ready(config(1), &profile).await;
    profile.workers()[0].set_stacks(Some(stacks()));
    let start = Instant::now();
    let result = pool.execute("hang", payload(1), &second()).await;
    assert_eq!(told(&result.unwrap_err()), Some(&stacks()));
    assert_eq!(start.elapsed(), Duration::from_secs(1));
    let mut many = pool.execute_many("hang", [payload(1)], &second());
    let error = many.next().await.unwrap().unwrap_err();
    assert_eq!(told(&error), Some(&stacks()));
    call(&pool, "echo").await.unwrap();
    until(|| pool.status().in_flight == 0).await;
    balanced(&pool.status());
}

#[tokio::test(start_paused = true)]
async fn a_stream_has_them_too_and_then_ends() {
    let profile = ScriptedProfile::new(1);
    let pool = ready(config(1), &profile).await;
    profile.workers()[0].set_stacks(Some(stacks()));
    let mut chunks = pool
        .execute_stream("count", payload(1), &second())
        .await
        .unwrap();
    chunks.next().await.unwrap().unwrap();
    tokio::time::advance(Duration::from_secs(2)).await;
    let error = late(&mut chunks).await;
    assert_eq!(told(&error), Some(&stacks()));
    assert!(chunks.next().await.is_none());
    until(|| pool.status().in_flight == 0).await;
    balanced(&pool.status());
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_does_not_tell_holds_the_caller_up_for_a_moment() {
    let profile = ScriptedProfile::new(1);
    let pool = ready(config(1), &profile).await;
    profile.workers()[0].set_stacks(None);
    let start = Instant::now();
    let result = pool.execute("hang", payload(1), &second()).await;
    assert_eq!(told(&result.unwrap_err()), None);
    assert_eq!(start.elapsed(), Duration::from_millis(1050));
    let worker = pool.workers()[0].id.clone();
    assert_eq!(pool.stacks(&worker, Duration::from_secs(1)).await, None);
}

#[tokio::test(start_paused = true)]
async fn without_patience_nobody_is_asked() {
    let profile = ScriptedProfile::new(1);
    let mut config = config(1);
    config.timeout_stacks = Duration::ZERO;
    let pool = ready(config, &profile).await;
    profile.workers()[0].set_stacks(Some(stacks()));
    let result = pool.execute("hang", payload(1), &second()).await;
    assert_eq!(told(&result.unwrap_err()), None);
    let worker = pool.workers()[0].id.clone();
    let looked = pool.stacks(&worker, Duration::from_secs(1)).await;
    assert_eq!(looked, Some(stacks()), "but it can be");
    let unknown = "nobody".into();
    assert_eq!(pool.stacks(&unknown, Duration::from_secs(1)).await, None);
}

#[tokio::test(start_paused = true)]
async fn a_caller_that_leaves_while_the_worker_is_asked_leaves_the_call_behind() {
    let profile = ScriptedProfile::new(1);
    let pool = ready(config(1), &profile).await;
    profile.workers()[0].set_stacks(None);
    let options = second();
    let execute = pool.execute("hang", payload(1), &options);
    let early = tokio::time::timeout(Duration::from_millis(1020), execute).await;
    assert!(early.is_err());
    until(|| pool.status().in_flight == 0).await;
    call(&pool, "echo").await.unwrap();
    assert_eq!(profile.starts(), 1);
    balanced(&pool.status());
}
