//! Many callers of few workers: calls that wait in a connection behind the running one.

use std::collections::BTreeSet;
use std::time::Duration;

use snakepit::{ErrorCode, PoolConfig, PythonProfile, Snakepit};
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::support::{LONG, pool};

const CALLERS: u64 = 64;

/// Makes `rounds` calls per caller, each of the kind that `kind` returns for its number. Returns
/// the numbers of the calls that succeeded.
async fn load(
    snakepit: &Snakepit,
    path: &str,
    rounds: u64,
    kind: fn(u64) -> &'static str,
) -> BTreeSet<u64> {
    let mut callers = JoinSet::new();
    for caller in 0..CALLERS {
        let (snakepit, path) = (snakepit.clone(), path.to_owned());
        callers.spawn(async move {
            let mut done = Vec::new();
            for round in 0..rounds {
                let number = caller * rounds + round;
                match kind(number) {
                    "slow" => {
                        let _: f64 = snakepit.execute("slow", (0.02,)).await.unwrap();
                    }
                    "die" => {
                        let died = snakepit.execute::<()>("die", ()).await.unwrap_err();
                        assert_eq!(died.code(), ErrorCode::WorkerDied);
                    }
                    "stop" => {
                        let call = snakepit.execute::<f64>("slow", (60.0,));
                        assert!(timeout(Duration::from_millis(5), call).await.is_err());
                    }
                    "drop" => {
                        let call = snakepit.execute::<u64>("note", (&path, number));
                        drop(timeout(Duration::from_micros(number % 3000), call).await);
                    }
                    _ => match snakepit.execute::<u64>("note", (&path, number)).await {
                        Ok(back) => {
                            assert_eq!(back, number);
                            done.push(number);
                        }
                        Err(error) => assert_eq!(error.code(), ErrorCode::WorkerDied),
                    },
                }
            }
            done
        });
    }
    let all = timeout(LONG, callers.join_all()).await.unwrap();
    all.into_iter().flatten().collect()
}

/// Checks that every successful call ran, that none ran twice, and that nothing remains in flight.
async fn settled(snakepit: &Snakepit, path: &str, done: &BTreeSet<u64>) {
    let text = std::fs::read_to_string(path).unwrap();
    let ran: Vec<u64> = text.lines().map(|line| line.parse().unwrap()).collect();
    let distinct: BTreeSet<_> = ran.iter().copied().collect();
    assert_eq!(ran.len(), distinct.len(), "a call ran twice");
    assert!(done.is_subset(&distinct), "a call did not run");
    let empty = async {
        let mut interval = tokio::time::interval(Duration::from_millis(2));
        loop {
            interval.tick().await;
            let status = snakepit.status().remove(0);
            if (status.in_flight, status.queue_depth) == (0, 0) {
                return status;
            }
        }
    };
    let status = timeout(LONG, empty).await.unwrap();
    let over = status.succeeded + status.errors + status.cancelled + status.call_timeouts;
    assert_eq!(status.requests, over + status.queue_timeouts, "{status:?}");
}

async fn start(workers: usize, slots: u16) -> Snakepit {
    start_with(workers, slots, |_| {}).await
}

async fn start_with(workers: usize, slots: u16, change: fn(&mut PoolConfig)) -> Snakepit {
    let mut pool = pool("main", workers).configure(|pool| {
        pool.queue_timeout = LONG;
        pool.restart.max_restarts = 1000;
        change(pool);
    });
    if slots > 1 {
        pool = pool.profile(PythonProfile::Thread {
            threads_per_worker: slots,
        });
    }
    Snakepit::builder().pool(pool).start().await.unwrap()
}

fn notes() -> (tempfile::TempDir, String) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("notes").to_str().unwrap().to_owned();
    (dir, path)
}

#[tokio::test(flavor = "multi_thread")]
async fn each_caller_gets_its_own_answer() {
    let (_dir, path) = notes();
    let snakepit = start(1, 1).await;
    let done = load(&snakepit, &path, 100, |_| "note").await;
    assert_eq!(done.len() as u64, CALLERS * 100);
    settled(&snakepit, &path, &done).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn slow_calls_between_short_ones_and_callers_that_leave() {
    for (workers, slots) in [(1, 1), (2, 1), (1, 3)] {
        let (_dir, path) = notes();
        let snakepit = start(workers, slots).await;
        let kind = |number: u64| match number % 200 {
            50 => "slow",
            100..110 => "drop",
            _ => "note",
        };
        let done = load(&snakepit, &path, 100, kind).await;
        assert_eq!(done.len() as u64, CALLERS * 100 * 189 / 200);
        settled(&snakepit, &path, &done).await;
        snakepit.shutdown().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn workers_that_die_take_only_calls_along_that_were_begun() {
    let (_dir, path) = notes();
    let snakepit = start(2, 1).await;
    let kind = |number: u64| match number % 1600 {
        800 => "die",
        _ => "note",
    };
    let done = load(&snakepit, &path, 100, kind).await;
    // In each of the four deaths only the killing call had begun.
    assert_eq!(done.len() as u64, CALLERS * 100 - 4);
    settled(&snakepit, &path, &done).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_that_are_cancelled_and_workers_that_are_replaced_take_none_along() {
    for (workers, slots) in [(1, 1), (2, 1), (1, 3)] {
        let (_dir, path) = notes();
        let change = |pool: &mut PoolConfig| {
            pool.recycle.max_requests = Some(1500);
            pool.recycle.min_lifetime = Duration::ZERO;
        };
        let snakepit = start_with(workers, slots, change).await;
        let kind = |number: u64| match number % 200 {
            50 => "stop",
            _ => "note",
        };
        let done = load(&snakepit, &path, 100, kind).await;
        assert_eq!(done.len() as u64, CALLERS * 100 * 199 / 200);
        settled(&snakepit, &path, &done).await;
        assert!(snakepit.status()[0].recycled > 0);
        snakepit.shutdown().await;
    }
}
