//! Causes of repeated worker failures: one request, or the workers' own adapter.

use std::fs;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;
use std::time::Duration;

use snakepit::{Death, Error, QuarantinePolicy, Snakepit, Status, args};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use crate::oracle::{Scene, eventually_async};
use crate::record::{Row, ms};

fn status(snakepit: &Snakepit) -> Status {
    snakepit.status().remove(0)
}

/// Returns the number of workers started so far, from the name of the youngest.
fn starts(snakepit: &Snakepit) -> usize {
    let workers = snakepit.workers();
    let numbers = workers.iter().map(|worker| {
        let (_, number) = worker.id.as_str().rsplit_once('-').unwrap();
        number.parse().unwrap()
    });
    numbers.max().unwrap_or(0)
}

/// Returns the outcome of a call, and whether the first poll returned it.
pub(crate) async fn polled<T>(call: impl Future<Output = T>) -> (T, bool) {
    let mut call = pin!(call);
    match futures_util::poll!(&mut call) {
        Poll::Ready(outcome) => (outcome, true),
        Poll::Pending => (call.await, false),
    }
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}

#[tokio::test(flavor = "multi_thread")]
async fn row_74_a_request_that_kills_workers() {
    const WORKERS: usize = 3;
    let row = Row::new(
        74,
        "request that makes its worker segfault, innocents beside it",
    );
    let scene = Scene::new();
    let mut policy = QuarantinePolicy::default();
    policy.deaths = 2;
    let pool = scene.pool(WORKERS).quarantine(policy);
    let snakepit = scene.host(pool).start().await.unwrap();
    let (over, mut innocents) = (Arc::new(AtomicBool::new(false)), JoinSet::new());
    for _ in 0..2 * WORKERS {
        let (snakepit, over) = (snakepit.clone(), Arc::clone(&over));
        innocents.spawn(async move {
            let mut answered = 0;
            while !over.load(Ordering::Relaxed) {
                snakepit.execute::<i64>("nap", args! { "ms" => 2 }).await?;
                answered += 1;
            }
            Ok::<_, Error>(answered)
        });
    }
    let poison = args! { "ledger" => scene.text("ledger") };
    let (mut died, mut refused) = (0, Vec::new());
    for _ in 0..50 {
        let clock = Instant::now();
        let call = snakepit.execute::<()>("read_null", poison.clone());
        let (outcome, at_once) = polled(call).await;
        match outcome {
            Err(Error::WorkerDied {
                cause: Death::Signal(11),
                ambiguous: true,
                ..
            }) => died += 1,
            Err(Error::Quarantined { .. }) if at_once => refused.push(clock.elapsed()),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!((died, refused.len()), (2, 48));
    let ledger = fs::read_to_string(scene.path("ledger")).unwrap();
    assert_eq!(ledger.lines().count(), 2, "no worker has seen the others");
    let took = median(refused);
    let whole = || status(&snakepit).ready == WORKERS;
    eventually_async("the pool is whole", whole).await;
    over.store(true, Ordering::Relaxed);
    let mut answered = 0;
    while let Some(innocent) = innocents.join_next().await {
        answered += innocent.unwrap().unwrap();
    }
    assert!(answered > 0);
    let (started, now) = (starts(&snakepit) - WORKERS, status(&snakepit));
    assert!(started <= 3, "{started} starts beyond the first: {now:?}");
    assert_eq!((now.restarts, now.in_quarantine, now.errors), (2, 1, 50));
    scene.close(snakepit).await;
    row.holds(format!(
        "2 workers died, 48 repetitions refused ({} at the median), {started} starts more, 0 of {answered} innocent calls failed",
        ms(took)
    ));
}

#[tokio::test(flavor = "multi_thread")]
async fn row_76_a_bad_import_heals() {
    const WORKERS: usize = 2;
    const WINDOW: Duration = Duration::from_secs(2);
    let row = Row::new(76, "adapter cannot be imported, later it can");
    let scene = Scene::new();
    let adapter = scene.adapter("import no_such_module_at_all\n");
    let pool = scene.pool_of(&adapter, WORKERS).configure(|pool| {
        pool.restart.max_restarts = 3;
        pool.restart.window = WINDOW;
        pool.restart.initial_backoff = Duration::from_millis(10);
    });
    let host = scene.host(pool).wait_ready(false);
    let snakepit = host.start().await.unwrap();
    let gave_up = || status(&snakepit).start_error.is_some();
    eventually_async("the pool gives up", gave_up).await;
    let none = || status(&snakepit).starting == 0;
    eventually_async("the other starts fail", none).await;
    let first = status(&snakepit).start_failures;
    assert!(first <= 3 + 1, "{first} starts before it gave up");
    // For two windows or longer every call is rejected at once, and one start is tried in each
    // window.
    let (clock, mut refused) = (Instant::now(), Vec::new());
    let tries = || status(&snakepit).start_failures - first;
    while clock.elapsed() < 2 * WINDOW || tries() == 0 {
        let call = Instant::now();
        let (outcome, at_once) = polled(snakepit.execute::<i64>("f", ())).await;
        refused.push(call.elapsed());
        let error = outcome.unwrap_err();
        assert!(at_once && matches!(error, Error::Start { .. }), "{error:?}");
        // polls: calls continue
        sleep(Duration::from_millis(5)).await;
    }
    let took = median(refused);
    let (tries, windows) = (tries(), clock.elapsed().div_duration_f64(WINDOW) as u64);
    assert!(
        (1..=windows).contains(&tries),
        "{tries} in {windows} windows"
    );
    scene.adapter("from snakepit_bridge import tool\n@tool\ndef f() -> int:\n    return 7\n");
    let (clock, before) = (Instant::now(), status(&snakepit).start_failures);
    let whole = || status(&snakepit).ready == WORKERS;
    eventually_async("it heals", whole).await;
    let healed = clock.elapsed();
    assert_eq!(snakepit.execute::<i64>("f", ()).await.unwrap(), 7);
    // At most the start that was in progress when the adapter was fixed.
    let now = status(&snakepit);
    assert!(now.start_failures <= before + 1, "{now:?}");
    assert_eq!(now.start_error, None);
    scene.close(snakepit).await;
    row.holds(format!(
        "{first} starts, then {tries} in {windows} windows of {} s; calls refused after {} at the median; whole {} after it was mended",
        WINDOW.as_secs(),
        ms(took),
        ms(healed)
    ));
}
