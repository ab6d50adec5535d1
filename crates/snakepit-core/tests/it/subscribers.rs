//! Subscribers of events: the events of workers and calls that they receive under load, and the
//! limits of the harm that they can do.
#![expect(
    clippy::unwrap_used,
    reason = "a helper of a test may panic like the test"
)]

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Barrier, Mutex};
use std::time::Duration;

use futures_util::StreamExt;
use proptest::prelude::*;
use snakepit_core::call::CallOptions;
use snakepit_core::events::Event;
use snakepit_core::id::CallId;
use snakepit_core::testing::ScriptedProfile;

use crate::calls_told::{chains, subscribe, taken};
use crate::support::{LONG, begin, call, config, payload, ready, until};

#[tokio::test(start_paused = true)]
async fn the_life_of_a_worker_is_told() {
    let profile = ScriptedProfile::new(2);
    let mut config = config(1);
    config.restart.initial_backoff = Duration::ZERO;
    config.heartbeat.interval = Duration::from_secs(1);
    config.heartbeat.initial_delay = Duration::ZERO;
    let pool = crate::support::start(config, &profile);
    let mut stream = subscribe(&pool);
    pool.await_all_ready(LONG).await.unwrap();
    call(&pool, "echo").await.unwrap();
    tokio::time::sleep(Duration::from_millis(1500)).await;
    profile.workers()[0].die("killed", false);
    until(|| profile.starts() == 2 && pool.status().ready == 1).await;
    let id = pool.workers()[0].id.clone();
    pool.recycle(&id).await.unwrap();
    pool.close().await;
    let all = taken(&mut stream);
    let names: Vec<_> = all
        .iter()
        .map(|emitted| emitted.event.name())
        .filter(|name| !name.starts_with("call") && *name != "pool.capacity_reached")
        .collect();
    let first = [
        "pool.init_started",
        "worker.spawned",
        "heartbeat.monitor_started",
        "worker.started",
        "pool.init_complete",
        "heartbeat.ping_sent",
        "heartbeat.pong_received",
        "worker.crashed",
        "worker.terminated",
        "worker.recycled",
        "worker.restarted",
        "worker.spawned",
        "worker.started",
    ];
    assert_eq!(names[..first.len()], first);
    let rest: Vec<_> = names[first.len()..]
        .iter()
        .filter(|name| !name.starts_with("heartbeat"))
        .collect();
    let last = [
        &"worker.spawned",
        &"worker.started",
        &"worker.recycled",
        &"worker.terminated",
        &"worker.terminated",
        &"pool.closed",
    ];
    assert_eq!(rest, last);
    let reasons: Vec<_> = all
        .iter()
        .filter_map(|emitted| match &emitted.event {
            Event::WorkerRecycled {
                reason,
                request_count,
                ..
            } => Some((*reason, *request_count)),
            Event::WorkerCrashed {
                exit, total_calls, ..
            } => {
                assert_eq!((&**exit, *total_calls), ("killed", 1));
                None
            }
            Event::WorkerStarted {
                profile, capacity, ..
            } => {
                assert_eq!((*profile, *capacity), ("scripted", 2));
                None
            }
            _ => None,
        })
        .collect();
    assert_eq!(reasons, [("worker_died", 1), ("manual", 0)]);
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_panics_or_is_slow_harms_no_call() {
    let pool = ready(config(2), &ScriptedProfile::new(1)).await;
    let bad = pool
        .events()
        .on_event("call.*", |_| panic!("on purpose"))
        .unwrap();
    let slow = pool
        .events()
        .on_event("call.dispatched", |_| {
            for _ in 0..10_000 {
                std::hint::spin_loop();
            }
        })
        .unwrap();
    for _ in 0..100 {
        call(&pool, "echo").await.unwrap();
    }
    assert!(!bad.is_attached() && slow.is_attached());
}

/// A handler that does all it may do: it requests the status of the pool, attaches and detaches.
#[tokio::test(start_paused = true)]
async fn a_handler_may_ask_the_pool_at_any_event() {
    let mut config = config(1);
    config.queue_limit = 1;
    config.restart.initial_backoff = Duration::ZERO;
    config.heartbeat.interval = Duration::from_secs(1);
    let profile = ScriptedProfile::new(1);
    let pool = crate::support::start(config, &profile);
    let (weak, seen) = (pool.downgrade(), Arc::new(AtomicUsize::new(0)));
    let count = Arc::clone(&seen);
    let attached = pool.events().on_event("*", move |_| {
        let Some(pool) = weak.upgrade() else { return };
        // Each takes the pool's lock.
        drop((pool.status(), pool.workers()));
        count.fetch_add(1, Ordering::Relaxed);
    });
    pool.await_all_ready(LONG).await.unwrap();
    let gate = begin(&pool, "gate").await;
    let waiting = begin(&pool, "hang").await;
    call(&pool, "echo").await.unwrap_err();
    profile.allow(1);
    gate.await.unwrap().unwrap();
    until(|| pool.status().queue_depth == 0).await;
    waiting.abort();
    until(|| pool.status().in_flight == 0).await;
    call(&pool, "die").await.unwrap_err();
    tokio::time::sleep(Duration::from_secs(3)).await;
    let id = pool.workers()[0].id.clone();
    pool.recycle(&id).await.unwrap();
    pool.close().await;
    assert!(attached.unwrap().is_attached());
    assert!(seen.load(Ordering::Relaxed) > 20);
}

#[test]
fn subscribers_come_and_go_under_load() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_time()
        .build()
        .unwrap();
    runtime.block_on(async {
        let pool = ready(config(2), &ScriptedProfile::new(2)).await;
        let (over, barrier) = (Arc::new(AtomicBool::new(false)), Arc::new(Barrier::new(2)));
        let events = pool.events().clone();
        let thread = std::thread::spawn({
            let (over, barrier) = (Arc::clone(&over), Arc::clone(&barrier));
            move || {
                barrier.wait();
                let mut rounds = 0;
                loop {
                    let stream = events.subscribe(8);
                    let handler = events.on_event("call.*", |_| {}).unwrap();
                    handler.detach();
                    drop(stream);
                    rounds += 1;
                    if over.load(Ordering::Relaxed) {
                        break;
                    }
                }
                rounds
            }
        });
        let chains = Arc::new(Mutex::new(BTreeMap::<CallId, [u32; 2]>::new()));
        let seen = Arc::clone(&chains);
        let steady = pool.events().on_event("call.*", move |emitted| {
            let (call, step) = match &emitted.event {
                Event::CallDispatched { call, .. } => (call, 0),
                Event::CallCompleted { call, .. } => (call, 1),
                _ => return,
            };
            seen.lock().unwrap().entry(*call).or_default()[step] += 1;
        });
        barrier.wait();
        let calls = (0..8).map(|_| async {
            for _ in 0..50 {
                call(&pool, "echo").await.unwrap();
            }
        });
        futures_util::future::join_all(calls).await;
        over.store(true, Ordering::Relaxed);
        assert!(thread.join().unwrap() > 0);
        let chains = chains.lock().unwrap().clone();
        assert_eq!(chains.len(), 400);
        assert!(chains.values().all(|steps| *steps == [1, 1]));
        steady.unwrap().detach();
        assert!(!pool.events().has_subscribers());
        pool.close().await;
    });
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Call(&'static str, bool),
    Stream(bool),
    Batch(u64),
    Open,
    Drop,
}

fn step() -> impl Strategy<Value = Step> {
    let tool = prop::sample::select(vec!["echo", "fail", "gate", "hang", "nap", "die", "stuck"]);
    prop_oneof![
        6 => (tool, any::<bool>()).prop_map(|(tool, brief)| Step::Call(tool, brief)),
        1 => any::<bool>().prop_map(Step::Stream),
        1 => (1_u64..5).prop_map(Step::Batch),
        1 => Just(Step::Open),
        2 => Just(Step::Drop),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// In every case, a call is completed once, after all its other events, and the outcomes agree
    /// with the counters.
    #[test]
    fn every_call_has_one_chain(steps in prop::collection::vec(step(), 1..24)) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        runtime.block_on(check(steps));
    }
}

async fn check(steps: Vec<Step>) {
    let profile = ScriptedProfile::new(1);
    let mut config = config(2);
    config.queue_limit = 3;
    config.restart.max_restarts = 1000;
    config.restart.initial_backoff = Duration::ZERO;
    let pool = ready(config, &profile).await;
    let mut events = subscribe(&pool);
    let mut running = Vec::new();
    for step in steps {
        match step {
            Step::Call(tool, brief) => {
                let time = Duration::from_millis(if brief { 5 } else { 5000 });
                let (pool, options) = (pool.clone(), CallOptions::new().timeout(time));
                let call = async move { drop(pool.execute(tool, payload(1), &options).await) };
                running.push(tokio::runtime::Handle::current().spawn(call));
            }
            Step::Stream(brief) => {
                let time = Duration::from_millis(if brief { 5 } else { 5000 });
                let (pool, options) = (pool.clone(), CallOptions::new().timeout(time));
                let call = async move {
                    let stream = pool.execute_stream("pause", payload(1), &options).await;
                    if let Ok(stream) = stream {
                        drop(stream.collect::<Vec<_>>().await);
                    }
                };
                running.push(tokio::runtime::Handle::current().spawn(call));
            }
            Step::Batch(items) => {
                let pool = pool.clone();
                let call = async move {
                    let items: Vec<_> = (0..items).map(payload).collect();
                    let stream = pool.execute_many("nap", items, &CallOptions::new());
                    drop(stream.collect::<Vec<_>>().await);
                };
                running.push(tokio::runtime::Handle::current().spawn(call));
            }
            Step::Open => profile.allow(1),
            Step::Drop => {
                if let Some(call) = running.pop() {
                    call.abort();
                }
            }
        }
        tokio::task::yield_now().await;
    }
    profile.allow(100);
    for call in running {
        call.await.ok();
    }
    let whole = || pool.status().in_flight == 0 && pool.status().queue_depth == 0;
    while !whole() {
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    let (mut outcomes, taken) = (BTreeMap::<&str, u64>::new(), taken(&mut events));
    for emitted in &taken {
        if let Event::CallCompleted {
            outcome,
            items,
            failed,
            ..
        } = &emitted.event
        {
            *outcomes.entry("ok").or_default() += items - failed;
            if *outcome != "ok" {
                *outcomes.entry(outcome).or_default() += failed;
            }
        }
    }
    let status = pool.status();
    let told = |outcome: &str| outcomes.get(outcome).copied().unwrap_or_default();
    let expected = [
        ("ok", status.succeeded),
        ("error", status.errors),
        ("rejected", status.saturated),
        ("queue_timeout", status.queue_timeouts),
        ("call_timeout", status.call_timeouts),
        ("cancelled", status.cancelled),
    ];
    for (outcome, counted) in expected {
        assert_eq!(told(outcome), counted, "{outcome}");
    }
    for (call, steps) in chains(&taken) {
        let ends = steps
            .iter()
            .filter(|step| step.contains("SP") || step.ends_with(" -"));
        assert_eq!(ends.count(), 1, "{call} {steps:?}");
        let last = steps.last().unwrap();
        assert!(last.contains("SP") || last.ends_with(" -"), "{steps:?}");
        let sent = steps.iter().filter(|step| *step == "sent 0").count();
        assert!(sent <= 1, "{steps:?}");
        if let Some(queued) = steps.iter().position(|step| step == "queued") {
            assert_eq!(queued, 0, "{steps:?}");
        }
    }
}
