//! Many workers at once, and many pools one after the other.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use snakepit::Snakepit;
use tokio::time::{Instant, timeout};

use crate::held::Held;
use crate::oracle::{COOKIE, Scene, marked, tools};
use crate::record::{Row, ms};
use crate::subject::Host;
use crate::support::LONG;

const NONE: Duration = Duration::from_millis(500);

/// Returns the interpreter of the Python tests if it has numpy.
fn with_numpy() -> Option<PathBuf> {
    let python = crate::support::root().join(".venv/bin/python");
    let mut probe = Command::new(&python);
    let output = probe.args(["-c", "import numpy"]).output().ok()?;
    output.status.success().then_some(python)
}

fn threads_of(pid: u32) -> usize {
    fs::read_dir(format!("/proc/{pid}/task")).unwrap().count()
}

#[tokio::test(flavor = "multi_thread")]
async fn row_50_many_workers_on_few_cores() {
    let row = Row::new(50, "64 workers start at once");
    let scene = Scene::new();
    let tool = "from snakepit_bridge import tool\n@tool\ndef f() -> int:\n    return 1\n";
    let python = with_numpy();
    let imports = match &python {
        Some(_) => "import numpy\nnumpy.ones((64, 64)) @ numpy.ones((64, 64))\n",
        None => "",
    };
    let adapter = scene.adapter(&format!("{imports}{tool}"));
    // Heartbeats have a thread of their own, which would distort the count.
    let mut pool = scene.pool_of(&adapter, 64).start_timeout(LONG);
    pool = pool.heartbeat(|beat| beat.enabled = false);
    if let Some(python) = &python {
        pool = pool.python(python);
    }
    let plain = scene
        .host(scene.pool(1).heartbeat(|beat| beat.enabled = false))
        .start()
        .await
        .unwrap();
    let usual = threads_of(plain.workers()[0].pid.unwrap());
    timeout(LONG, plain.shutdown()).await.unwrap();
    drop(plain);
    let clock = Instant::now();
    let snakepit = scene.host(pool).start().await.unwrap();
    let took = clock.elapsed();
    assert_eq!(snakepit.status()[0].ready, 64);
    assert_eq!(snakepit.status()[0].start_failures, 0);
    let threads = snakepit
        .workers()
        .iter()
        .map(|one| threads_of(one.pid.unwrap()))
        .max();
    assert!(
        threads <= Some(usual),
        "{threads:?} threads, {usual} without numpy"
    );
    scene.close(snakepit).await;
    let what = if python.is_some() { "with" } else { "without" };
    row.holds(format!(
        "{what} numpy, ready after {}, {usual} threads each",
        ms(took)
    ));
}

#[test]
fn row_49_pools_started_and_stopped() {
    let row = Row::new(49, "30 pools started and stopped");
    let scene = Scene::new();
    let mut command = Host::command(&scene, "pools", 2);
    // With a single arena memory grows only by leaks, not by the choice of threads that allocate.
    command.env("MALLOC_ARENA_MAX", "1");
    let mut host = Host::spawn(command);
    let answer = host.answer("@pools");
    assert!(host.wait().success());
    let grown: u64 = answer[0].parse().unwrap();
    assert!(grown < 1024, "{grown} KiB in 20 turns");
    assert_eq!(answer[1..], [""; 0], "nothing is held");
    scene.clean(NONE);
    row.holds(format!("nothing left; {grown} KiB more after 20 of them"));
}

/// The subject: starts and stops pools; reports the growth of its memory and the resources held at
/// the end.
pub(crate) async fn pools(dir: &Path) {
    let cookie = std::env::var(COOKIE).unwrap();
    let (before, mut warm) = (Held::now(), 0);
    for turn in 0..30 {
        let pool = marked(&tools(), 2, &cookie);
        let builder = Snakepit::builder().data_dir(dir.join("pit")).pool(pool);
        let snakepit = builder.start().await.unwrap();
        snakepit.execute::<i64>("pid", ()).await.unwrap();
        timeout(LONG, snakepit.shutdown()).await.unwrap();
        if turn == 9 {
            warm = resident_kib();
        }
    }
    let grown = resident_kib().saturating_sub(warm);
    let clock = Instant::now();
    while !before.leaks().is_empty() && clock.elapsed() < LONG {
        // polls: what is given back in the background
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    println!("@pools {grown} {}", before.leaks().join("; "));
}

/// Returns the resident memory of this process in KiB.
fn resident_kib() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.unwrap()
        .trim()
        .trim_end_matches(" kB")
        .parse()
        .unwrap()
}
