//! More calls than fit: rejections, and the order of the others.

use std::time::Duration;

use snakepit_core::call::CallOptions;
use snakepit_core::error::{Error, Phase};
use snakepit_core::pool::{Affinity, Fairness, Pool, PoolConfig, QueueBound};
use snakepit_core::testing::ScriptedProfile;
use snakepit_core::value::Payload;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::support::{balanced, begin, begin_with, call, config, payload, ready, until};

/// Duration of `nap`.
const NAP: Duration = Duration::from_millis(10);

fn of(session: &'static str) -> CallOptions {
    CallOptions::new().session(session)
}

/// Starts `n` calls of `nap`, all but the first of which wait.
fn naps(pool: &Pool, n: usize, options: &CallOptions) -> JoinSet<Result<Payload, Error>> {
    let mut calls = JoinSet::new();
    for _ in 0..n {
        let (pool, options) = (pool.clone(), options.clone());
        calls.spawn(async move { pool.execute("nap", payload(1), &options).await });
    }
    calls
}

fn bound(error: Error) -> (QueueBound, Duration) {
    match error {
        Error::Saturated {
            bound, retry_after, ..
        } => (bound, retry_after),
        other => panic!("{other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn the_bytes_that_wait_are_bounded() {
    let profile = ScriptedProfile::new(1);
    let mut config = config(1);
    config.queue_bytes = 100;
    let pool = ready(config, &profile).await;
    let first = begin(&pool, "gate").await;
    let large = || Payload::from_msgpack(vec![0xc0; 200]);
    let small = || Payload::from_msgpack(vec![0xc0; 60]);
    let options = CallOptions::new();
    // A single call may wait with any size, but no other call beside it.
    let mut alone = Box::pin(pool.execute("echo", large(), &options));
    assert!(futures_util::poll!(&mut alone).is_pending());
    assert_eq!(pool.status().queue_bytes, 200);
    let error = pool.execute("echo", small(), &options).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "pool `test` is full: 1 calls already wait, their arguments have 200 of 100 bytes; \
         try again in 100.0ms"
    );
    drop(alone);
    assert_eq!(pool.status().queue_bytes, 0);
    let mut one = Box::pin(pool.execute("echo", small(), &options));
    assert!(futures_util::poll!(&mut one).is_pending());
    let error = pool.execute("echo", small(), &options).await.unwrap_err();
    let (bound, _) = bound(error);
    assert!(
        matches!(
            bound,
            QueueBound::Bytes {
                queued: 60,
                limit: 100
            }
        ),
        "{bound:?}"
    );
    profile.allow(1);
    first.await.unwrap().unwrap();
    one.await.unwrap();
    assert_eq!((pool.status().queue_bytes, pool.status().saturated), (0, 2));
    balanced(&pool.status());
}

#[tokio::test(start_paused = true)]
async fn a_session_has_its_own_bound() {
    let profile = ScriptedProfile::new(1);
    let mut config = config(1);
    config.session_queue_limit = Some(2);
    let pool = ready(config, &profile).await;
    let first = begin_with(&pool, "gate", of("a")).await;
    let waiting = [
        begin_with(&pool, "echo", of("a")).await,
        begin_with(&pool, "echo", of("a")).await,
        begin_with(&pool, "echo", of("b")).await,
        begin(&pool, "echo").await,
    ];
    let error = pool
        .execute("echo", payload(1), &of("a"))
        .await
        .unwrap_err();
    let (bound, _) = bound(error);
    assert!(
        matches!(&bound, QueueBound::Session { session, limit: 2 } if session.as_str() == "a"),
        "{bound:?}"
    );
    profile.allow(1);
    first.await.unwrap().unwrap();
    for call in waiting {
        call.await.unwrap().unwrap();
    }
    // Calls that have left the queue no longer count.
    pool.execute("echo", payload(1), &of("a")).await.unwrap();
    balanced(&pool.status());
}

#[tokio::test(start_paused = true)]
async fn a_call_whose_time_is_over_is_refused_at_once() {
    let profile = ScriptedProfile::new(1);
    let pool = ready(config(1), &profile).await;
    let options = CallOptions::new().timeout(Duration::ZERO);
    let error = pool.execute("nap", payload(1), &options).await.unwrap_err();
    assert!(
        matches!(
            error,
            Error::Timeout {
                phase: Phase::Queue,
                after: Duration::ZERO,
                ..
            }
        ),
        "{error:?}"
    );
    assert_eq!(profile.workers()[0].calls(), 0);
    assert_eq!(
        (pool.status().queue_timeouts, pool.status().in_flight),
        (1, 0)
    );
    balanced(&pool.status());
}

#[tokio::test(start_paused = true)]
async fn tickets_of_callers_that_are_gone_never_reach_a_worker() {
    let profile = ScriptedProfile::new(1);
    for fairness in [Fairness::Fifo, Fairness::Session] {
        let mut config = config(1);
        config.fairness = fairness;
        let pool = ready(config, &profile).await;
        let first = begin(&pool, "gate").await;
        let worker = &profile.workers()[0];
        let dropped = naps(&pool, 3, &of("a"));
        let short = CallOptions::new().queue_timeout(NAP);
        let mut expired = naps(&pool, 3, &short.session("b"));
        while let Some(call) = expired.join_next().await {
            assert!(matches!(
                call.unwrap(),
                Err(Error::Timeout {
                    phase: Phase::Queue,
                    ..
                })
            ));
        }
        assert_eq!(pool.status().queue_depth, 3);
        drop(dropped);
        until(|| pool.status().queue_depth == 0).await;
        profile.allow(1);
        first.await.unwrap().unwrap();
        call(&pool, "echo").await.unwrap();
        assert_eq!(worker.calls(), 1);
        balanced(&pool.status());
        pool.close().await;
    }
}

/// Returns a pool with one worker and many naps, a third of which are over.
async fn crowded(reject_early: bool) -> (Pool, JoinSet<Result<Payload, Error>>) {
    let mut config = config(1);
    config.reject_early = reject_early;
    let pool = ready(config, &ScriptedProfile::new(1)).await;
    let calls = naps(&pool, 60, &CallOptions::new());
    while pool.status().succeeded < 20 {
        tokio::time::sleep(NAP).await;
    }
    (pool, calls)
}

#[tokio::test(start_paused = true)]
async fn a_call_that_would_wait_too_long_is_refused_at_once() {
    let (pool, mut calls) = crowded(true).await;
    let before = Instant::now();
    let patience = 10 * NAP + NAP / 2;
    let short = CallOptions::new().queue_timeout(patience);
    let error = pool.execute("nap", payload(1), &short).await.unwrap_err();
    assert_eq!(before.elapsed(), Duration::ZERO);
    let (bound, retry_after) = bound(error);
    let QueueBound::Wait { estimate } = bound else {
        panic!("{bound:?}")
    };
    assert!((400..500).contains(&estimate.as_millis()), "{estimate:?}");
    assert_eq!(retry_after, estimate - patience);
    // The time in the error is correct: after it the call is accepted.
    tokio::time::sleep(retry_after).await;
    pool.execute("nap", payload(1), &short).await.unwrap();
    // A call with more time waits.
    let long = CallOptions::new().queue_timeout(100 * NAP);
    pool.execute("nap", payload(1), &long).await.unwrap();
    while let Some(call) = calls.join_next().await {
        call.unwrap().unwrap();
    }
    balanced(&pool.status());
}

#[tokio::test(start_paused = true)]
async fn nobody_is_refused_early_where_that_is_off() {
    let (pool, _calls) = crowded(false).await;
    let short = CallOptions::new().queue_timeout(10 * NAP);
    let error = pool.execute("nap", payload(1), &short).await.unwrap_err();
    assert!(
        matches!(
            error,
            Error::Timeout {
                phase: Phase::Queue,
                ..
            }
        ),
        "{error:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn without_measurements_nobody_is_refused_early() {
    let pool = ready(config(1), &ScriptedProfile::new(1)).await;
    let short = CallOptions::new().queue_timeout(NAP / 2);
    let mut calls = naps(&pool, 100, &short);
    let (mut fine, mut late) = (0, 0);
    while let Some(call) = calls.join_next().await {
        match call.unwrap() {
            Ok(_) => fine += 1,
            Err(Error::Timeout { .. }) => late += 1,
            Err(other) => panic!("{other:?}"),
        }
    }
    assert_eq!((fine, late), (1, 99));
}

/// Returns the `retry_after` of a call that is rejected.
async fn told(pool: &Pool) -> Duration {
    let refused = pool.execute("nap", payload(1), &CallOptions::new()).await;
    bound(refused.expect_err("there is no place")).1
}

/// A caller that is rejected while all slots have calls learns when the first of these may end.
#[tokio::test(start_paused = true)]
async fn calls_that_run_count_in_the_time_after_which_to_try_again() {
    let profile = ScriptedProfile::new(2);
    let mut config = config(1);
    config.queue_limit = 0;
    let pool = ready(config, &profile).await;
    let (long, part) = (Duration::from_millis(400), Duration::from_millis(100));
    let mut calls = [begin(&pool, "gate").await, begin(&pool, "gate").await];
    assert_eq!(told(&pool).await, part, "nothing is known yet");
    for _ in 0..20 {
        tokio::time::sleep(long).await;
        profile.allow(2);
        for call in &mut calls {
            (&mut *call).await.unwrap().unwrap();
            *call = begin(&pool, "gate").await;
        }
    }
    let first = told(&pool).await;
    assert!((350..=450).contains(&first.as_millis()), "{first:?}");
    tokio::time::sleep(part).await;
    let later = told(&pool).await;
    assert!(first - later >= part - part / 10, "{first:?} {later:?}");
    // The call takes longer than any call before.
    tokio::time::sleep(10 * long).await;
    assert!(told(&pool).await > 8 * long);
    profile.allow(2);
    for call in calls {
        call.await.unwrap().unwrap();
    }
    balanced(&pool.status());
}

/// At far more load than the worker can handle, accepted calls get their results in time, and the
/// worker is never idle.
#[tokio::test(start_paused = true)]
async fn under_overload_those_who_are_let_in_are_served() {
    let profile = ScriptedProfile::new(1);
    let pool = ready(config(1), &profile).await;
    let options = CallOptions::new().timeout(50 * NAP);
    let mut calls = JoinSet::new();
    for _ in 0..3000 {
        let (pool, options) = (pool.clone(), options.clone());
        calls.spawn(async move {
            let began = Instant::now();
            let reply = pool.execute("nap", payload(1), &options).await;
            reply.map(|_| began.elapsed())
        });
        tokio::time::sleep(NAP / 3).await;
    }
    let (mut fine, mut refused, mut late, mut near) = (0, 0, 0, 0);
    while let Some(call) = calls.join_next().await {
        match call.unwrap() {
            Ok(took) => {
                fine += 1;
                near += usize::from(took > 48 * NAP);
            }
            Err(Error::Saturated { .. }) => refused += 1,
            Err(Error::Timeout { .. }) => late += 1,
            Err(other) => panic!("{other:?}"),
        }
    }
    // Twelve seconds of work; some calls at the start are late, before the waits are known.
    assert!(fine >= 1150, "{fine} {refused} {late}");
    assert!(refused >= 1700 && late < 50, "{fine} {refused} {late}");
    // There is a margin: hardly any call gets its result at the last moment.
    assert!(near * 20 < fine, "{near} of {fine}");
    balanced(&pool.status());
}

fn fair(workers: usize) -> PoolConfig {
    let mut config = config(workers);
    config.fairness = Fairness::Session;
    config.queue_limit = 2000;
    config.queue_timeout = Duration::from_secs(100);
    config
}

/// Row 73 of the fault matrix: one session has 1000 calls, another one.
#[tokio::test(start_paused = true)]
async fn row_73_one_call_behind_a_thousand() {
    for workers in [1, 4] {
        let pool = ready(fair(workers), &ScriptedProfile::new(1)).await;
        let mut many = naps(&pool, 1000, &of("greedy"));
        until(|| pool.status().queue_depth == 1000 - workers).await;
        tokio::time::sleep(100 * NAP).await;
        let before = pool.status().succeeded;
        pool.execute("nap", payload(1), &of("modest"))
            .await
            .unwrap();
        // The calls that ran already, one that had its turn, and its own time.
        let between = pool.status().succeeded - before;
        assert!(
            between <= 3 * workers as u64,
            "{between} with {workers} workers"
        );
        while let Some(call) = many.join_next().await {
            call.unwrap().unwrap();
        }
        balanced(&pool.status());
    }
}

#[tokio::test(start_paused = true)]
async fn a_bound_session_does_not_keep_others_from_its_worker() {
    let pool = ready(fair(1), &ScriptedProfile::new(1)).await;
    let mut many = naps(&pool, 500, &of("greedy").affinity(Affinity::StrictQueue));
    until(|| pool.status().queue_depth == 499).await;
    for other in ["a", "b", "c"] {
        let before = Instant::now();
        pool.execute("nap", payload(1), &of(other)).await.unwrap();
        assert!(before.elapsed() <= 4 * NAP, "{:?}", before.elapsed());
    }
    while let Some(call) = many.join_next().await {
        call.unwrap().unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn keys_share_instead_of_sessions() {
    let pool = ready(fair(1), &ScriptedProfile::new(1)).await;
    let mut many = JoinSet::new();
    for session in 0..300 {
        let options = CallOptions::new().session(format!("s{session}"));
        let (pool, options) = (pool.clone(), options.fair_key("tenant"));
        many.spawn(async move { pool.execute("nap", payload(1), &options).await });
    }
    until(|| pool.status().queue_depth == 299).await;
    let before = Instant::now();
    let other = CallOptions::new().fair_key("other");
    pool.execute("nap", payload(1), &other).await.unwrap();
    assert!(before.elapsed() <= 4 * NAP, "{:?}", before.elapsed());
    while let Some(call) = many.join_next().await {
        call.unwrap().unwrap();
    }
}
