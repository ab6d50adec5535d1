//! Strict containment: descendants that leave their group are ended as well.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use snakepit_registry::{
    CommandSpec, Containment, Evidence, Exit, Output, Registration, Registry, RegistryConfig,
    Spawned, SweptRun,
};

use crate::host::Host;
use crate::support::{
    LONG, alive, close, daemoniser, data_dir, eventually, first_line, is_root, none_left, now, sh,
    signal, skip, start, tagged,
};

/// Returns the strict modes that work here; reports the reason for each that does not.
pub(crate) fn modes() -> Vec<Containment> {
    let strict = Containment::ALL.into_iter().filter(|mode| mode.is_strict());
    strict
        .filter(|mode| match mode.probe() {
            Ok(()) => true,
            Err(refusal) => {
                skip(&format!("{mode}: {refusal}"));
                false
            }
        })
        .collect()
}

pub(crate) fn open(path: &Path, mode: Containment) -> Registry {
    let mut config = RegistryConfig::new(path);
    config.containment = mode;
    // On a busy machine the default of one second is too short.
    config.confirm = LONG;
    Registry::open(config).expect("the mode works here")
}

/// Starts a worker whose daemon is up.
fn with_daemon(registry: &Registry) -> (Registration, Spawned) {
    let (child, mut spawned) = start(registry, "worker", &daemoniser());
    assert_eq!(first_line(spawned.stdout.take()), "up");
    // Shim, worker, daemon; in a namespace also the namespace's first process.
    assert!(tagged(registry.run_id()).len() >= 3, "{child:?}");
    (child, spawned)
}

pub(crate) fn pid(of: u32) -> i32 {
    i32::try_from(of).expect("a pid")
}

#[test]
fn row_05_a_daemon_is_gone_when_its_worker_is_stopped() {
    for mode in modes() {
        let (_dir, data) = data_dir();
        let registry = open(&data, mode);
        let (child, _) = with_daemon(&registry);
        let outcome = child.kill(LONG);
        assert_eq!(outcome.exit, Some(Exit::Signal(libc::SIGTERM)), "{mode}");
        assert_eq!(outcome.leftover, [] as [i32; 0], "{mode}");
        assert!(outcome.killed, "{mode}: the daemon did not end by itself");
        assert_eq!(tagged(registry.run_id()), [] as [i32; 0], "{mode}");
        child.release().expect("release");
        close(&registry);
    }
}

#[test]
fn row_05_a_daemon_is_gone_when_its_worker_ends() {
    for mode in modes() {
        let (_dir, data) = data_dir();
        let registry = open(&data, mode);
        let (child, spawned) = with_daemon(&registry);
        signal(pid(spawned.pid), libc::SIGTERM);
        eventually(LONG, "the end is seen", || child.try_wait().is_some());
        none_left(registry.run_id(), Duration::from_secs(2));
        child.release().expect("release");
        close(&registry);
    }
}

#[test]
fn row_05_a_daemon_is_gone_when_its_registration_is_dropped() {
    for mode in modes() {
        let (_dir, data) = data_dir();
        let registry = open(&data, mode);
        let (child, _) = with_daemon(&registry);
        drop(child);
        none_left(registry.run_id(), Duration::from_secs(2));
        eventually(LONG, "the row is gone", || {
            registry.list().expect("list").is_empty()
        });
        close(&registry);
    }
}

#[test]
fn row_05_a_daemon_is_gone_when_its_host_is_killed() {
    for mode in modes() {
        let (_dir, data) = data_dir();
        let mut host = Host::start(&format!("daemon/{mode}"), &data);
        assert!(tagged(host.run).len() >= 3, "{mode}");
        host.kill();
        let time = none_left(host.run, Duration::from_secs(2));
        eprintln!("{mode}: nothing is left {time:?} after the host");
    }
}

/// Returns the processes that have this argument.
fn with_argument(argument: &str) -> Vec<i32> {
    let all = fs::read_dir("/proc").expect("/proc").flatten();
    let pids = all.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter(|pid| {
        let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        line.split(|&byte| byte == 0)
            .any(|part| part == argument.as_bytes())
    })
    .collect()
}

/// A worker whose daemon has cleared its environment and so carries no cookie.
fn unmarked(time: &str) -> CommandSpec {
    let mut spec = sh(&format!(
        "setsid env -i sh -c 'sleep {time} >/dev/null & echo up'; exec sleep 600"
    ));
    spec.stdout = Output::Pipe;
    spec
}

#[test]
fn row_05_a_daemon_without_the_mark_is_gone_with_its_worker() {
    for mode in modes() {
        let (_dir, data) = data_dir();
        let registry = open(&data, mode);
        let time = format!("9{}", std::process::id());
        let (child, spawned) = start(&registry, "worker", &unmarked(&time));
        first_line(spawned.stdout);
        eventually(LONG, "it is there", || with_argument(&time).len() == 1);
        let outcome = child.release().expect("release");
        assert_eq!(outcome.leftover, [] as [i32; 0], "{mode}");
        assert_eq!(with_argument(&time), [] as [i32; 0], "{mode}");
        close(&registry);
    }
}

/// Returns the number of living processes in the control group of `pid`.
fn in_group_of(pid: i32) -> usize {
    let group = |pid: i32| fs::read_to_string(format!("/proc/{pid}/cgroup")).ok();
    let own = group(pid).expect("it lives");
    let all = fs::read_dir("/proc").expect("/proc").flatten();
    let pids = all.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter(|&one| alive(one) && group(one).as_ref() == Some(&own))
        .count()
}

#[test]
fn row_06_a_sweep_ends_a_control_group_by_its_name() {
    let mode = Containment::Cgroup;
    if !modes().contains(&mode) {
        return;
    }
    let (_dir, data) = data_dir();
    let mut host = Host::start(&format!("unmarked/{mode}"), &data);
    signal(host.pids[1], libc::SIGKILL);
    host.kill();
    let (worker, daemon) = (host.pids[0], host.pids[2]);
    eventually(LONG, "the worker is gone", || !alive(worker));
    // The shell that has started the daemon ends by itself.
    eventually(LONG, "the daemon is alone", || in_group_of(daemon) == 1);
    assert!(alive(daemon), "it is out of reach of all but the sweep");
    let next = crate::support::open(&data);
    let report = next.sweep().expect("sweep");
    let killed: Vec<_> = report.runs[0].killed.iter().collect();
    assert_eq!(killed.len(), 1, "{report:?}");
    assert_eq!(killed[0].evidence, Evidence::Cgroup);
    assert_eq!(killed[0].worker_id.as_deref(), Some("worker"));
    assert!(!alive(daemon) && report.runs[0].ended(), "{report:?}");
    close(&next);
}

#[test]
fn row_07_a_host_is_killed_while_it_starts_workers() {
    for mode in modes() {
        for turn in 0..8 {
            let (_dir, data) = data_dir();
            let mut host = Host::start(&format!("churn/{mode}"), &data);
            eventually(LONG, "some are born", || tagged(host.run).len() > turn);
            host.kill();
            none_left(host.run, Duration::from_secs(2));
            let next = crate::support::open(&data);
            let report = next.sweep().expect("sweep");
            assert!(
                report.runs.iter().all(SweptRun::ended),
                "{mode}: {report:?}"
            );
            assert!(!cgroups().contains(&host.run.to_string()), "{mode}");
            close(&next);
        }
    }
}

/// Returns the names of the control groups beside ours.
fn cgroups() -> String {
    ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"]
        .iter()
        .flat_map(|root| fs::read_dir(root).into_iter().flatten().flatten())
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect::<Vec<_>>()
        .join(" ")
}

#[test]
fn row_06_host_and_shim_are_killed_together() {
    for mode in modes() {
        let (_dir, data) = data_dir();
        let mut host = Host::start(&format!("daemon/{mode}"), &data);
        signal(host.pids[1], libc::SIGKILL);
        host.kill();
        if mode == Containment::PidNamespace {
            let time = none_left(host.run, Duration::from_millis(500));
            eprintln!("{mode}: nothing is left {time:?} after both");
        } else {
            let worker = host.pids[0];
            eventually(LONG, "the worker is gone", || !alive(worker));
            // The shell that started the daemon ends by itself.
            eventually(LONG, "only the daemon is left", || {
                tagged(host.run).len() == 1
            });
        }
        let next = crate::support::open(&data);
        let report = next.sweep().expect("sweep");
        assert_eq!(tagged(host.run), [] as [i32; 0], "{mode}: {report:?}");
        assert_eq!(report.runs.len(), 1);
        assert!(report.runs[0].ended(), "{report:?}");
        close(&next);
    }
}

#[test]
fn row_06_a_stopped_shim_wakes_up_when_its_host_is_killed() {
    for mode in modes() {
        let (_dir, data) = data_dir();
        let mut host = Host::start(&format!("daemon/{mode}"), &data);
        signal(host.pids[1], libc::SIGSTOP);
        host.kill();
        none_left(host.run, Duration::from_secs(2));
    }
}

#[test]
fn row_06_a_shim_is_killed_alone() {
    for mode in modes() {
        let (_dir, data) = data_dir();
        let registry = open(&data, mode);
        let (child, _) = with_daemon(&registry);
        signal(pid(child.shim_pid().expect("a shim")), libc::SIGKILL);
        assert_eq!(child.wait(LONG), Some(Exit::Unknown), "{mode}");
        let outcome = child.release().expect("release");
        assert_eq!(outcome.leftover, [] as [i32; 0], "{mode}");
        none_left(registry.run_id(), Duration::from_secs(1));
        close(&registry);
    }
}

/// A process tree: every process forks twice and stays, to a depth of 6, and one branch leaves
/// group and session.
const TREE: &str = "f() { if [ $1 -gt 0 ]; then f $(($1 - 1)) & f $(($1 - 1)) & fi; sleep 600; }
echo up; f 6 & setsid sh -c 'while :; do sleep 600 & sleep 0.001; done' & sleep 600";
/// A process that changes its id all the time: it forks and ends, again and again.
const COMET: &str = "
import os
print('up', flush=True)
if os.fork() == 0:
    os.setsid()
    while True:
        if os.fork():
            os._exit(0)
import time
time.sleep(600)";

fn python() -> Option<PathBuf> {
    let found = ["/usr/bin/python3", "/usr/local/bin/python3"].map(PathBuf::from);
    found.into_iter().find(|path| path.exists())
}

#[test]
fn row_62_a_fork_bomb_leaves_nothing() {
    let mut tree = sh(TREE);
    tree.stdout = Output::Pipe;
    for mode in modes() {
        let (_dir, data) = data_dir();
        let registry = open(&data, mode);
        let (child, spawned) = start(&registry, "bomb", &tree);
        first_line(spawned.stdout);
        eventually(LONG, "it has grown", || {
            tagged(registry.run_id()).len() > 200
        });
        let begun = now();
        let outcome = child.kill(Duration::ZERO);
        eprintln!("{mode}: a fork bomb is gone after {:?}", begun.elapsed());
        assert_eq!(outcome.leftover, [] as [i32; 0], "{mode}");
        assert_eq!(tagged(registry.run_id()), [] as [i32; 0], "{mode}");
        child.release().expect("release");
        close(&registry);
    }
}

#[test]
fn row_62_a_process_that_always_forks_and_ends_is_caught() {
    let Some(python) = python() else {
        skip("there is no python3");
        return;
    };
    let mut comet = CommandSpec::new(python).arg("-c").arg(COMET);
    comet.stderr = Output::Null;
    for mode in modes() {
        let (_dir, data) = data_dir();
        let registry = open(&data, mode);
        let (child, spawned) = start(&registry, "comet", &comet);
        first_line(spawned.stdout);
        let begun = now();
        let outcome = child.kill(Duration::ZERO);
        eprintln!("{mode}: a comet is gone after {:?}", begun.elapsed());
        assert_eq!(outcome.leftover, [] as [i32; 0], "{mode}");
        assert_eq!(tagged(registry.run_id()), [] as [i32; 0], "{mode}");
        child.release().expect("release");
        close(&registry);
    }
}

#[test]
fn row_05_a_namespace_needs_no_privileges() {
    if !is_root() || Containment::PidNamespace.probe().is_err() {
        skip("it becomes another user, which needs root, and namespaces");
        return;
    }
    let (dir, data) = data_dir();
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).expect("chmod");
    fs::create_dir(&data).expect("mkdir");
    let user = 61_236;
    std::os::unix::fs::chown(&data, Some(user), Some(user)).expect("chown");
    let id = format!("--reuid={user}");
    let wrapper = ["setpriv", &id, "--clear-groups"];
    let mut host = Host::wrapped(&wrapper, "daemon/pid_namespace", &data);
    assert!(tagged(host.run).len() >= 3);
    host.kill();
    none_left(host.run, Duration::from_secs(2));
}
