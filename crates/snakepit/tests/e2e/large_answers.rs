//! Large results of an event loop: about as fast as those of a process, and nobody waits for them.
//!
//! All numbers are compared with others of the same run; a busy machine has several tries.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use snakepit::{Bytes, PoolBuilder, Snakepit};

use crate::support::{pool_of, root};

const MB: u32 = 100;

/// A machine that does other things disturbs one comparison, but not all of them.
const ROUNDS: usize = 20;

async fn start(configure: impl FnOnce(PoolBuilder) -> PoolBuilder) -> Snakepit {
    let adapter = root().join("crates/snakepit/tests/e2e/large_tools.py");
    let pool = pool_of("main", adapter.to_str().unwrap()).max_payload(128 << 20);
    let snakepit = Snakepit::builder().pool(configure(pool)).start();
    let snakepit = snakepit.await.unwrap();
    // The first time makes the value.
    large(&snakepit, 1).await;
    snakepit
}

#[expect(clippy::disallowed_methods, reason = "it measures")]
fn now() -> Instant {
    Instant::now()
}

/// Time of so many large results.
async fn large(snakepit: &Snakepit, count: usize) -> Duration {
    let begin = now();
    let calls = (0..count).map(|_| async {
        let result = snakepit.execute::<Bytes>("data", (MB,)).await.unwrap();
        assert_eq!(result.len(), (MB << 20) as usize);
    });
    join_all(calls).await;
    begin.elapsed()
}

async fn small(snakepit: &Snakepit) -> Duration {
    let begin = now();
    snakepit.execute::<u32>("small", ()).await.unwrap();
    begin.elapsed()
}

#[tokio::test(flavor = "multi_thread")]
async fn eight_large_results_take_at_most_half_as_long_again_as_from_a_process() {
    let process = start(|pool| pool).await;
    let event_loop = start(|pool| pool.concurrency(16)).await;
    let mut tries = Vec::new();
    while tries.len() < ROUNDS {
        let (process, event_loop) = (large(&process, 8).await, large(&event_loop, 8).await);
        if event_loop.as_secs_f64() <= 1.5 * process.as_secs_f64() {
            return;
        }
        tries.push((process, event_loop));
    }
    panic!("{tries:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_small_call_beside_large_results_takes_at_most_50_ms_more() {
    let snakepit = start(|pool| pool.concurrency(16)).await;
    let mut tick = tokio::time::interval(Duration::from_millis(5));
    let mut tries = Vec::new();
    while tries.len() < ROUNDS {
        let mut beside = Vec::new();
        {
            let mut eight = std::pin::pin!(large(&snakepit, 8));
            loop {
                tokio::select! {
                    _ = &mut eight => break,
                    took = async { tick.tick().await; small(&snakepit).await } => beside.push(took),
                }
            }
        }
        let mut alone = Vec::new();
        for _ in 0..beside.len() {
            tick.tick().await;
            alone.push(small(&snakepit).await);
        }
        let slowest = |all: &[Duration]| all.iter().max().copied().unwrap_or_default();
        let (alone, slowest) = (slowest(&alone), slowest(&beside));
        if beside.len() >= 5 && slowest <= alone + Duration::from_millis(50) {
            return;
        }
        tries.push((beside.len(), slowest, alone));
    }
    panic!("{tries:?}");
}
