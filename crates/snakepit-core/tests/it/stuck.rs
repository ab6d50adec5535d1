//! A call that cannot be stopped, in a worker with others.

use std::time::Duration;

use futures_util::StreamExt;
use futures_util::future::join_all;
use snakepit_core::call::CallOptions;
use snakepit_core::error::{Error, ErrorCode};
use snakepit_core::policy::QuarantinePolicy;
use snakepit_core::pool::{Pool, RecycleReason, ReplyStream, WorkerState};
use snakepit_core::testing::ScriptedProfile;
use tokio::time::{Instant, sleep};

use crate::support::{balanced, begin, begin_with, call, config, payload, ready, until};

const SECOND: Duration = Duration::from_secs(1);

/// Returns a pool of one worker with four slots that has one stuck call and `others`, after the
/// grace time.
async fn stuck(profile: &ScriptedProfile, others: usize) -> (Pool, Vec<Task>) {
    let pool = ready(config(1), profile).await;
    let mut tasks = Vec::new();
    for _ in 0..others {
        tasks.push(begin(&pool, "gate").await);
    }
    let options = CallOptions::new().timeout(SECOND);
    let lost = begin_with(&pool, "stuck", options).await;
    assert!(lost.await.is_ok_and(|result| result.is_err()));
    sleep(pool.config().cancel_grace + SECOND).await;
    (pool, tasks)
}

type Task =
    tokio::task::JoinHandle<Result<snakepit_core::value::Payload, snakepit_core::error::Error>>;

#[tokio::test(start_paused = true)]
async fn its_worker_is_replaced_and_the_other_calls_finish() {
    let profile = ScriptedProfile::new(4);
    let (pool, others) = stuck(&profile, 2).await;
    assert_eq!(profile.starts(), 2, "the replacement does not wait");
    let workers = pool.workers();
    let old = workers.iter().find(|one| one.id.as_str() == "test-1");
    let old = old.expect("it lives as long as its other calls");
    assert_eq!(
        (old.state, old.in_flight, old.recycling),
        (WorkerState::Draining, 3, Some(RecycleReason::Stuck))
    );
    let status = pool.status();
    assert_eq!((status.ready, status.slots, status.in_flight), (1, 4, 3));
    call(&pool, "echo").await.unwrap();
    profile.allow(2);
    for other in others {
        other.await.unwrap().unwrap();
    }
    until(|| pool.workers().len() == 1).await;
    assert_eq!(pool.workers()[0].id.as_str(), "test-2");
    let status = pool.status();
    assert_eq!(
        (status.in_flight, status.recycled, status.restarts),
        (0, 1, 0)
    );
    assert_eq!(status.stops.kill, 1);
    assert_eq!((status.errors, status.call_timeouts), (0, 1));
    balanced(&status);
}

#[tokio::test(start_paused = true)]
async fn alone_it_costs_its_worker_at_once() {
    let profile = ScriptedProfile::new(4);
    let (pool, _) = stuck(&profile, 0).await;
    until(|| pool.status().ready == 1 && pool.workers().len() == 1).await;
    let status = pool.status();
    assert_eq!(
        (status.in_flight, status.recycled, status.restarts),
        (0, 0, 1)
    );
    balanced(&status);
}

#[tokio::test(start_paused = true)]
async fn calls_that_it_has_not_begun_are_made_elsewhere() {
    let profile = ScriptedProfile::new(16);
    let mut settings = config(1);
    settings.recycle.max_drain = 1000 * SECOND;
    settings.retry = None;
    settings.quarantine = Some(QuarantinePolicy::default());
    let pool = ready(settings, &profile).await;
    let lost = begin_with(&pool, "stuck", CallOptions::new().timeout(SECOND)).await;
    let other = begin(&pool, "gate").await;
    let before = Instant::now();
    let options = CallOptions::new().queue_timeout(SECOND);
    let one = begin_with(&pool, "behind", options.clone()).await;
    let late = begin_with(&pool, "behind", options.clone().timeout(2 * SECOND)).await;
    let mut stream = Box::pin(pool.execute_stream("behind", payload(5), &options));
    assert!(futures_util::poll!(&mut stream).is_pending());
    let many = pool.execute_many("behind", (0..5).map(payload), &options);
    let mut batches = tokio::task::JoinSet::new();
    batches.spawn(many.collect::<Vec<_>>());
    assert!(lost.await.unwrap().is_err());
    one.await.unwrap().unwrap();
    let mut stream = stream.await.unwrap();
    assert_eq!(stream.next().await.unwrap().unwrap(), payload(5));
    assert!(stream.next().await.is_none());
    let many = batches.join_next().await.unwrap().unwrap();
    let many: Vec<_> = many.into_iter().map(Result::unwrap).collect();
    assert_eq!(many, (0..5).map(payload).collect::<Vec<_>>());
    let grace = pool.config().cancel_grace;
    assert!(
        before.elapsed() < SECOND + grace + SECOND,
        "{:?}",
        before.elapsed()
    );
    // Its own time was over before.
    assert_eq!(
        late.await.unwrap().unwrap_err().code(),
        ErrorCode::CallTimeout
    );
    let old = pool.workers().iter().any(|one| one.id.as_str() == "test-1");
    assert!(old && !other.is_finished(), "what was begun goes on");
    assert_eq!(pool.status().in_flight, 2);
    profile.allow(1);
    other.await.unwrap().unwrap();
    until(|| pool.status().in_flight == 0).await;
    let status = pool.status();
    assert_eq!(
        (status.retries, status.restarts, status.recycled),
        (0, 0, 1)
    );
    assert_eq!((status.errors, status.call_timeouts), (0, 2));
    balanced(&status);
}

/// Returns a pool whose worker has a call that cannot be stopped, and streams that it gives back if
/// it has not begun them.
async fn streams_behind(count: u64, options: &CallOptions) -> (Pool, Vec<ReplyStream>, Task) {
    let profile = ScriptedProfile::new(16);
    let mut settings = config(1);
    settings.recycle.max_drain = 1000 * SECOND;
    settings.retry = None;
    let pool = ready(settings, &profile).await;
    let lost = begin_with(&pool, "stuck", CallOptions::new().timeout(SECOND)).await;
    // A further call, so that the worker drains.
    begin(&pool, "gate").await;
    let mut streams = Vec::new();
    for number in 0..count {
        let stream = pool.execute_stream("behind_later", payload(number), options);
        streams.push(stream.await.expect("a slot is free"));
    }
    (pool, streams, lost)
}

#[tokio::test(start_paused = true)]
async fn streams_that_it_has_not_begun_are_made_elsewhere() {
    let (pool, streams, lost) = streams_behind(4, &CallOptions::new()).await;
    let before = Instant::now();
    let chunks = join_all(streams.into_iter().map(|it| it.collect::<Vec<_>>())).await;
    assert!(before.elapsed() < SECOND + pool.config().cancel_grace + SECOND);
    for (number, chunks) in (0..).zip(chunks) {
        let chunks: Vec<_> = chunks.into_iter().map(Result::unwrap).collect();
        assert_eq!(chunks, [payload(number)]);
    }
    assert!(lost.await.unwrap().is_err());
    until(|| pool.status().in_flight == 2).await;
    let status = pool.status();
    assert_eq!((status.errors, status.retries, status.succeeded), (0, 0, 4));
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_was_given_back_ends_at_its_deadline_and_when_it_is_dropped() {
    let options = CallOptions::new().timeout(3600 * SECOND);
    let (pool, mut streams, lost) = streams_behind(3, &options).await;
    assert!(lost.await.unwrap().is_err());
    sleep(pool.config().cancel_grace + SECOND).await;
    // No slot is free for them: the replacement is full.
    let busy = join_all((0..16).map(|_| begin(&pool, "gate"))).await;
    for stream in &mut streams {
        assert!(futures_util::poll!(stream.next()).is_pending());
    }
    until(|| pool.status().queue_depth == 3).await;
    drop(streams.pop());
    until(|| pool.status().queue_depth == 2).await;
    sleep(3600 * SECOND).await;
    for stream in &mut streams {
        let error = stream.next().await.unwrap().unwrap_err();
        assert!(matches!(error, Error::Timeout { .. }), "{error:?}");
        assert!(stream.next().await.is_none());
    }
    assert_eq!(pool.status().queue_depth, 0);
    drop(busy);
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_was_given_back_fails_when_its_pool_closes() {
    let (pool, mut streams, lost) = streams_behind(1, &CallOptions::new()).await;
    assert!(lost.await.unwrap().is_err());
    sleep(pool.config().cancel_grace + SECOND).await;
    let busy = join_all((0..16).map(|_| begin(&pool, "gate"))).await;
    assert!(futures_util::poll!(streams[0].next()).is_pending());
    until(|| pool.status().queue_depth == 1).await;
    drop(busy);
    pool.close().await;
    let error = streams[0].next().await.unwrap().unwrap_err();
    assert_eq!(error.code(), ErrorCode::Closed);
    assert!(streams[0].next().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn the_other_calls_have_no_more_than_the_time_to_drain() {
    let profile = ScriptedProfile::new(4);
    let mut settings = config(1);
    settings.recycle.max_drain = 30 * SECOND;
    let pool = ready(settings, &profile).await;
    let other = begin(&pool, "gate").await;
    let lost = begin_with(&pool, "stuck", CallOptions::new().timeout(SECOND)).await;
    assert!(lost.await.unwrap().is_err());
    let before = Instant::now();
    assert!(other.await.unwrap().is_err(), "its worker was killed");
    let took = before.elapsed();
    let grace = pool.config().cancel_grace;
    assert!(
        (grace + 30 * SECOND..grace + 40 * SECOND).contains(&took),
        "{took:?}"
    );
    until(|| pool.status().in_flight == 0).await;
    assert_eq!(profile.starts(), 2);
    balanced(&pool.status());
}

#[tokio::test(start_paused = true)]
async fn two_stuck_calls_are_one_replacement() {
    let profile = ScriptedProfile::new(4);
    let pool = ready(config(1), &profile).await;
    let other = begin(&pool, "gate").await;
    for after in [1, 2] {
        let options = CallOptions::new().timeout(after * SECOND);
        drop(begin_with(&pool, "stuck", options).await);
    }
    sleep(pool.config().cancel_grace + 5 * SECOND).await;
    assert_eq!((profile.starts(), pool.status().recycled), (2, 1));
    assert_eq!(pool.workers().len(), 2);
    profile.allow(1);
    other.await.unwrap().unwrap();
    until(|| pool.workers().len() == 1).await;
    assert_eq!((profile.starts(), pool.status().stops.kill), (2, 2));
    balanced(&pool.status());
}

#[tokio::test(start_paused = true)]
async fn closing_waits_for_the_others_and_kills_the_rest() {
    let profile = ScriptedProfile::new(4);
    let (pool, others) = stuck(&profile, 1).await;
    profile.allow(1);
    pool.close().await;
    for other in others {
        other.await.unwrap().unwrap();
    }
    assert!(profile.workers().is_empty());
    balanced(&pool.status());
}

#[tokio::test(start_paused = true)]
async fn calls_go_to_the_least_loaded_worker_and_fill_all_slots() {
    let profile = ScriptedProfile::new(3);
    let pool = ready(config(2), &profile).await;
    assert_eq!(pool.status().slots, 6);
    let mut calls = Vec::new();
    for n in 1..=6 {
        calls.push(begin(&pool, "gate").await);
        let mut load: Vec<_> = profile.workers().iter().map(|one| one.running()).collect();
        load.sort_unstable();
        assert_eq!(load, [n / 2, n - n / 2]);
    }
    let queued = begin(&pool, "gate").await;
    assert_eq!((pool.status().in_flight, pool.status().queue_depth), (6, 1));
    profile.allow(7);
    for call in calls.into_iter().chain([queued]) {
        call.await.unwrap().unwrap();
    }
    balanced(&pool.status());
}

#[tokio::test(start_paused = true)]
async fn no_call_gets_into_a_worker_that_is_about_to_be_killed() {
    let profile = ScriptedProfile::new(4);
    let mut settings = config(1);
    settings.timeout_stacks = SECOND;
    // Heartbeats are off, or the worker would count as silent and get no calls for that reason.
    settings.heartbeat.enabled = false;
    let pool = ready(settings, &profile).await;
    let lost = begin_with(&pool, "stuck", CallOptions::new().timeout(SECOND)).await;
    assert!(lost.await.unwrap().is_err());
    // The worker never reports its stacks, so that time passes between the decision and the end.
    profile.workers()[0].set_stacks(None);
    sleep(pool.config().cancel_grace + SECOND / 2).await;
    assert!(profile.workers()[0].is_alive());
    call(&pool, "nap").await.unwrap();
    assert_eq!(profile.starts(), 2);
    balanced(&pool.status());
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_was_interrupted_in_an_unknown_state_gets_no_further_call() {
    let profile = ScriptedProfile::new(4);
    let pool = ready(config(1), &profile).await;
    let other = begin(&pool, "gate").await;
    let options = CallOptions::new().timeout(SECOND);
    let lost = begin_with(&pool, "interrupted", options).await;
    assert!(lost.await.unwrap().is_err());
    // Its slot is free only after the worker has left the schedule.
    until(|| pool.status().in_flight == 1).await;
    let workers = pool.workers();
    let old = workers.iter().find(|one| one.id.as_str() == "test-1");
    let old = old.expect("it lives as long as its other calls");
    assert_eq!(old.in_flight, 1);
    until(|| pool.status().ready == 1 && pool.workers().len() == 2).await;
    let workers = pool.workers();
    let old = workers.iter().find(|one| one.id.as_str() == "test-1");
    let old = old.expect("it lives as long as its other calls");
    assert_eq!(
        (old.state, old.recycling),
        (WorkerState::Draining, Some(RecycleReason::Interrupted))
    );
    call(&pool, "echo").await.unwrap();
    profile.allow(1);
    other.await.unwrap().unwrap();
    until(|| pool.workers().len() == 1).await;
    assert_eq!(pool.workers()[0].id.as_str(), "test-2");
    balanced(&pool.status());
}

#[tokio::test(start_paused = true)]
async fn alone_an_interrupted_worker_is_replaced_before_the_next_call() {
    let profile = ScriptedProfile::new(1);
    let pool = ready(config(1), &profile).await;
    let options = CallOptions::new().timeout(SECOND);
    let lost = begin_with(&pool, "interrupted", options).await;
    // Waits in the queue while the slot is taken.
    let next = begin(&pool, "gate").await;
    profile.allow(1);
    assert!(lost.await.unwrap().is_err());
    next.await.unwrap().unwrap();
    until(|| pool.workers().len() == 1).await;
    assert_eq!(pool.workers()[0].id.as_str(), "test-2");
    balanced(&pool.status());
}
