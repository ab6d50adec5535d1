//! Many faults in a random mix, for a configurable time.

use std::collections::HashMap;
use std::fs;
use std::io::Write as _;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_bytes::ByteBuf;
use snakepit::{CallOptions, Snakepit, args};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

use crate::links::variable_of;
use crate::oracle::{Scene, eventually_async, gauges};
use crate::random::Random;
use crate::record::Row;
use crate::subject::Host;
use crate::support::LONG;

const SECONDS: &str = "SNAKEPIT_SOAK_SECONDS";
const SEED: &str = "SNAKEPIT_SOAK_SEED";
const WORKERS: usize = 4;

const ACTIONS: [&str; 12] = [
    "worker killed",
    "worker stopped for a while",
    "worker crashed",
    "call dropped",
    "call out of time",
    "call too large",
    "stranger at the socket",
    "other host killed",
    "other host ended",
    "shouting",
    "stream dropped",
    "children left behind",
];

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap())
}

/// Returns the process id of a ready worker.
fn some_worker(snakepit: &Snakepit, random: &mut Random) -> Option<u32> {
    let pids: Vec<u32> = snakepit
        .workers()
        .iter()
        .filter_map(|one| one.pid)
        .collect();
    let count = u64::try_from(pids.len()).unwrap();
    (count > 0).then(|| pids[usize::try_from(random.below(count)).unwrap()])
}

/// Sends a signal to a worker that may have ended meanwhile.
fn signal(pid: Option<u32>, signal: Signal) {
    if let Some(pid) = pid {
        let _ = kill(Pid::from_raw(i32::try_from(pid).unwrap()), signal);
    }
}

/// Causes one fault. Its calls may have any outcome, but must end.
async fn act(action: usize, number: u64, snakepit: &Snakepit, scene: &Arc<Scene>, seed: u64) {
    let mut random = Random::new(seed);
    let pause = Duration::from_millis(random.below(100));
    let text = |name: &str| scene.text(&format!("{name}.{number}"));
    match ACTIONS[action] {
        "worker killed" => signal(some_worker(snakepit, &mut random), Signal::SIGKILL),
        "worker stopped for a while" => {
            let pid = some_worker(snakepit, &mut random);
            signal(pid, Signal::SIGSTOP);
            // The fault is the passing of time.
            tokio::time::sleep(pause).await; // polls: the random time of the fault
            signal(pid, Signal::SIGCONT);
        }
        "worker crashed" => {
            let how = ["segv", "exit"][usize::try_from(random.below(2)).unwrap()];
            let _ = snakepit.execute::<()>("die", args! { "how" => how }).await;
        }
        "call dropped" => {
            let arguments = args! { "started" => text("s"), "go" => text("never") };
            let call = snakepit.execute::<i64>("wait", arguments);
            let _ = timeout(pause, call).await;
        }
        "call out of time" => {
            let arguments = args! { "started" => text("s"), "go" => text("never") };
            let options = CallOptions::new().timeout(pause);
            let call = snakepit
                .call::<i64>("wait")
                .args(arguments)
                .options(&options);
            assert!(call.await.is_err());
        }
        "call too large" => {
            let data = ByteBuf::from(vec![0; 2 << 20]);
            let call = snakepit.execute::<i64>("size", args! { "data" => data });
            assert!(call.await.is_err());
        }
        "stranger at the socket" => {
            let pid = some_worker(snakepit, &mut random);
            let link = pid.and_then(|pid| variable_of(pid, "SNAKEPIT_WORKER_LINK"));
            if let Some(Ok(mut stream)) = link.map(UnixStream::connect) {
                let _ = stream.write_all(&[0x55; 100]);
            }
        }
        "other host killed" | "other host ended" => {
            let scene = Arc::clone(scene);
            let ended = tokio::task::spawn_blocking(move || {
                if ACTIONS[action] == "other host ended" {
                    let (mut host, _) = Host::ready(&scene, "shutdown", 1);
                    host.answer("@shut");
                    host.wait();
                } else {
                    let mut host = Host::start(&scene, "load", 2);
                    host.answer("@starting");
                    std::thread::sleep(pause * 3); // polls: the random moment itself
                    host.kill();
                }
            });
            ended.await.unwrap();
        }
        "shouting" => drop(snakepit.execute::<i64>("shout", args! { "n" => 500 }).await),
        "stream dropped" => {
            let arguments = args! { "n" => 20, "pid_file" => text("p"), "go" => text("never") };
            if let Ok(mut stream) = snakepit.execute_stream::<i64>("count", arguments).await {
                for _ in 0..random.below(10) {
                    let _ = timeout(LONG, stream.next()).await.unwrap();
                }
            }
        }
        _ => drop(snakepit.execute::<Vec<u32>>("family", ()).await),
    }
}

/// Makes innocent calls, each of which writes a line into the ledger.
async fn innocents(
    snakepit: Snakepit,
    ledger: String,
    stop: Arc<AtomicBool>,
    ids: Arc<AtomicU64>,
) -> Vec<(u64, bool)> {
    let mut outcomes = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        let id = ids.fetch_add(1, Ordering::Relaxed);
        let arguments = args! { "ledger" => &ledger, "text" => id.to_string() };
        let call = snakepit.execute::<String>("note", arguments);
        outcomes.push((id, timeout(LONG, call).await.unwrap().is_ok()));
    }
    outcomes
}

#[tokio::test(flavor = "multi_thread")]
async fn row_90_a_random_mix_of_faults() {
    let seconds = number(SECONDS).unwrap_or(20);
    let row = Row::new(90, "random mix of faults, calls beside it");
    let seed = number(SEED).unwrap_or_else(|| {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        u64::from(now.unwrap().subsec_nanos())
    });
    println!("seed {seed}: {SEED}={seed} {SECONDS}={seconds}");
    let mut random = Random::new(seed);
    let scene = Arc::new(Scene::new());
    let pool = scene.pool(WORKERS).max_payload(1 << 20).configure(|pool| {
        pool.cancel_grace = Duration::from_millis(300);
        pool.drain_timeout = Duration::from_millis(500);
        pool.stop_grace = Duration::from_millis(500);
        pool.restart.initial_backoff = Duration::from_millis(1);
        pool.restart.max_backoff = Duration::from_millis(100);
        pool.restart.max_restarts = u32::MAX;
    });
    let snakepit = scene.host(pool).start().await.unwrap();
    let (stop, ids) = (Arc::new(AtomicBool::new(false)), Arc::default());
    let mut callers = JoinSet::new();
    for _ in 0..WORKERS {
        let (stop, ids) = (Arc::clone(&stop), Arc::clone(&ids));
        callers.spawn(innocents(snakepit.clone(), scene.text("ledger"), stop, ids));
    }
    let (mut faults, mut done) = (JoinSet::new(), [0_u32; ACTIONS.len()]);
    let until = Instant::now() + Duration::from_secs(seconds);
    let mut numbers = 0..;
    while Instant::now() < until {
        let action = usize::try_from(random.below(ACTIONS.len() as u64)).unwrap();
        let (number, seed) = (numbers.next().unwrap(), random.below(u64::MAX));
        let (other, place) = (snakepit.clone(), Arc::clone(&scene));
        done[action] += 1;
        faults.spawn(async move { act(action, number, &other, &place, seed).await });
        // The fault is the moment itself.
        tokio::time::sleep(Duration::from_millis(random.below(100))).await; // polls: the random moment itself
        while let Some(ended) = faults.try_join_next() {
            ended.unwrap();
        }
    }
    stop.store(true, Ordering::Relaxed);
    timeout(LONG, async {
        while let Some(ended) = faults.join_next().await {
            ended.unwrap();
        }
    })
    .await
    .unwrap();
    let mut outcomes = Vec::new();
    while let Some(caller) = callers.join_next().await {
        outcomes.extend(caller.unwrap());
    }
    let whole = eventually_async("the pool is whole", || {
        snakepit.status()[0].ready == WORKERS
    });
    timeout(Duration::from_secs(10), whole).await.unwrap();
    eventually_async("all calls have ended", || gauges(&snakepit).is_empty()).await;
    let status = snakepit.status().remove(0);
    let ended = status.succeeded + status.errors + status.saturated + status.queue_timeouts;
    let ended = ended + status.call_timeouts + status.cancelled;
    assert_eq!(ended, status.requests, "one outcome each: {status:?}");
    let fine = once(&outcomes, &scene);
    Arc::into_inner(scene).unwrap().close(snakepit).await;
    let kinds = done.iter().filter(|count| **count > 0).count();
    let faults: u32 = done.iter().sum();
    row.holds(format!(
        "seed {seed}, {seconds} s: {faults} faults of {kinds} kinds, {} restarts; {fine} of {} innocent calls answered, none ran twice",
        status.restarts,
        outcomes.len()
    ));
}

/// Checks that no call ran twice and that every answered call ran. Returns the number of answered
/// calls.
fn once(outcomes: &[(u64, bool)], scene: &Scene) -> usize {
    let ledger = fs::read_to_string(scene.path("ledger")).unwrap();
    let mut runs: HashMap<u64, u32> = HashMap::new();
    for line in ledger.lines() {
        *runs.entry(line.parse().unwrap()).or_default() += 1;
    }
    for (id, answered) in outcomes {
        let ran = runs.get(id).copied().unwrap_or(0);
        assert!(ran <= 1, "call {id} ran {ran} times");
        assert!(ran == 1 || !answered, "call {id} was answered");
    }
    outcomes.iter().filter(|(_, answered)| *answered).count()
}
