//! Pools, and the runtimes from which they are used.
#![expect(
    clippy::unwrap_used,
    reason = "a helper of a test may panic like the test"
)]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::StreamExt;
use snakepit_core::call::CallOptions;
use snakepit_core::error::{Error, ErrorCode};
use snakepit_core::host_tools::{HostState, HostStateConfig};
use snakepit_core::pool::{Pool, PoolState, RecycleError};
use snakepit_core::testing::{Script, ScriptedProfile};
use tokio::runtime::{Builder, Runtime};
use tokio::time::timeout;

use crate::support::{LONG, call, config, payload, ready, start};

fn multi_thread() -> Runtime {
    Builder::new_multi_thread()
        .worker_threads(2)
        .enable_time()
        .build()
        .unwrap()
}

fn current_thread() -> Runtime {
    Builder::new_current_thread().enable_time().build().unwrap()
}

/// Checks every answer of a closed pool; all of them come at once.
async fn is_closed(pool: &Pool) {
    let options = CallOptions::new();
    let closed = |error: Option<Error>| matches!(error, Some(Error::Closed(_)));
    assert!(closed(call(pool, "echo").await.err()));
    let stream = pool.execute_stream("count", payload(1), &options).await;
    assert!(closed(stream.err()));
    let many = pool.execute_many("echo", (0..3).map(payload), &options);
    let results: Vec<_> = many.collect().await;
    assert_eq!(results.len(), 3);
    assert!(results.into_iter().all(|result| closed(result.err())));
    assert_eq!(pool.status().state, PoolState::Closed);
    assert!(closed(pool.await_all_ready(LONG).await.err()));
    pool.resize(2).await.unwrap();
    let recycled = pool.recycle(&"test-1".into()).await;
    assert!(matches!(recycled, Err(RecycleError::Closed(_))));
    assert!(pool.workers().is_empty() && pool.tools().is_empty());
    pool.close().await;
}

#[test]
fn a_pool_whose_runtime_is_gone_is_closed_for_all_others() {
    for first in [multi_thread(), current_thread()] {
        let profile = ScriptedProfile::new(1);
        let pool = first.block_on(ready(config(2), &profile));
        let options = CallOptions::new();
        // A stream of results that has begun, and one call that will wait for ever.
        let mut many = pool.execute_many("echo", (0..4).map(payload), &options);
        first.block_on(async { many.next().await.unwrap().unwrap() });
        drop(first);
        assert!(profile.workers().is_empty(), "its workers have ended");
        for other in [multi_thread(), current_thread()] {
            let all = async { timeout(LONG, is_closed(&pool)).await };
            other.block_on(all).expect("nothing hangs");
        }
        let rest = async { timeout(LONG, many.collect::<Vec<_>>()).await };
        let rest = current_thread().block_on(rest).expect("nothing hangs");
        assert_eq!(rest.len(), 3, "each item has one result");
    }
}

#[test]
fn calls_that_wait_hear_of_the_end_of_the_runtime() {
    let first = multi_thread();
    let profile = ScriptedProfile::new(1);
    profile.otherwise(Script::Hang);
    let pool = first.block_on(async { start(config(1), &profile) });
    let other = multi_thread();
    let (waiting, starting) = (pool.clone(), pool.clone());
    let waiting = other.spawn(async move { call(&waiting, "echo").await });
    let starting = other.spawn(async move { starting.await_all_ready(LONG).await });
    while pool.status().queue_depth == 0 {
        std::thread::yield_now();
    }
    drop(first);
    let ended = async { timeout(LONG, async { (waiting.await, starting.await) }).await };
    let (waiting, starting) = other.block_on(ended).expect("nothing hangs");
    assert!(matches!(waiting.unwrap(), Err(Error::Closed(_))));
    assert!(matches!(starting.unwrap(), Err(Error::Closed(_))));
}

#[test]
fn a_runtime_that_ends_under_a_live_pool_makes_nothing_panic() {
    static PANICS: AtomicUsize = AtomicUsize::new(0);
    let others = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        if panic.to_string().contains("catch panics") {
            PANICS.fetch_add(1, Ordering::SeqCst);
        }
        others(panic);
    }));
    for round in 0..40 {
        let first = multi_thread();
        let profile = ScriptedProfile::new(1);
        profile.otherwise(Script::Slow(Duration::from_micros(50 * round)));
        let mut settings = config(8);
        settings.start_concurrency = 8;
        settings.heartbeat.interval = Duration::from_millis(10);
        settings.heartbeat.timeout = Duration::from_millis(10);
        let pool = first.block_on(async { start(settings, &profile) });
        first.shutdown_background();
        let close = async { timeout(LONG, pool.close()).await };
        current_thread().block_on(close).expect("nothing hangs");
    }
    assert_eq!(PANICS.load(Ordering::SeqCst), 0);
}

#[test]
fn a_start_without_a_usable_runtime_says_so() {
    let begin = || Pool::start(config(1), Arc::new(ScriptedProfile::new(1))).map(drop);
    let error = begin().unwrap_err();
    assert_eq!(error.code, ErrorCode::NoRuntime);
    assert!(error.to_string().contains("outside of a tokio runtime"));
    let state = HostState::new(HostStateConfig::new()).map(drop);
    assert_eq!(state.unwrap_err().code, ErrorCode::NoRuntime);
    let no_timers = Builder::new_current_thread().build().unwrap();
    let error = no_timers.block_on(async { begin() }).unwrap_err();
    assert_eq!(error.code, ErrorCode::NoRuntime);
    assert!(error.to_string().contains("has no timers"));
}
