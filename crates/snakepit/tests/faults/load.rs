//! Load for a configurable time on workers that are replaced after ten calls, or killed.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use snakepit::{Error, PoolBuilder, RetryPolicy, Snakepit, WorkerId, args};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use crate::oracle::{Scene, eventually_async};
use crate::random::Random;
use crate::record::Row;

/// Variable with the duration of each load in seconds.
const SECONDS: &str = "SNAKEPIT_LOAD_SECONDS";

const WORKERS: usize = 4;
const CALLERS: usize = 8;

fn time() -> Duration {
    let seconds = std::env::var(SECONDS).map_or(4, |text| text.parse().unwrap());
    Duration::from_secs(seconds)
}

/// Returns a pool of workers that run about ten calls and are replaced at any age.
fn few_calls(scene: &Scene) -> PoolBuilder {
    scene.pool(WORKERS).recycle(|recycle| {
        recycle.max_requests = Some(10);
        recycle.min_lifetime = Duration::ZERO;
    })
}

/// The outcome of one call.
#[derive(Debug)]
enum Outcome {
    Answered,
    /// The worker died with the call, or before the call was sent.
    Died {
        worker: WorkerId,
        sent: bool,
    },
}

/// The observations during a load.
#[derive(Debug)]
struct Seen {
    /// One outcome for each call, with its number.
    calls: Vec<(u64, Outcome)>,
    fewest_ready: usize,
    most_alive: usize,
}

/// Makes calls of 5 ms from all callers for some time. Each call writes a line into the ledger when
/// it begins and when it is done. Meanwhile counts the workers.
async fn load(snakepit: &Snakepit, ledger: &str, time: Duration) -> Seen {
    let end = Instant::now() + time;
    let numbers: Arc<AtomicU64> = Arc::default();
    let mut callers = JoinSet::new();
    for _ in 0..CALLERS {
        let (snakepit, ledger, numbers) =
            (snakepit.clone(), ledger.to_owned(), Arc::clone(&numbers));
        callers.spawn(async move {
            let mut outcomes = Vec::new();
            while Instant::now() < end {
                let number = numbers.fetch_add(1, Ordering::Relaxed);
                let text = number.to_string();
                let arguments = args! { "ledger" => &ledger, "text" => text, "ms" => 5 };
                let outcome = match snakepit.execute::<i64>("note_nap", arguments).await {
                    Ok(_) => Outcome::Answered,
                    Err(Error::WorkerDied {
                        worker, ambiguous, ..
                    }) => Outcome::Died {
                        worker,
                        sent: ambiguous,
                    },
                    Err(error) => panic!("call {number}: {error:?}"),
                };
                outcomes.push((number, outcome));
            }
            outcomes
        });
    }
    let (over, fewest) = (
        Arc::new(AtomicBool::new(false)),
        Arc::new(AtomicUsize::new(usize::MAX)),
    );
    let (done, least, other) = (Arc::clone(&over), Arc::clone(&fewest), snakepit.clone());
    let looking = tokio::task::spawn_blocking(move || {
        let mut most = 0;
        while !done.load(Ordering::Relaxed) {
            least.fetch_min(other.status()[0].ready, Ordering::Relaxed);
            most = most.max(other.workers().len());
            // polls: numbers without an event
            std::thread::sleep(Duration::from_micros(500));
        }
        most
    });
    let calls = callers.join_all().await.into_iter().flatten().collect();
    over.store(true, Ordering::Relaxed);
    Seen {
        calls,
        most_alive: looking.await.unwrap(),
        fewest_ready: fewest.load(Ordering::Relaxed),
    }
}

/// Counts from the ledger how often each call has begun and was done.
fn runs(scene: &Scene) -> HashMap<u64, (u32, u32)> {
    let ledger = fs::read_to_string(scene.path("ledger")).unwrap();
    let mut runs: HashMap<u64, (u32, u32)> = HashMap::new();
    for line in ledger.lines() {
        let (number, what) = line.split_once(' ').unwrap();
        let run = runs.entry(number.parse().unwrap()).or_default();
        match what {
            "begins" => run.0 += 1,
            "done" => run.1 += 1,
            other => panic!("{other}"),
        }
    }
    runs
}

#[tokio::test(flavor = "multi_thread")]
async fn row_64_workers_of_ten_calls_under_load() {
    let row = Row::new(64, "workers of ten calls under load of 8 callers");
    let scene = Scene::new();
    let snakepit = scene.host(few_calls(&scene)).start().await.unwrap();
    let time = time();
    let seen = load(&snakepit, &scene.text("ledger"), time).await;
    let failed = seen
        .calls
        .iter()
        .find(|(_, outcome)| !matches!(outcome, Outcome::Answered));
    assert!(failed.is_none(), "{failed:?}");
    let runs = runs(&scene);
    assert_eq!(runs.len(), seen.calls.len());
    assert!(runs.values().all(|run| *run == (1, 1)), "each ran once");
    assert_eq!(seen.fewest_ready, WORKERS);
    // One more is ready or starting, and a replaced one may be about to end.
    assert_eq!(seen.most_alive, WORKERS + 1);
    let status = snakepit.status().remove(0);
    // One at a time, so that the starts bound the number of replacements.
    assert!(status.recycled >= time.as_secs(), "{status:?}");
    assert_eq!((status.restarts, status.errors), (0, 0));
    scene.close(snakepit).await;
    row.holds(format!(
        "{} s: {} calls, 0 errors, {} workers replaced, never fewer than {WORKERS} ready, at most one more",
        time.as_secs(),
        seen.calls.len(),
        status.recycled
    ));
}

/// Kills random workers until `over` is set; returns the killed ones. Between two kills there is
/// time for one start, and at random for up to three more: if a machine starts workers more slowly
/// than they are killed, the pool runs empty.
async fn killer(snakepit: Snakepit, over: Arc<AtomicBool>, start: Duration) -> HashSet<WorkerId> {
    let mut random = Random::new(u64::from(std::process::id()));
    let mut killed = HashSet::new();
    while !over.load(Ordering::Relaxed) {
        // The fault is the moment itself.
        let pause = start + start.mul_f64(random.below(3000) as f64 / 1e3);
        sleep(pause).await; // polls: the random moment itself
        let workers = snakepit.workers();
        let alive: Vec<_> = workers.iter().filter(|one| one.pid.is_some()).collect();
        let victim = usize::try_from(random.below(alive.len().max(1) as u64)).unwrap();
        let Some((worker, pid)) = alive.get(victim).and_then(|one| Some((&one.id, one.pid?)))
        else {
            continue;
        };
        // The worker may have ended by itself.
        if kill(Pid::from_raw(pid.cast_signed()), Signal::SIGKILL).is_ok() {
            killed.insert(worker.clone());
        }
    }
    killed
}

#[tokio::test(flavor = "multi_thread")]
async fn row_64_workers_of_ten_calls_killed_at_random() {
    let row = Row::new(64, "workers of ten calls under load, SIGKILL at random");
    let scene = Scene::new();
    // Unsent calls are sent again: they certainly have not run.
    let pool = few_calls(&scene).retry(RetryPolicy::default());
    let clock = Instant::now();
    let snakepit = scene.host(pool).start().await.unwrap();
    let start = clock.elapsed() / 2;
    let over: Arc<AtomicBool> = Arc::default();
    let mut killers = JoinSet::new();
    killers.spawn(killer(snakepit.clone(), Arc::clone(&over), start));
    let time = time();
    let seen = load(&snakepit, &scene.text("ledger"), time).await;
    over.store(true, Ordering::Relaxed);
    let killed = killers.join_next().await.unwrap().unwrap();
    let runs = runs(&scene);
    let mut died: BTreeMap<WorkerId, u32> = BTreeMap::new();
    for (number, outcome) in &seen.calls {
        let run = runs.get(number).copied().unwrap_or_default();
        match outcome {
            Outcome::Answered => assert_eq!(run, (1, 1), "call {number}"),
            Outcome::Died { worker, sent: true } => {
                assert!(killed.contains(worker), "call {number} on {worker}");
                assert!(run.0 <= 1, "call {number} ran {run:?}");
                *died.entry(worker.clone()).or_default() += 1;
            }
            Outcome::Died { sent: false, .. } => panic!("call {number} was not sent again"),
        }
    }
    // Each worker has one slot.
    assert!(died.values().all(|calls| *calls == 1), "{died:?}");
    assert!(seen.fewest_ready > 0, "the pool was never empty");
    let ready = || snakepit.status()[0].ready >= WORKERS;
    eventually_async("the pool is whole", ready).await;
    let status = snakepit.status().remove(0);
    assert_eq!(
        status.succeeded + status.errors,
        status.requests,
        "{status:?}"
    );
    assert_eq!(status.start_error, None);
    scene.close(snakepit).await;
    row.holds(format!(
        "{} s: {} kills, {} replaced, {} calls, one outcome each: {} died while they ran on the killed worker; {} sent again; at least {} ready",
        time.as_secs(),
        killed.len(),
        status.recycled,
        seen.calls.len(),
        died.len(),
        status.retries,
        seen.fewest_ready
    ));
}
