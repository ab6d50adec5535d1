//! Measures the cost of sessions and affinity: `cargo run --release -p snakepit-core --features
//! testing --example state_bench [sessions]`.
#![expect(clippy::print_stdout, reason = "it is a program for people")]

use std::hint::black_box;
use std::time::Duration;

use snakepit_core::id::SessionId;
use snakepit_core::pool::Affinity;
use snakepit_core::state::{
    NewVariable, Session, SessionConfig, SessionOptions, Sessions, VariableType,
};
use snakepit_core::testing::{Acquire, Scheduler, SlotRequest};
use snakepit_core::value::Tensor;
use tokio::time::Instant;

const ROUNDS: u32 = 2_000_000;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let n: usize = std::env::args()
        .nth(1)
        .map_or(Ok(1_000_000), |n| n.parse())?;
    let mut config = SessionConfig::new();
    config.max_sessions = n + 1;
    let sessions = Sessions::new(config)?;
    let ids: Vec<SessionId> = (0..n).map(|n| format!("session-{n:08}").into()).collect();
    let (before, start) = (resident(), Instant::now());
    for (n, id) in ids.iter().enumerate() {
        // Half of them end at once, so that sweeping has work to do.
        let ttl = Duration::from_secs(if n % 2 == 0 { 3600 } else { 20 });
        sessions.create(id.clone(), SessionOptions::new().ttl(ttl))?;
    }
    println!("create        {:>8.0} ns each", each(start, n));
    if let (Some(before), Some(after)) = (before, resident()) {
        println!(
            "memory        {:>8} bytes each, without the text of the id",
            (after - before) / n
        );
    }
    let picked: Vec<_> = (0..1024).map(|i| &ids[i * 7919 % (n / 2) * 2]).collect();
    measure("session by id", |i| {
        drop(black_box(sessions.get(picked[i % 1024])))
    });
    let handles: Vec<Session> = picked
        .iter()
        .map(|id| sessions.get(id))
        .collect::<Result<_, _>>()?;
    measure("touch by handle", |i| {
        drop(black_box(handles[i % 1024].touch()))
    });
    affinity(&picked);
    lookup_and_affinity(&sessions, &picked);
    variables(&sessions)?;
    Ok(())
}

/// Measures acquire and release in a scheduler in which every session has its worker, bound and as
/// a hint.
fn affinity(ids: &[&SessionId]) {
    let mut scheduler = Scheduler::<()>::new(0);
    for _ in 0..64 {
        scheduler.add(2);
    }
    measure("scheduler alone", |_| {
        if let Acquire::Granted(grant) = scheduler.acquire(None, || ()) {
            drop(black_box(scheduler.release(grant, None)));
        }
    });
    for (name, affinity) in [("hint", Affinity::Hint), ("strict", Affinity::StrictQueue)] {
        let mut scheduler = Scheduler::<()>::new(0);
        for _ in 0..64 {
            scheduler.add(2);
        }
        measure(&format!("scheduler, {name}"), |i| {
            turn(&mut scheduler, ids[i % ids.len()], affinity)
        });
    }
}

fn turn(scheduler: &mut Scheduler<()>, id: &SessionId, affinity: Affinity) {
    let mut request = SlotRequest::new(Some(id));
    request.affinity = affinity;
    if let Acquire::Granted(grant) = scheduler.request(&request, || ()) {
        drop(black_box(scheduler.release(grant, None)));
    }
}

fn lookup_and_affinity(sessions: &Sessions, ids: &[&SessionId]) {
    let mut scheduler = Scheduler::<()>::new(0);
    for _ in 0..64 {
        scheduler.add(2);
    }
    measure("look-up + strict", |i| {
        let id = ids[i % ids.len()];
        drop(black_box(sessions.get(id)));
        turn(&mut scheduler, id, Affinity::StrictQueue);
    });
}

fn variables(sessions: &Sessions) -> Result<(), Box<dyn std::error::Error>> {
    let session = sessions.create("variables", SessionOptions::new())?;
    session.register(NewVariable::new("n", VariableType::Integer, 0))?;
    measure("variable get", |_| drop(black_box(session.variable("n"))));
    measure("variable set", |i| {
        drop(black_box(session.set("n", i as i64, None)))
    });
    let tensor = Tensor::from(vec![0.5_f32; 1 << 18]);
    session.register(NewVariable::new(
        "e",
        VariableType::Embedding,
        tensor.clone(),
    ))?;
    measure("1 MB embedding", |_| {
        drop(black_box(session.set("e", tensor.clone(), None)))
    });
    Ok(())
}

fn measure(name: &str, mut act: impl FnMut(usize)) {
    for i in 0..ROUNDS as usize / 10 {
        act(i);
    }
    let start = Instant::now();
    for i in 0..ROUNDS as usize {
        act(i);
    }
    println!("{name:<18} {:>6.0} ns", each(start, ROUNDS as usize));
}

fn each(start: Instant, n: usize) -> f64 {
    start.elapsed().as_secs_f64() * 1e9 / n as f64
}

/// Returns the resident memory of this process in bytes. `None` without `/proc`.
fn resident() -> Option<usize> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmRSS:"))?;
    line.split_whitespace()
        .nth(1)?
        .parse::<usize>()
        .ok()
        .map(|kib| kib << 10)
}
