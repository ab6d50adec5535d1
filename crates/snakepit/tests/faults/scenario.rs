//! The actions of a subject between its start and its end.

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use snakepit::{PoolBuilder, Snakepit, args};
use tokio::task::JoinSet;

#[cfg(feature = "cli")]
use crate::foreign::installed;
use crate::oracle::{COOKIE, marked, tools};
use crate::subject::say;
use crate::support::file;

/// Variable with the `cgroup.procs` file of a control group for the subject to join.
pub(crate) const CGROUP: &str = "SNAKEPIT_FAULT_CGROUP";

/// Variable with a library to load first.
pub(crate) const PRELOAD: &str = "LD_PRELOAD";

/// Variable with the file that holds the error of the clock.
pub(crate) const CLOCK: &str = "SNAKEPIT_FAULT_CLOCK";

/// Returns a pool of workers of another kind, if the scenario names one.
#[cfg(not(feature = "cli"))]
fn foreign(_: &str, _: &Path) -> Option<PoolBuilder> {
    None
}

/// Returns a pool of workers of another kind, if the scenario names one.
#[cfg(feature = "cli")]
fn foreign(scenario: &str, dir: &Path) -> Option<PoolBuilder> {
    match scenario {
        "node" => Some(installed::node_pool(&installed::packages()?)),
        "grpcio" => {
            let (python, stubs) = installed::grpcio()?;
            // Its workers import them later, also those that are started again.
            let kept = dir.join("stubs");
            fs::create_dir(&kept).unwrap();
            for entry in fs::read_dir(stubs.path()).unwrap() {
                let entry = entry.unwrap();
                fs::copy(entry.path(), kept.join(entry.file_name())).unwrap();
            }
            Some(installed::grpcio_pool(&python, &kept, &[]))
        }
        "lines" => {
            let script = dir.join("worker.sh");
            let text =
                "echo '{\"tools\": [{\"name\": \"act\"}]}'\nwhile read -r line; do :; done\n";
            fs::write(&script, text).unwrap();
            let script = script.to_string_lossy().into_owned();
            let words = [env!("CARGO_BIN_EXE_snakepit"), "lines", "sh", &script];
            Some(PoolBuilder::command("main", words))
        }
        _ => None,
    }
}

/// Starts a host and brings it into the state that the scenario names.
pub(crate) async fn run(scenario: &str, dir: &Path, workers: usize) -> Snakepit {
    let cookie = std::env::var(COOKIE).unwrap();
    println!("@starting");
    if let Some(group) = std::env::var_os(CGROUP) {
        fs::write(group, std::process::id().to_string()).unwrap();
    }
    if scenario == "noisy" {
        crate::log_sink::install();
    }
    let foreign = foreign(scenario, dir);
    let pool = match foreign {
        Some(pool) => pool.workers(workers).env(COOKIE, &cookie),
        None => marked(&tools(), workers, &cookie),
    };
    let mut pool = pool.configure(|pool| {
        pool.drain_timeout = Duration::from_millis(500);
        pool.stop_grace = Duration::from_millis(500);
    });
    if scenario == "tally" {
        // Short enough to detect a stopped host, if that counted as missed heartbeats.
        pool = pool.heartbeat(|beat| {
            beat.interval = Duration::from_millis(200);
            beat.timeout = Duration::from_secs(1);
        });
    }
    if let (Ok(shim), Ok(file)) = (std::env::var(PRELOAD), std::env::var(CLOCK)) {
        pool = pool.env(PRELOAD, shim).env(CLOCK, file);
    }
    let builder = Snakepit::builder().data_dir(dir.join("pit")).pool(pool);
    let snakepit = match builder.start().await {
        Ok(snakepit) => snakepit,
        Err(error) => panic!("{error}"),
    };
    let mut pids: Vec<u32> = snakepit
        .workers()
        .iter()
        .filter_map(|one| one.pid)
        .collect();
    let mut calls = JoinSet::new();
    for index in 0..workers {
        let started = dir.join(format!("started.{index}"));
        let text = started.to_str().unwrap().to_owned();
        let snakepit = snakepit.clone();
        match scenario {
            "busy" => calls.spawn(async move {
                let arguments = args! { "started" => &*text, "go" => format!("{text}.never") };
                let _ = snakepit.execute::<i64>("wait", arguments).await;
            }),
            "gil" => calls.spawn(async move {
                let arguments = args! { "started" => text, "amount" => 1_i64 << 40 };
                let _ = snakepit.execute::<i64>("hold_gil", arguments).await;
            }),
            "stopped" => calls.spawn(async move {
                let arguments = args! { "started" => text };
                let _ = snakepit.execute::<()>("stop_self", arguments).await;
            }),
            "load" | "load_shutdown" => calls
                .spawn(async move { while snakepit.execute::<i64>("pid", ()).await.is_ok() {} }),
            "tally" if index == 0 => {
                calls.spawn(count(snakepit, workers * 2));
                continue;
            }
            "noisy" if index == 0 => {
                crate::log_sink::measure(&snakepit, workers).await;
                continue;
            }
            "undumpable" => {
                snakepit.execute::<i64>("undumpable", ()).await.unwrap();
                continue;
            }
            "family" => {
                pids.extend(snakepit.execute::<Vec<u32>>("family", ()).await.unwrap());
                continue;
            }
            "daemon" | "daemon_shutdown" => {
                let arguments = args! { "file" => text };
                snakepit.execute::<i64>("daemon", arguments).await.unwrap();
                pids.push(file(&started).await.trim().parse().unwrap());
                continue;
            }
            "hide" => {
                snakepit.execute::<i64>("hide", ()).await.unwrap();
                continue;
            }
            _ => continue,
        };
        if !scenario.starts_with("load") {
            file(&started).await;
        }
    }
    say("ready", &pids);
    calls.detach_all();
    snakepit
}

/// Makes calls without end, and prints the numbers of successes and failures every few
/// milliseconds.
async fn count(snakepit: Snakepit, callers: usize) {
    static FINE: AtomicU64 = AtomicU64::new(0);
    static FAILED: AtomicU64 = AtomicU64::new(0);
    let mut calls = JoinSet::new();
    for _ in 0..callers {
        let snakepit = snakepit.clone();
        calls.spawn(async move {
            loop {
                let ended = match snakepit.execute::<i64>("pid", ()).await {
                    Ok(_) => &FINE,
                    Err(_) => &FAILED,
                };
                ended.fetch_add(1, Ordering::Relaxed);
            }
        });
    }
    let mut interval = tokio::time::interval(Duration::from_millis(5));
    loop {
        interval.tick().await;
        let wall = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        let (fine, failed) = (FINE.load(Ordering::Relaxed), FAILED.load(Ordering::Relaxed));
        println!("@tally {fine} {failed} {}", wall.unwrap().as_secs());
    }
}
