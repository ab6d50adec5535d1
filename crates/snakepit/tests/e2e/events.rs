//! Events and spans, as a program that uses the facade receives them.

use std::sync::Arc;

use snakepit::core::testing::ScriptedProfile;
use snakepit::events::{Event, EventStream};
use snakepit::{PoolConfig, Snakepit, Value};

use crate::support::{LONG, pool, pool_of};

/// Returns the names of the events so far that have one of these prefixes.
fn names(events: &mut EventStream, prefixes: &[&str]) -> Vec<String> {
    assert_eq!(events.lost(), 0);
    let all = std::iter::from_fn(|| events.try_next());
    let names = all.map(|emitted| emitted.event.name().to_owned());
    names
        .filter(|name| prefixes.iter().any(|prefix| name.starts_with(prefix)))
        .collect()
}

async fn scripted() -> Snakepit {
    let mut config = PoolConfig::new("main");
    config.workers = 1;
    let builder = Snakepit::builder();
    let builder = builder.pool_with_profile(config, Arc::new(ScriptedProfile::new(1)));
    builder.start().await.unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_program_subscribes_to_all_or_to_some() {
    let snakepit = scripted().await;
    let (told, mut calls) = tokio::sync::mpsc::unbounded_channel();
    let some = snakepit.on_event("snakepit.call.*", move |emitted| {
        told.send(emitted.event.name().to_owned()).ok();
    });
    let some = some.unwrap();
    let mut all = snakepit.events();
    snakepit.execute::<i64>("echo", 1).await.unwrap();
    let session = snakepit.session("s");
    session.execute::<i64>("echo", 1).await.unwrap();
    some.detach();
    snakepit.execute::<i64>("echo", 1).await.unwrap();
    let mut seen = Vec::new();
    while let Some(name) = calls.recv().await {
        seen.push(name);
    }
    let one = ["call.dispatched", "call.completed"];
    assert_eq!(seen, [one, one].concat());
    let names = names(&mut all, &["call", "session.created"]);
    let expected = [&one[..], &["session.created"], &one, &one].concat();
    assert_eq!(names, expected);
    let error = snakepit.on_event("no name", |_| {}).unwrap_err();
    assert!(error.to_string().contains("worker.*"), "{error}");
    snakepit.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn the_end_of_a_script_is_told() {
    let snakepit = scripted().await;
    let mut events = snakepit.events();
    let end = snakepit.run_as_script(async { 7 }).await.unwrap();
    assert_eq!(end.output, Some(7));
    let expected =
        ["start", "stop", "cleanup", "exit"].map(|name| format!("script.shutdown.{name}"));
    assert_eq!(names(&mut events, &["script"]), expected);
}

#[tokio::test]
async fn the_life_of_a_real_worker_is_told() {
    let snakepit = Snakepit::builder()
        .pool(pool("main", 1))
        .start()
        .await
        .unwrap();
    let mut events = snakepit.events();
    let pid: i32 = snakepit.execute("pid", ()).await.unwrap();
    let pid = nix::unistd::Pid::from_raw(pid);
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL).unwrap();
    let mut seen = Vec::new();
    let started = async {
        while let Some(emitted) = events.next().await {
            let name = emitted.event.name().to_owned();
            match &emitted.event {
                Event::WorkerCrashed { cause, exit, .. } => {
                    assert_eq!(*cause, "signal");
                    assert!(exit.contains("SIGKILL"), "{exit}");
                }
                Event::WorkerRecycled { reason, .. } => assert_eq!(*reason, "worker_died"),
                Event::WorkerStarted {
                    profile,
                    pid,
                    startup_ms,
                    ..
                } => {
                    assert_eq!(*profile, "process");
                    assert!(pid.is_some() && *startup_ms > 0);
                    return;
                }
                _ => {}
            }
            seen.push(name);
        }
    };
    tokio::time::timeout(LONG, started).await.unwrap();
    let workers = seen.iter().filter(|name| name.starts_with("worker"));
    let expected = [
        "worker.crashed",
        "worker.terminated",
        "worker.recycled",
        "worker.restarted",
        "worker.spawned",
    ];
    assert!(workers.eq(expected.iter()), "{seen:?}");
    snakepit.shutdown().await;
    // The clean-up of the start may finish at any time.
    let mut ends = Vec::new();
    while let Some(emitted) = events.try_next() {
        let at_end = !matches!(
            &emitted.event,
            Event::CleanupStart { phase: "start", .. }
                | Event::CleanupSuccess { phase: "start", .. }
        );
        let name = emitted.event.name();
        let told = ["pool", "cleanup", "worker.terminated"];
        if at_end && told.iter().any(|prefix| name.starts_with(prefix)) {
            ends.push(name.to_owned());
        }
    }
    let expected = [
        "worker.terminated",
        "pool.closed",
        "cleanup.start",
        "cleanup.success",
    ];
    assert_eq!(ends, expected);
}

#[tokio::test]
async fn a_marker_is_told_with_its_type() {
    let adapter = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/e2e/session_tools.py");
    let pool = pool_of("main", adapter).env("SNAKEPIT_UNSERIALIZABLE", "marker");
    let snakepit = Snakepit::builder().pool(pool).start().await.unwrap();
    let mut events = snakepit.events();
    snakepit.execute::<Value>("opaque", ()).await.unwrap();
    let marker = async {
        loop {
            let emitted = events.next().await.unwrap();
            if let Event::SerializationMarker {
                python_type, call, ..
            } = &emitted.event
            {
                return (python_type.to_string(), call.is_some());
            }
        }
    };
    let (python_type, in_call) = tokio::time::timeout(LONG, marker).await.unwrap();
    assert!(python_type.ends_with(".Opaque") && in_call, "{python_type}");
    snakepit.shutdown().await;
}
