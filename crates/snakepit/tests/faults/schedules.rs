//! Shutdown against crashes and restarts, in many random orders. Workers are scripted and time is
//! simulated, so that hundreds of schedules take a second and each can be repeated by its number.

use std::sync::Arc;
use std::time::Duration;

use snakepit_core::call::CallOptions;
use snakepit_core::pool::{Pool, PoolConfig};
use snakepit_core::testing::{Script, ScriptedProfile};
use snakepit_core::value::Payload;
use tokio::task::JoinSet;
use tokio::time::{Instant, advance};

use crate::random::Random;
use crate::record::Row;

const SCHEDULES: u64 = 500;

/// The sum of all schedules' observations.
#[derive(Debug, Default)]
struct Seen {
    calls: u64,
    deaths: u64,
    starts: usize,
}

async fn schedule(seed: u64, seen: &mut Seen) {
    let mut random = Random::new(seed);
    let profile = ScriptedProfile::new(1);
    for _ in 0..random.below(6) {
        let script = match random.below(4) {
            0 => Script::Fail { permanent: false },
            1 => Script::Hang,
            2 => Script::Die,
            _ => Script::Ready,
        };
        let _ = profile.clone().then(script);
    }
    let mut config = PoolConfig::new("test");
    config.workers = 1 + usize::try_from(random.below(4)).unwrap();
    config.start_concurrency = 1 + usize::try_from(random.below(3)).unwrap();
    config.start_timeout = Duration::from_secs(1);
    config.restart.initial_backoff = Duration::from_millis(random.below(20));
    let budget = config.drain_timeout + config.stop_grace * 2;
    let pool = Pool::start(config, Arc::new(profile.clone())).unwrap();
    let mut calls = JoinSet::new();
    for _ in 0..random.below(40) {
        match random.below(5) {
            0 => {
                for worker in profile.workers() {
                    worker.die("died at random", false);
                    seen.deaths += 1;
                }
            }
            1 => advance(Duration::from_millis(random.below(200))).await,
            2 => profile.allow(1),
            _ => {
                let tools = ["echo", "gate", "die", "fail", "stuck", "hang"];
                let tool = tools[usize::try_from(random.below(6)).unwrap()];
                let pool = pool.clone();
                seen.calls += 1;
                calls.spawn(async move {
                    let args = Payload::encode(&7).unwrap();
                    pool.execute(tool, args, &CallOptions::new()).await.is_ok()
                });
            }
        }
        for _ in 0..random.below(8) {
            tokio::task::yield_now().await;
        }
    }
    let clock = Instant::now();
    let mut closing = Box::pin(pool.close());
    let pending = futures_util::poll!(&mut closing).is_pending();
    // A start requested before the gate closed may appear until the pool has processed it.
    for _ in 0..32 {
        tokio::task::yield_now().await;
    }
    let starts = profile.starts();
    for worker in profile.workers() {
        if random.below(2) == 0 {
            worker.die("died while the pool closed", false);
            seen.deaths += 1;
        }
    }
    if pending {
        closing.await;
    }
    assert!(clock.elapsed() <= budget, "{seed}: {:?}", clock.elapsed());
    assert_eq!(profile.starts(), starts, "{seed}: no start after the gate");
    advance(Duration::from_secs(600)).await;
    tokio::task::yield_now().await;
    assert_eq!(profile.starts(), starts, "{seed}: nor later");
    assert_eq!(profile.workers().len(), 0, "{seed}: no worker lives");
    while let Some(outcome) = calls.join_next().await {
        outcome.unwrap();
    }
    let status = pool.status();
    let gauges = (status.queue_depth, status.in_flight, status.starting);
    assert_eq!(gauges, (0, 0, 0), "{seed}");
    let outcomes = status.succeeded
        + status.errors
        + status.saturated
        + status.queue_timeouts
        + status.call_timeouts
        + status.cancelled;
    assert_eq!(outcomes, status.requests, "{seed}: {status:?}");
    seen.starts += starts;
}

#[tokio::test(start_paused = true)]
async fn row_69_many_schedules() {
    let row = Row::new(69, "shutdown races crash and restart, scripted workers");
    let mut seen = Seen::default();
    for seed in 0..SCHEDULES {
        schedule(seed, &mut seen).await;
    }
    let Seen {
        calls,
        deaths,
        starts,
    } = seen;
    row.holds(format!(
        "{SCHEDULES} schedules with {calls} calls, {deaths} deaths, {starts} starts: none after the gate"
    ));
}
