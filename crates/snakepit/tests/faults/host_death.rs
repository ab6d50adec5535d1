//! All ways in which a host can end; its workers end with it.

use std::time::Duration;

use nix::sys::signal::Signal;

use crate::oracle::{Scene, eventually};
use crate::record::{Row, ms};
use crate::subject::Host;
use crate::support::{LONG, alive};

const NONE: Duration = Duration::from_millis(500);

/// Kills a host in this state. Checks that nothing is left and that the next host starts clean.
#[track_caller]
pub(crate) fn killed(row: Row, scenario: &str) {
    let scene = Scene::new();
    let (mut host, pids) = Host::ready(&scene, scenario, 3);
    assert!(pids.iter().all(|pid| alive(*pid)));
    host.kill();
    let took = scene.none_left(NONE);
    next(&scene);
    row.holds(format!("last of {} gone after {}", pids.len(), ms(took)));
    scene.clean(NONE);
}

/// Starts and stops another host on the same data directory.
#[track_caller]
pub(crate) fn next(scene: &Scene) {
    let (mut host, _) = Host::ready(scene, "shutdown", 1);
    host.answer("@shut");
    assert!(host.wait().success());
}

#[test]
fn row_01_host_killed_idle() {
    killed(Row::new(1, "host SIGKILL, idle"), "idle");
}

#[test]
fn row_02_host_killed_busy() {
    killed(Row::new(2, "host SIGKILL, workers busy"), "busy");
}

#[test]
fn row_03_host_killed_while_the_gil_is_held() {
    killed(Row::new(3, "host SIGKILL, GIL held"), "gil");
}

#[test]
fn row_04_host_killed_workers_have_children() {
    killed(
        Row::new(4, "host SIGKILL, workers have subprocesses"),
        "family",
    );
}

#[test]
fn row_11_host_killed_workers_stopped() {
    killed(Row::new(11, "host SIGKILL, workers stopped"), "stopped");
}

#[test]
fn row_20_workers_with_odd_names() {
    killed(
        Row::new(20, "host SIGKILL, worker named `a) R 1 2`"),
        "hide",
    );
}

#[test]
fn row_26_workers_that_may_not_be_looked_at() {
    killed(
        Row::new(26, "host SIGKILL, workers are not dumpable"),
        "undumpable",
    );
}

#[test]
fn row_17_host_killed_as_out_of_memory() {
    // The kernel's OOM killer uses the same signal.
    killed(Row::new(17, "host killed as by the OOM killer"), "load");
}

#[test]
fn row_05_a_daemon_is_found_by_the_next_host() {
    let row = Row::new(5, "host SIGKILL, worker has a setsid daemon");
    let scene = Scene::new();
    let (mut host, pids) = Host::ready(&scene, "daemon", 1);
    host.kill();
    eventually("the worker is gone", || !alive(pids[0]));
    assert!(alive(pids[1]), "the daemon has left the group");
    let (mut host, _) = Host::ready(&scene, "shutdown", 1);
    host.answer("@shut");
    assert!(host.wait().success());
    let took = scene.none_left(Duration::from_secs(2));
    row.holds(format!("gone {} after the next host's end", ms(took)));
    scene.clean(NONE);
}

/// Runs a host that ends by itself.
#[track_caller]
fn ended(row: Row, scenario: &str) {
    let scene = Scene::new();
    let (mut host, pids) = Host::ready(&scene, scenario, 3);
    let status = host.wait();
    assert!(!status.success(), "{status}");
    let took = scene.none_left(NONE);
    next(&scene);
    row.holds(format!(
        "{status}; last of {} gone after {}",
        pids.len(),
        ms(took)
    ));
    scene.clean(NONE);
}

#[test]
fn row_09_host_aborts() {
    ended(Row::new(9, "host aborts"), "abort");
}

#[test]
fn row_09_host_exits_without_destructors() {
    ended(Row::new(9, "host calls process exit"), "exit");
}

#[test]
fn row_09_host_segfaults() {
    ended(Row::new(9, "host gets SIGSEGV"), "segv");
}

#[test]
fn row_09_host_panics() {
    ended(Row::new(9, "host panics"), "panic");
}

#[test]
fn row_10_runtime_dropped() {
    let row = Row::new(10, "runtime dropped without shutdown");
    let scene = Scene::new();
    let (mut host, _) = Host::ready(&scene, "drop_runtime", 3);
    host.answer("@dropped");
    // The host itself carries the mark, so only it may be left.
    eventually("the workers are gone", || scene.left().len() == 1);
    host.kill();
    next(&scene);
    row.holds("workers gone, host goes on");
    scene.clean(NONE);
}

#[test]
fn row_10_handle_dropped() {
    let row = Row::new(10, "handle dropped without shutdown");
    let scene = Scene::new();
    let (mut host, _) = Host::ready(&scene, "drop_handle", 3);
    host.answer("@dropped");
    eventually("the workers are gone", || scene.left().len() == 1);
    host.kill();
    next(&scene);
    row.holds("workers gone, host goes on");
    scene.clean(NONE);
}

#[test]
fn row_13_signals_with_default_action() {
    let row = Row::new(13, "SIGTERM, INT, HUP, QUIT with default action");
    let mut worst = Duration::ZERO;
    for signal in [
        Signal::SIGTERM,
        Signal::SIGINT,
        Signal::SIGHUP,
        Signal::SIGQUIT,
    ] {
        let scene = Scene::new();
        let (mut host, _) = Host::ready(&scene, "load", 2);
        host.signal(signal);
        assert!(!host.wait().success());
        worst = worst.max(scene.none_left(NONE));
        next(&scene);
        scene.clean(NONE);
    }
    row.holds(format!("last worker gone after {} at worst", ms(worst)));
}

#[test]
fn row_15_terminated_while_starting() {
    let row = Row::new(15, "SIGTERM while the pool starts");
    let scene = Scene::new();
    let mut host = Host::start(&scene, "idle", 8);
    host.answer("@starting");
    eventually("some workers run", || scene.left().len() >= 3);
    host.signal(Signal::SIGTERM);
    host.wait();
    // A worker that has just been started ends when it first runs, however long that takes.
    let took = scene.none_left(LONG);
    next(&scene);
    row.holds(format!("last worker gone after {}", ms(took)));
    scene.clean(NONE);
}

#[test]
fn row_16_host_stopped_and_continued() {
    let row = Row::new(16, "host SIGSTOP for seconds, SIGCONT");
    let long = std::env::var_os("SNAKEPIT_FAULT_LONG").is_some_and(|long| long == "1");
    let seconds = if long { 30 } else { 5 };
    let scene = Scene::new();
    let (mut host, pids) = Host::ready(&scene, "tally", 2);
    host.tally();
    host.signal(Signal::SIGSTOP);
    // The fault is the passing of time.
    std::thread::sleep(Duration::from_secs(seconds)); // polls: nothing tells that time has passed for a stopped host
    host.signal(Signal::SIGCONT);
    assert_eq!(host.tally().failed, 0, "no call failed");
    assert!(pids.iter().all(|pid| alive(*pid)), "no worker was replaced");
    host.kill();
    scene.none_left(NONE);
    next(&scene);
    row.holds(format!(
        "{seconds} s, heartbeats of 1 s, no call failed, no worker replaced"
    ));
    scene.clean(NONE);
}

#[test]
fn row_23_two_hosts_share_a_directory() {
    let row = Row::new(23, "two live hosts, one data directory");
    let scene = Scene::new();
    let (mut first, pids) = Host::ready(&scene, "load", 2);
    let (mut second, others) = Host::ready(&scene, "load", 2);
    assert!(pids.iter().chain(&others).all(|pid| alive(*pid)));
    second.kill();
    eventually("the second host's workers are gone", || {
        others.iter().all(|pid| !alive(*pid))
    });
    next(&scene);
    assert!(pids.iter().all(|pid| alive(*pid)), "the first goes on");
    first.kill();
    scene.none_left(NONE);
    next(&scene);
    row.holds("neither start nor death of one touches the other");
    scene.clean(NONE);
}

#[test]
fn row_24_many_hosts_start_beside_a_dead_run() {
    let row = Row::new(24, "10 hosts start while a dead run exists");
    let scene = Scene::new();
    let (mut dead, pids) = Host::ready(&scene, "daemon", 1);
    dead.kill();
    let mut hosts: Vec<Host> = (0..10)
        .map(|_| Host::start(&scene, "shutdown", 1))
        .collect();
    for host in &mut hosts {
        host.answer("@shut");
        assert!(host.wait().success());
    }
    eventually("the orphan is gone", || !alive(pids[1]));
    row.holds("all ready, the orphan gone");
    scene.clean(NONE);
}
