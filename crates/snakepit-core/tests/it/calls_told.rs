//! The events of calls: one chain for each, whatever its outcome.
#![expect(
    clippy::unwrap_used,
    reason = "a helper of a test may panic like the test"
)]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use snakepit_core::call::CallOptions;
use snakepit_core::events::{Emitted, Event, EventStream};
use snakepit_core::id::{CallId, SessionId};
use snakepit_core::policy::{BreakerPolicy, QuarantinePolicy, RetryPolicy};
use snakepit_core::pool::{Pool, PoolConfig};
use snakepit_core::testing::ScriptedProfile;

use crate::support::{LONG, begin, call, config, payload, ready, until};

/// Returns the events of calls so far.
pub(crate) fn taken(stream: &mut EventStream) -> Vec<Arc<Emitted>> {
    assert_eq!(stream.lost(), 0);
    std::iter::from_fn(|| stream.try_next()).collect()
}

/// The names of each call's events, in order, including `stream.*`.
pub(crate) type Chains = BTreeMap<CallId, Vec<String>>;

pub(crate) fn chains(events: &[Arc<Emitted>]) -> Chains {
    let mut chains = Chains::new();
    for emitted in events {
        let (call, step) = match &emitted.event {
            Event::CallQueued { call, .. } => (call, "queued".to_owned()),
            Event::CallDispatched { call, attempt, .. } => (call, format!("sent {attempt}")),
            Event::CallRecalled { call, .. } => (call, "given back".to_owned()),
            Event::CallRefused { call, .. } => (call, "refused".to_owned()),
            Event::RetryAttempt { call, attempt, .. } => (call, format!("again {attempt}")),
            Event::RetrySuccess { call, .. } => (call, "worked".to_owned()),
            Event::RetryExhausted { call, reason, .. } => (call, format!("gave up: {reason}")),
            Event::StreamStarted { call, .. } => (call, "began".to_owned()),
            Event::StreamEnded {
                call,
                outcome,
                chunks,
                ..
            } => (call, format!("{chunks} chunks {outcome}")),
            Event::CallCompleted {
                call,
                outcome,
                code,
                worker,
                attempts,
                ..
            } => {
                assert_eq!(worker.is_some(), *attempts > 0);
                let code = code.unwrap_or("-");
                (call, format!("{outcome} {code}"))
            }
            _ => continue,
        };
        chains.entry(*call).or_default().push(step);
    }
    chains
}

/// Returns the only chain.
fn chain(stream: &mut EventStream) -> Vec<String> {
    let mut chains = chains(&taken(stream));
    assert_eq!(chains.len(), 1, "{chains:?}");
    chains.pop_first().unwrap().1
}

pub(crate) fn subscribe(pool: &Pool) -> EventStream {
    pool.events().subscribe(10_000)
}

fn brief() -> CallOptions {
    CallOptions::new().timeout(Duration::from_millis(20))
}

#[tokio::test(start_paused = true)]
async fn each_outcome_has_its_chain() {
    let profile = ScriptedProfile::new(1);
    let mut config = config(1);
    config.queue_limit = 1;
    config.restart.initial_backoff = Duration::ZERO;
    let pool = ready(config, &profile).await;
    let mut events = subscribe(&pool);

    call(&pool, "echo").await.unwrap();
    assert_eq!(chain(&mut events), ["sent 0", "ok -"]);
    call(&pool, "fail").await.unwrap_err();
    assert_eq!(chain(&mut events), ["sent 0", "error SP3001"]);
    pool.execute("hang", payload(1), &brief())
        .await
        .unwrap_err();
    assert_eq!(chain(&mut events), ["sent 0", "call_timeout SP4003"]);
    until(|| pool.status().in_flight == 0).await;
    taken(&mut events);

    let first = begin(&pool, "gate").await;
    assert_eq!(chain(&mut events), ["sent 0"]);
    let queued = CallOptions::new().queue_timeout(Duration::from_millis(20));
    pool.execute("echo", payload(1), &queued).await.unwrap_err();
    assert_eq!(chain(&mut events), ["queued", "queue_timeout SP4002"]);
    let second = begin(&pool, "echo").await;
    assert_eq!(chain(&mut events), ["queued"]);
    call(&pool, "echo").await.unwrap_err();
    assert_eq!(chain(&mut events), ["rejected SP4001"]);
    second.abort();
    second.await.unwrap_err();
    until(|| pool.status().cancelled == 1).await;
    assert_eq!(chain(&mut events), ["cancelled SP3002"]);
    profile.allow(1);
    first.await.unwrap().unwrap();
    assert_eq!(chain(&mut events), ["ok -"]);

    let dropped = begin(&pool, "hang").await;
    dropped.abort();
    dropped.await.unwrap_err();
    until(|| pool.status().in_flight == 0).await;
    assert_eq!(chain(&mut events), ["sent 0", "cancelled SP3002"]);
    call(&pool, "die").await.unwrap_err();
    assert_eq!(chain(&mut events), ["sent 0", "error SP5001"]);
    pool.close().await;
    taken(&mut events);
    call(&pool, "echo").await.unwrap_err();
    assert_eq!(chain(&mut events), ["error SP4004"]);
}

#[tokio::test(start_paused = true)]
async fn streams_and_batches_have_theirs() {
    let pool = ready(config(1), &ScriptedProfile::new(1)).await;
    let mut events = subscribe(&pool);
    let options = CallOptions::new();
    let stream = pool.execute_stream("echo", payload(1), &options);
    let chunks: Vec<_> = stream.await.unwrap().collect().await;
    assert_eq!(chunks.len(), 1);
    let expected = ["sent 0", "began", "1 chunks ok", "ok -"];
    assert_eq!(chain(&mut events), expected);

    pool.execute_stream("fail", payload(1), &options)
        .await
        .unwrap_err();
    assert_eq!(chain(&mut events), ["sent 0", "error SP3001"]);

    let mut stream = pool
        .execute_stream("count", payload(1), &options)
        .await
        .unwrap();
    stream.next().await.unwrap().unwrap();
    drop(stream);
    let expected = ["sent 0", "began", "1 chunks cancelled", "cancelled SP3002"];
    assert_eq!(chain(&mut events), expected);
    until(|| pool.status().in_flight == 0).await;
    taken(&mut events);

    let mut stream = pool
        .execute_stream("pause", payload(1), &brief())
        .await
        .unwrap();
    stream.next().await.unwrap().unwrap();
    stream.next().await.unwrap().unwrap_err();
    let expected = [
        "sent 0",
        "began",
        "1 chunks call_timeout",
        "call_timeout SP4003",
    ];
    assert_eq!(chain(&mut events), expected);
    until(|| pool.status().in_flight == 0).await;
    taken(&mut events);

    let results: Vec<_> = pool
        .execute_many("fail", [payload(1)], &options)
        .collect()
        .await;
    assert!(results[0].is_err());
    assert_eq!(chain(&mut events), ["sent 0", "error SP3001"]);
    let items: Vec<_> = (0..100).map(payload).collect();
    let results: Vec<_> = pool.execute_many("echo", items, &options).collect().await;
    assert_eq!(results.len(), 100);
    let mut told = (0, 0);
    for emitted in taken(&mut events) {
        if let Event::CallCompleted { items, failed, .. } = &emitted.event {
            told = (told.0 + items, told.1 + failed);
        }
    }
    assert_eq!(told, (100, 0));
}

#[tokio::test(start_paused = true)]
async fn bytes_of_arguments_and_results_are_told_whatever_the_call_is() {
    let pool = ready(config(1), &ScriptedProfile::new(1)).await;
    let mut events = subscribe(&pool);
    let (options, size) = (CallOptions::new(), payload(7).bytes.len() as u64);
    let mut told = || {
        let mut told = (0, 0);
        for emitted in taken(&mut events) {
            if let Event::CallCompleted {
                sent_bytes,
                received_bytes,
                ..
            } = &emitted.event
            {
                told = (told.0 + sent_bytes, told.1 + received_bytes);
            }
        }
        told
    };
    pool.execute("echo", payload(7), &options).await.unwrap();
    assert_eq!(told(), (size, size));
    pool.execute("fail", payload(7), &options)
        .await
        .unwrap_err();
    assert_eq!(told(), (size, 0));
    let stream = pool.execute_stream("echo", payload(7), &options);
    assert_eq!(stream.await.unwrap().count().await, 1);
    assert_eq!(told(), (size, size));
    let items = [payload(7), payload(7), payload(7)];
    assert_eq!(pool.execute_many("echo", items, &options).count().await, 3);
    assert_eq!(told(), (3 * size, 3 * size));
    pool.close().await;
    pool.execute("echo", payload(7), &options)
        .await
        .unwrap_err();
    assert_eq!(told(), (0, 0));
}

fn with_policies(workers: usize) -> PoolConfig {
    let mut config = config(workers);
    config.restart.max_restarts = 1000;
    config.restart.initial_backoff = Duration::ZERO;
    config.retry = Some(RetryPolicy::default());
    config
}

#[tokio::test(start_paused = true)]
async fn a_call_that_is_made_again_keeps_its_number() {
    let profile = ScriptedProfile::new(1);
    let pool = ready(with_policies(2), &profile).await;
    let mut events = subscribe(&pool);
    let options = CallOptions::new().idempotent();
    pool.execute("die", payload(1), &options).await.unwrap_err();
    let steps = chain(&mut events);
    let steps: Vec<_> = steps.iter().filter(|step| *step != "queued").collect();
    let expected = [
        "sent 0",
        "again 1",
        "sent 1",
        "again 2",
        "sent 2",
        "gave up: attempts",
        "error SP5001",
    ];
    assert_eq!(steps, expected);
}

#[tokio::test(start_paused = true)]
async fn what_is_rejected_by_a_policy_is_told_with_the_number_of_the_call() {
    let mut config = config(1);
    config.restart.max_restarts = 1000;
    config.restart.initial_backoff = Duration::ZERO;
    let mut breaker = BreakerPolicy::default();
    breaker.failures = 1;
    breaker.cool_down = Duration::from_secs(1);
    config.breaker = Some(breaker);
    let pool = ready(config, &ScriptedProfile::new(1)).await;
    let mut events = subscribe(&pool);
    call(&pool, "die").await.unwrap_err();
    let names: Vec<_> = taken(&mut events)
        .iter()
        .map(|emitted| emitted.event.name().to_owned())
        .filter(|name| name.starts_with("circuit"))
        .collect();
    assert_eq!(names, ["circuit.opened"]);
    call(&pool, "echo").await.unwrap_err();
    assert_eq!(chain(&mut events), ["refused", "rejected SP4012"]);
    pool.await_all_ready(LONG).await.unwrap();
    until(|| pool.status().ready == 1).await;
    tokio::time::advance(Duration::from_secs(2)).await;
    call(&pool, "echo").await.unwrap();
    let names: Vec<_> = taken(&mut events)
        .iter()
        .map(|emitted| emitted.event.name().to_owned())
        .filter(|name| name.starts_with("circuit"))
        .collect();
    assert_eq!(names, ["circuit.half_open", "circuit.closed"]);
}

#[tokio::test(start_paused = true)]
async fn a_quarantined_call_is_told() {
    let mut config = config(1);
    config.restart.max_restarts = 1000;
    config.restart.initial_backoff = Duration::ZERO;
    let mut quarantine = QuarantinePolicy::default();
    quarantine.deaths = 1;
    config.quarantine = Some(quarantine);
    let pool = ready(config, &ScriptedProfile::new(1)).await;
    let mut events = subscribe(&pool);
    call(&pool, "die").await.unwrap_err();
    let quarantined = taken(&mut events)
        .iter()
        .any(|emitted| emitted.event.name() == "call.quarantined");
    assert!(quarantined);
    call(&pool, "die").await.unwrap_err();
    assert_eq!(chain(&mut events), ["refused", "rejected SP4011"]);
}

#[tokio::test(start_paused = true)]
async fn a_full_pool_tells_its_numbers() {
    let profile = ScriptedProfile::new(2);
    let mut config = config(1);
    config.queue_limit = 1;
    let pool = ready(config, &profile).await;
    let mut events = subscribe(&pool);
    let calls = [
        begin(&pool, "gate").await,
        begin(&pool, "gate").await,
        begin(&pool, "gate").await,
    ];
    call(&pool, "echo").await.unwrap_err();
    let mut reached = Vec::new();
    let mut saturated = 0;
    for emitted in taken(&mut events) {
        match emitted.event {
            Event::PoolCapacityReached {
                capacity,
                load,
                rejected,
                ..
            } => reached.push((capacity, load, rejected)),
            Event::PoolSaturated {
                queue_size,
                max_queue_size,
                available_workers,
                busy_workers,
                bound,
                ..
            } => {
                saturated += 1;
                assert_eq!((queue_size, max_queue_size), (1, 1));
                assert_eq!((available_workers, busy_workers), (0, 1));
                assert_eq!(bound, "queue_limit");
            }
            Event::CallQueued { queue_size, .. } => assert_eq!(queue_size, 1),
            _ => {}
        }
    }
    assert_eq!(reached, [(2, 2, false), (2, 2, true)]);
    assert_eq!(saturated, 1);
    profile.allow(3);
    for call in calls {
        call.await.unwrap().unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_session_of_a_call_is_told() {
    let pool = ready(config(1), &ScriptedProfile::new(1)).await;
    let mut events = subscribe(&pool);
    let gate = begin(&pool, "gate").await;
    let options = CallOptions::new()
        .session("mine")
        .queue_timeout(Duration::from_millis(1));
    pool.execute("echo", payload(1), &options)
        .await
        .unwrap_err();
    let session = taken(&mut events)
        .iter()
        .find_map(|emitted| match &emitted.event {
            Event::CallQueued { session, .. } => session.clone(),
            _ => None,
        });
    assert_eq!(session, Some(SessionId::new("mine")));
    gate.abort();
}
