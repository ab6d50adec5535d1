//! More calls than fit, and callers that claim more than their share.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use snakepit::{CallOptions, Error, Fairness, QueueBound, Snakepit, args};
use tokio::task::JoinSet;
use tokio::time::{Instant, interval, timeout};

use crate::oracle::Scene;
use crate::poison::polled;
use crate::random_kill::ROUNDS;
use crate::record::{Row, ms};
use crate::support::LONG;

/// Duration of one call on its worker.
const NAP: Duration = Duration::from_millis(20);
const WORKERS: usize = 2;
const LIMIT: usize = 100;
/// Time for a whole call.
const DEADLINE: Duration = Duration::from_secs(1);
/// Allowed lateness: the pool's timer has a resolution of 1 ms, and a waiting caller wakes some
/// time after the answer.
const LATENESS: Duration = Duration::from_millis(20);

async fn nap(snakepit: &Snakepit, options: &CallOptions) -> Result<i64, Error> {
    let arguments = args! { "ms" => NAP.as_millis() as u64 };
    snakepit.call("nap").args(arguments).options(options).await
}

/// The outcome of a call and its duration.
struct End {
    result: Result<i64, Error>,
    at_once: bool,
    time: Duration,
}

/// The outcomes of many calls, with the durations.
#[derive(Default)]
struct Ends {
    fine: Vec<Duration>,
    refused: Vec<Duration>,
    /// Number of rejections because of the estimated wait.
    early: usize,
    late: usize,
}

impl Ends {
    /// Adds an outcome. Returns whether the call was rejected, and checks that a rejection comes
    /// with the first poll.
    fn add(&mut self, end: End) -> bool {
        match end.result {
            Ok(_) => self.fine.push(end.time),
            Err(Error::Saturated {
                bound,
                queued,
                retry_after,
                ..
            }) => {
                assert!(queued <= LIMIT && !retry_after.is_zero());
                assert!(end.at_once, "{:?}", end.time);
                self.early += usize::from(matches!(bound, QueueBound::Wait { .. }));
                self.refused.push(end.time);
                return true;
            }
            Err(Error::Timeout { .. }) => self.late += 1,
            Err(other) => panic!("{other}"),
        }
        false
    }
}

fn quantile(times: &mut [Duration], part: f64) -> Duration {
    times.sort_unstable();
    let place = (times.len() as f64 * part) as usize;
    times[place.min(times.len() - 1)]
}

async fn one(snakepit: Snakepit, options: CallOptions) -> End {
    let begin = Instant::now();
    let (result, at_once) = polled(nap(&snakepit, &options)).await;
    let time = begin.elapsed();
    End {
        result,
        at_once,
        time,
    }
}

/// Makes three new calls for each accepted one that ends: three times what fits, at any speed of
/// the machine.
async fn overload(snakepit: &Snakepit, time: Duration) -> Ends {
    let options = CallOptions::new().timeout(DEADLINE);
    let end = Instant::now() + time;
    let (mut calls, mut ends) = (JoinSet::new(), Ends::default());
    for _ in 0..3 * LIMIT {
        calls.spawn(one(snakepit.clone(), options.clone()));
    }
    while let Some(call) = calls.join_next().await {
        let refused = ends.add(call.unwrap());
        if !refused && Instant::now() < end {
            for _ in 0..3 {
                calls.spawn(one(snakepit.clone(), options.clone()));
            }
        }
    }
    ends
}

#[tokio::test(flavor = "multi_thread")]
async fn row_70_three_times_more_calls_than_fit() {
    let time = Duration::from_secs(if std::env::var_os(ROUNDS).is_some() {
        30
    } else {
        4
    });
    let row = Row::new(70, "three times as many calls as fit");
    let scene = Scene::new();
    let pool = scene.pool(WORKERS).queue_limit(LIMIT);
    let snakepit = scene.host(pool).start().await.unwrap();
    let long = CallOptions::new().timeout(Duration::from_secs(10));
    for _ in 0..2 * WORKERS {
        nap(&snakepit, &long).await.unwrap();
    }
    // The current throughput of the workers, beside other load of the machine.
    let (begin, mut callers) = (Instant::now(), JoinSet::new());
    for _ in 0..WORKERS {
        let (snakepit, options) = (snakepit.clone(), long.clone());
        callers.spawn(async move {
            for _ in 0..20 {
                nap(&snakepit, &options).await.unwrap();
            }
        });
    }
    callers.join_all().await;
    let usual = begin.elapsed() / 20;
    // Samples the queue all the time. The lateness of the samples shows how late everything is on
    // this machine.
    let (deepest, lateness) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicU64::new(0)));
    let mut watch = JoinSet::new();
    watch.spawn({
        let (snakepit, deepest) = (snakepit.clone(), Arc::clone(&deepest));
        let lateness = Arc::clone(&lateness);
        async move {
            let mut ticks = interval(Duration::from_millis(1));
            loop {
                let late = ticks.tick().await.elapsed();
                let late = u64::try_from(late.as_micros()).unwrap();
                lateness.fetch_max(late, Ordering::Relaxed);
                deepest.fetch_max(snakepit.status()[0].queue_depth, Ordering::Relaxed);
            }
        }
    });
    let mut ends = overload(&snakepit, time).await;
    let over = Instant::now();
    // Back to normal: calls at a rate that fits do not wait.
    let settled = async {
        while {
            let begin = Instant::now();
            nap(&snakepit, &long).await.unwrap();
            begin.elapsed() > 5 * usual || snakepit.status()[0].queue_depth > 0
        } {}
    };
    timeout(LONG, settled).await.unwrap();
    let normal = over.elapsed();
    watch.shutdown().await;
    let deepest = deepest.load(Ordering::Relaxed);
    assert!(deepest <= LIMIT, "{deepest}");
    let (fine, refused) = (ends.fine.len(), ends.refused.len());
    assert!(fine > 0 && refused > fine, "{fine} {refused}");
    // The number of accepted calls that are late depends on how steady the machine is.
    let (early, late) = (ends.early, ends.late);
    assert!(early > 0, "none is refused because of its wait");
    let accepted = quantile(&mut ends.fine, 0.99);
    let lateness = Duration::from_micros(lateness.load(Ordering::Relaxed));
    assert!(
        accepted <= DEADLINE + LATENESS + lateness,
        "{accepted:?}, {lateness:?} late"
    );
    let (most, worst) = (
        quantile(&mut ends.refused, 0.99),
        quantile(&mut ends.refused, 1.0),
    );
    scene.close(snakepit).await;
    row.holds(format!(
        "{} s: {fine} answered, p99 {} of {}; {refused} refused, {early} of them early, p99 {most:.1?}, max {worst:.1?}; {late} too late; \
         at most {deepest} of {LIMIT} waited; normal after {}",
        time.as_secs(),
        ms(accepted),
        ms(DEADLINE),
        ms(normal),
    ));
}

#[tokio::test(flavor = "multi_thread")]
async fn row_73_one_session_has_a_thousand_calls() {
    const MANY: u64 = 1000;
    let row = Row::new(73, "one session has 1000 calls, another one");
    let scene = Scene::new();
    let pool = scene.pool(WORKERS).configure(|pool| {
        pool.fairness = Fairness::Session;
        pool.queue_limit = 2000;
        pool.queue_timeout = Duration::from_secs(60);
    });
    let snakepit = scene.host(pool).start().await.unwrap();
    let mut many = JoinSet::new();
    for _ in 0..MANY {
        let session = snakepit.session("greedy");
        let arguments = args! { "ms" => 2 };
        many.spawn(async move { session.execute::<i64>("nap", arguments).await });
    }
    let status = || snakepit.status().remove(0);
    while status().queued + WORKERS as u64 <= MANY / 2 || status().succeeded < 10 {
        tokio::task::yield_now().await;
    }
    let before = status().succeeded;
    let other: String = snakepit
        .session("modest")
        .execute("session", ())
        .await
        .unwrap();
    assert_eq!(other, "modest");
    let between = status().succeeded - before;
    // With fair turns, these are the calls that already ran and one turn of the other session for
    // each slot. In the order of arrival, it would be half of the waiting calls or more. The limit
    // is far from both, since either sample may be late by some calls.
    assert!(between <= MANY / 10, "{between}");
    while let Some(one) = many.join_next().await {
        one.unwrap().unwrap();
    }
    scene.close(snakepit).await;
    row.holds(format!(
        "the one call was answered while {between} of the {MANY} were"
    ));
}
