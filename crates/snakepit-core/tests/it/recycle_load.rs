//! A minute of load on workers with a small limit of calls, with and without kills.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use snakepit_core::call::CallOptions;
use snakepit_core::error::Error;
use snakepit_core::pool::{Pool, PoolConfig, WorkerState, WorkerStatus};
use snakepit_core::testing::{Script, ScriptedProfile};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use crate::support::{balanced, config, payload, ready};

const WORKERS: usize = 4;
const CALLERS: usize = 8;
const MINUTE: Duration = Duration::from_secs(60);

fn recycling() -> PoolConfig {
    let mut config = config(WORKERS);
    config.recycle.max_requests = Some(10);
    config.recycle.min_lifetime = Duration::ZERO;
    config
}

async fn pool(profile: &ScriptedProfile) -> Pool {
    let pool = ready(recycling(), profile).await;
    profile.otherwise(Script::Slow(Duration::from_millis(30)));
    pool
}

/// Number of workers that take calls.
fn serving(pool: &Pool) -> usize {
    let serves = |one: &WorkerStatus| matches!(one.state, WorkerState::Idle | WorkerState::Busy);
    pool.workers().into_iter().filter(serves).count()
}

/// Makes calls until the time is over, and inspects the pool with `look` after each call. Returns
/// outcomes by name.
async fn load(pool: &Pool, look: fn(&Pool)) -> BTreeMap<String, usize> {
    let end = Instant::now() + MINUTE;
    let mut callers = JoinSet::new();
    for _ in 0..CALLERS {
        let pool = pool.clone();
        callers.spawn(async move {
            let mut outcomes = BTreeMap::<String, usize>::new();
            while Instant::now() < end {
                let outcome = match pool.execute("nap", payload(1), &CallOptions::new()).await {
                    Ok(_) => "ok".to_owned(),
                    Err(Error::WorkerDied { ambiguous, .. }) => format!("died {ambiguous}"),
                    Err(error) => format!("{error:?}"),
                };
                *outcomes.entry(outcome).or_default() += 1;
                look(&pool);
            }
            outcomes
        });
    }
    let mut all = BTreeMap::new();
    for outcomes in callers.join_all().await {
        for (outcome, count) in outcomes {
            *all.entry(outcome).or_default() += count;
        }
    }
    all
}

#[tokio::test(start_paused = true)]
async fn workers_of_ten_calls_for_a_minute() {
    let profile = ScriptedProfile::new(1);
    let pool = pool(&profile).await;
    let outcomes = load(&pool, |pool| assert!(serving(pool) >= WORKERS)).await;
    let status = pool.status();
    assert_eq!(outcomes.keys().collect::<Vec<_>>(), ["ok"], "{outcomes:?}");
    assert!(outcomes["ok"] > 20_000, "{outcomes:?}");
    assert!(status.recycled > 1_000, "{}", status.recycled);
    assert_eq!(status.restarts, 0);
    assert_eq!(profile.most(), WORKERS + 1);
    balanced(&status);
}

#[tokio::test(start_paused = true)]
async fn workers_of_ten_calls_that_are_killed_at_random() {
    let profile = ScriptedProfile::new(1);
    let mut config = recycling();
    config.restart.max_restarts = 10_000;
    config.restart.max_backoff = Duration::from_millis(100);
    let pool = ready(config, &profile).await;
    profile.otherwise(Script::Slow(Duration::from_millis(30)));
    // Number of calls in the killed workers.
    let had = Arc::new(AtomicUsize::new(0));
    let mut killer = JoinSet::new();
    killer.spawn({
        let (profile, had) = (profile.clone(), Arc::clone(&had));
        async move {
            loop {
                sleep(Duration::from_millis(fastrand::u64(50..500))).await;
                let workers = profile.workers();
                let Some(victim) = fastrand::choice(&workers) else {
                    continue;
                };
                had.fetch_add(victim.running(), Ordering::SeqCst);
                victim.die("killed by signal 9", false);
            }
        }
    });
    let mut outcomes = load(&pool, |_| {}).await;
    killer.shutdown().await;
    assert!(outcomes.remove("ok").unwrap() > 10_000);
    let executing = outcomes.remove("died true").unwrap_or(0);
    let had = had.load(Ordering::SeqCst);
    // A call that ends at the moment of the kill has its result.
    assert!((had / 2..=had).contains(&executing), "{executing} of {had}");
    assert!(executing > 50, "{executing}");
    // A call that gets a dead worker's slot before the pool knows was not sent and may be repeated.
    outcomes.remove("died false");
    assert!(outcomes.is_empty(), "{outcomes:?}");
    let status = pool.status();
    assert!(status.recycled > 300, "{}", status.recycled);
    assert!(profile.most() <= WORKERS + 1, "{}", profile.most());
    balanced(&status);
}
