//! A program that uses only the facade: two pools, 10,000 calls from 64 tasks, a stream,
//! `execute_many` and a killed worker. Every call has exactly one outcome.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use snakepit::{Error, PoolHandle, Snakepit};
use tokio::task::JoinSet;

use crate::support::{LONG, pool};

const CALLS: u64 = 10_000;
const TASKS: u64 = 64;

/// Outcomes of all calls.
#[derive(Default)]
struct Outcomes {
    right: AtomicU64,
    died: AtomicU64,
    unexpected: AtomicU64,
}

impl Outcomes {
    async fn call(&self, pool: &PoolHandle, n: u64) {
        let counter = match pool.execute::<u64>("later", (n,)).await {
            Ok(next) if next == n + 1 => &self.right,
            Err(Error::WorkerDied { .. }) => &self.died,
            _ => &self.unexpected,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    fn count(&self) -> u64 {
        [&self.right, &self.died, &self.unexpected]
            .map(|counter| counter.load(Ordering::Relaxed))
            .iter()
            .sum()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_call_has_exactly_one_outcome() {
    let builder = Snakepit::builder()
        .pool(pool("left", 2))
        .pool(pool("right", 2));
    let snakepit = builder.start().await.unwrap();
    let outcomes = Arc::new(Outcomes::default());

    let mut tasks = JoinSet::new();
    for task in 0..TASKS {
        let name = if task % 2 == 0 { "left" } else { "right" };
        let (pool, outcomes) = (snakepit.pool(name).unwrap(), Arc::clone(&outcomes));
        tasks.spawn(async move {
            let mut n = task;
            while n < CALLS {
                outcomes.call(&pool, n).await;
                n += TASKS;
            }
        });
    }

    // Halfway through: a stream, many calls and a death.
    let reached = async {
        let mut interval = tokio::time::interval(Duration::from_millis(1));
        while outcomes.count() < CALLS / 10 {
            interval.tick().await;
        }
    };
    tokio::time::timeout(LONG, reached).await.unwrap();
    let left = snakepit.pool("left").unwrap();
    let victim = left.workers().iter().find_map(|worker| worker.pid).unwrap();
    kill(Pid::from_raw(victim.cast_signed()), Signal::SIGKILL).unwrap();

    let right = snakepit.pool("right").unwrap();
    let mut stream = right.execute_stream::<u64>("count", (1000,)).await.unwrap();
    let mut chunks = 0;
    while let Some(chunk) = stream.next().await {
        assert_eq!(chunk.unwrap(), chunks);
        chunks += 1;
    }
    assert_eq!(chunks, 1000);

    let mut many = right.execute_many::<u64, _>("later", (0..5000_u64).map(|n| (n,)));
    let mut results = 0;
    while let Some(result) = many.next().await {
        assert_eq!(result.unwrap(), results + 1);
        results += 1;
    }
    assert_eq!(results, 5000);

    tokio::time::timeout(LONG, tasks.join_all()).await.unwrap();
    assert_eq!(outcomes.count(), CALLS);
    assert_eq!(outcomes.unexpected.load(Ordering::Relaxed), 0);
    // One worker with one slot died, and so at most one call with it.
    assert!(outcomes.died.load(Ordering::Relaxed) <= 1);

    assert_eq!(
        left.execute::<u64>("later", (1,)).await.unwrap(),
        2,
        "the pool heals"
    );
    snakepit.shutdown().await;
    assert!(snakepit.execute::<u64>("later", (1,)).await.is_err());
}
