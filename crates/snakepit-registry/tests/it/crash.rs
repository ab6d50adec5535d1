//! The host dies in every possible way, and no process of it may survive.

use std::cell::RefCell;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use snakepit_registry::{Outcome, Registry, RunId};

use crate::host::{Host, command};
use crate::support::{
    LONG, alive, close, data_dir, eventually, none_left, open, skip, sleeper, start, tagged,
};

const SOON: Duration = Duration::from_millis(500);

/// Asserts that a sweep leaves nothing of a dead run on disk.
fn swept(data: &Path, host: &Host) {
    // A child that was being started has the host's descriptors, and with them its lock, until it
    // executes its program.
    eventually(SOON, "the run is swept", || {
        let report = Registry::sweep_data_dir(data, LONG).expect("sweep");
        let run = report
            .runs
            .iter()
            .find(|run| run.run_id == host.run)
            .expect("it is known");
        assert!(run.problem.is_none(), "{run:?}");
        run.outcome == Outcome::Swept
    });
    assert!(Registry::inspect(data).expect("inspect").is_empty());
}

#[test]
fn row_1_and_4_host_killed_with_a_stopped_child_and_a_grandchild() {
    let (_dir, data) = data_dir();
    let mut host = Host::start("sleepers", &data);
    assert_eq!(host.pids.len(), 3);
    assert!(host.pids.iter().all(|&pid| alive(pid)));
    host.kill();
    none_left(host.run, SOON);
    // A dying process loses its environment shortly before it is dead.
    eventually(SOON, "all are dead", || {
        !host.pids.iter().any(|&pid| alive(pid))
    });
    swept(&data, &host);
}

#[test]
fn row_9_host_aborts_exits_or_panics() {
    for ending in ["abort", "exit", "panic"] {
        let (_dir, data) = data_dir();
        let mut host = Host::start(ending, &data);
        assert!(!host.wait().success());
        none_left(host.run, SOON);
        let runs = Registry::inspect(&data).expect("inspect");
        // The panic unwinds through the guards, so it leaves no row and no directory.
        if ending != "panic" {
            assert_eq!(runs.len(), 1, "{ending}");
            swept(&data, &host);
        }
    }
}

#[test]
fn row_10_registry_dropped_without_shutdown() {
    let (_dir, data) = data_dir();
    let registry = open(&data);
    let run = registry.run_id();
    let (a, _) = start(&registry, "a", &sleeper());
    let (b, spawned) = start(&registry, "b", &sleeper());
    drop(a);
    drop(b);
    drop(registry);
    none_left(run, SOON);
    let pid = i32::try_from(spawned.pid).expect("a pid");
    eventually(SOON, "the child is reaped", || {
        crate::support::state(pid).is_none()
    });
    eventually(SOON, "the run directory is removed", || {
        Registry::inspect(&data).expect("inspect").is_empty()
    });
}

#[test]
fn row_5_what_left_its_group_dies_in_the_next_hosts_sweep() {
    let (_dir, data) = data_dir();
    let mut host = Host::start("escapee", &data);
    host.kill();
    let [escapee, parent] = host.pids[..] else {
        panic!("two pids")
    };
    eventually(SOON, "the parent is gone", || !alive(parent));
    assert!(alive(escapee), "it is out of reach of the death pipe");
    let seen = Registry::inspect(&data).expect("inspect");
    assert_eq!(seen[0].would_kill[0].pid, escapee);
    assert!(alive(escapee), "looking changes nothing");

    let registry = open(&data);
    let report = registry.sweep().expect("sweep");
    assert_eq!(report.runs[0].killed.len(), 1, "{report:?}");
    assert_eq!(report.runs[0].killed[0].pid, escapee);
    assert!(!alive(escapee));
    none_left(host.run, SOON);
    let again = registry.sweep().expect("sweep");
    assert!(again.runs.is_empty(), "{again:?}");
    close(&registry);
}

#[test]
fn a_reservation_without_a_process_is_swept() {
    let (_dir, data) = data_dir();
    let mut host = Host::start("reserved", &data);
    host.kill();
    let seen = Registry::inspect(&data).expect("inspect");
    assert_eq!(seen[0].workers[0].worker_id, "never");
    assert_eq!(seen[0].workers[0].pid, None);
    swept(&data, &host);
}

#[test]
fn row_8_host_killed_while_it_starts_and_stops_children() {
    let (_dir, data) = data_dir();
    for turn in 0..10 {
        let mut host = Host::start("churn", &data);
        eventually(LONG, "it has started some", || {
            tagged(host.run).len() >= turn * 2
        });
        host.kill();
        // A child between its birth and its arming needs the sweep.
        swept(&data, &host);
        none_left(host.run, SOON);
    }
}

#[test]
fn independent_children_outlive_their_host_and_are_reported() {
    let (_dir, data) = data_dir();
    let mut host = Host::start("independent", &data);
    host.kill();
    let report = Registry::sweep_data_dir(&data, LONG).expect("sweep");
    assert_eq!(report.runs[0].outcome, Outcome::Kept);
    assert_eq!(report.runs[0].left[0].pid, host.pids[0]);
    assert_eq!(report.runs[0].left[0].worker_id.as_deref(), Some("free"));
    assert!(alive(host.pids[0]));
    crate::support::signal(host.pids[0], libc::SIGKILL);
    none_left(host.run, SOON);
    swept(&data, &host);
}

/// Runs a subject under strace, which changes the system calls that `inject` names. Returns its
/// output after `mark`. `None` if there is none.
fn traced(inject: &str, scenario: &str, data: &Path, mark: &str) -> Option<String> {
    let trace = inject.split(':').next().expect("a list of calls");
    let (trace, inject) = (format!("trace={trace}"), format!("inject={inject}"));
    let wrapper = [
        "strace",
        "-f",
        "-qq",
        "-o",
        "/dev/null",
        "-e",
        &trace,
        "-e",
        &inject,
    ];
    let child = command(&wrapper, scenario, data)
        .stderr(Stdio::null())
        .spawn()
        .expect("the subject starts");
    let child = RefCell::new(child);
    // A child that was born but not armed yet survives its host, and strace waits for it.
    eventually(LONG, "the subject and its children have ended", || {
        if data.join("runs").exists() {
            let _ = Registry::sweep_data_dir(data, LONG).expect("sweep");
        }
        child.borrow_mut().try_wait().expect("wait").is_some()
    });
    let output = child.into_inner().wait_with_output().expect("its output");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.lines()
        .find_map(|line| Some(line.split_once(mark)?.1.trim().to_owned()))
}

fn no_strace() -> bool {
    let missing = !Path::new("/usr/bin/strace").exists();
    if missing {
        skip("strace is not installed");
    }
    missing
}

/// Asserts that all runs are swept and that no living process carries a cookie of one.
fn clean(data: &Path) {
    if !data.exists() {
        return;
    }
    let runs: Vec<RunId> = Registry::inspect(data)
        .expect("inspect")
        .iter()
        .map(|run| run.run_id)
        .collect();
    eventually(SOON, "all runs are swept", || {
        let report = Registry::sweep_data_dir(data, LONG).expect("sweep");
        report.runs.iter().all(|run| run.outcome == Outcome::Swept)
    });
    for run in runs {
        none_left(run, SOON);
    }
    assert!(Registry::inspect(data).expect("inspect").is_empty());
}

#[test]
fn row_7_host_killed_at_each_system_call_of_a_spawn() {
    if no_strace() {
        return;
    }
    let (_dir, data) = data_dir();
    let mut finished = 0;
    for calls in [
        "clone3,clone,vfork",
        "execve",
        "pwrite64",
        "fdatasync",
        "pidfd_open",
        "rename",
    ] {
        for turn in 1..6 {
            let inject = format!("{calls}:signal=SIGKILL:when={turn}");
            finished += usize::from(traced(&inject, "armed", &data, "@armed").is_some());
            clean(&data);
        }
    }
    assert!(
        finished < 25,
        "it was killed in most turns, not in {finished}"
    );
}

#[test]
fn row_35_single_writes_fail() {
    if no_strace() {
        return;
    }
    let (_dir, data) = data_dir();
    let mut failed = 0;
    for calls in ["pwrite64", "fdatasync"] {
        for turn in [1, 3, 4, 5, 6, 9, 14] {
            let inject = format!("{calls}:error=EIO:when={turn}");
            // An error while opening may end the subject.
            if let Some(answer) = traced(&inject, "io", &data, "@io") {
                let (errors, good) = answer.split_once(' ').expect("two words");
                assert_eq!(good, "true", "{inject}: {answer}");
                failed += errors.parse::<usize>().expect("a number");
            }
            clean(&data);
        }
    }
    assert!(failed > 4, "only {failed} writes failed");
}

#[test]
fn row_89_kernel_without_signals_for_pipes() {
    if no_strace() {
        return;
    }
    let (_dir, data) = data_dir();
    // Each call of fcntl fails in turn; one of them is the one that arms the pipe.
    let mut answers = Vec::new();
    for turn in 1..20 {
        let inject = format!("fcntl:error=EINVAL:when={turn}");
        answers.push(traced(&inject, "armed", &data, "@armed"));
        clean(&data);
    }
    assert!(answers.contains(&Some("false".to_owned())), "{answers:?}");
    assert_eq!(
        answers.last(),
        Some(&Some("true".to_owned())),
        "{answers:?}"
    );
}
