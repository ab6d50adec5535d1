//! Processes that have cleared their environment and left their group, session and parents: the
//! stamp finds them.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::time::Duration;

use snakepit_registry::{
    CommandSpec, Containment, Evidence, Exit, Outcome, Output, Reach, Reason, Registry, RunState,
    Stamp, SweepReport,
};

use crate::host::{Host, park, say_ready};
use crate::strict::{modes, open as open_strict, pid};
use crate::support::{
    LONG, alive, close, data_dir, eventually, first_line, none_left, open, sh, signal, start,
    tagged,
};

const SOON: Duration = Duration::from_millis(500);

/// A worker that prints the process id of a daemon without an environment.
fn cleared() -> CommandSpec {
    let mut spec = sh("setsid env -i sh -c 'sleep 601 >/dev/null & echo $!'; exec sleep 600");
    spec.stdout = Output::Pipe;
    spec
}

/// The scenarios of a host whose worker has daemons without an environment.
pub(crate) fn host(registry: &Registry, scenario: &str) -> ! {
    let mut spec = cleared();
    spec.dependent = scenario != "cleared_independent";
    let beside = scenario == "cleared_beside_escapee";
    if beside {
        spec = sh("setsid env -i sh -c 'sleep 601 >/dev/null & echo $!'; \
             setsid sh -c 'echo $$; exec sleep 602' & exec sleep 600");
        spec.stdout = Output::Pipe;
    }
    let (child, spawned) = start(registry, "parent", &spec);
    child.ready().expect("ready");
    let output = fs::File::from(spawned.stdout.expect("piped"));
    let output = BufReader::new(output).lines().take(1 + usize::from(beside));
    let pids = output.map(|line| line.expect("its output").trim().parse().expect("a pid"));
    let pids: Vec<u32> = pids.chain([spawned.pid]).collect();
    say_ready(registry, &pids);
    park()
}

/// Waits until the daemon's parent has ended by itself, so that `left` processes remain, and
/// asserts that the daemon's environment carries none of our variables.
fn is_alone(host: &Host, daemon: i32, left: usize) {
    eventually(LONG, "it has lost its parent", || {
        tagged(host.run).len() == left
    });
    let environment = fs::read(format!("/proc/{daemon}/environ")).expect("it lives");
    // The shell sets variables of its own, such as its directory.
    assert!(!environment.windows(9).any(|part| part == b"SNAKEPIT_"));
}

#[test]
fn row_05_what_cleared_its_environment_dies_in_the_next_hosts_sweep() {
    let (_dir, data) = data_dir();
    let mut host = Host::start("cleared", &data);
    let [daemon, worker] = host.pids[..] else {
        panic!("two pids")
    };
    is_alone(&host, daemon, 2);
    // While the host lives, a sweep does not touch its processes.
    let other = open(&data);
    let report = other.sweep().expect("sweep");
    assert_eq!(report.runs[0].outcome, Outcome::Alive, "{report:?}");
    host.kill();
    eventually(SOON, "the worker is gone", || !alive(worker));
    assert!(alive(daemon), "it is out of reach of the death pipe");
    let seen = Registry::inspect(&data).expect("inspect");
    let seen = seen.iter().find(|run| run.run_id == host.run);
    let seen = &seen.expect("it is listed").would_kill;
    assert_eq!(seen.len(), 1, "{seen:?}");
    assert_eq!((seen[0].pid, seen[0].evidence), (daemon, Evidence::Stamp));
    assert_eq!(seen[0].worker_id.as_deref(), Some("parent"));

    let report = other.sweep().expect("sweep");
    assert_eq!(report.runs[0].killed[0].pid, daemon, "{report:?}");
    assert_eq!(report.runs[0].outcome, Outcome::Swept, "{report:?}");
    assert!(!alive(daemon));
    close(&other);
}

#[test]
fn row_05_what_cleared_its_environment_is_gone_when_its_registry_is_closed() {
    for mode in [Containment::Group].into_iter().chain(modes()) {
        let (_dir, data) = data_dir();
        let registry = open_strict(&data, mode);
        let others = open(&data);
        let (stranger, spawned) = start(&others, "stranger", &cleared());
        let strangers: i32 = first_line(spawned.stdout).parse().expect("a pid");
        let (child, spawned) = start(&registry, "worker", &cleared());
        let daemon: i32 = first_line(spawned.stdout).parse().expect("a pid");
        let left = || tagged(registry.run_id()).len();
        // In a namespace the daemon has another process id.
        let grouped = mode == Containment::Group;
        if grouped {
            eventually(LONG, "it has lost its parent", || left() == 2);
        }
        assert!(left() >= 2, "{mode}");
        child.release().expect("release");
        assert_eq!(left(), usize::from(grouped), "{mode}");
        let report = registry.close().expect("close");
        assert_eq!(report.leftover, [] as [i32; 0], "{mode}");
        let expected = if grouped { vec![daemon] } else { vec![] };
        assert_eq!(report.killed, expected, "{mode}");
        none_left(registry.run_id(), SOON);
        assert!(alive(strangers), "{mode}: another run's");
        stranger.release().expect("release");
        close(&others);
        assert!(!alive(strangers));
    }
}

#[test]
fn row_06_a_shim_is_killed_alone_and_its_daemon_has_cleared_its_environment() {
    for mode in modes() {
        let (_dir, data) = data_dir();
        let registry = open_strict(&data, mode);
        let (child, spawned) = start(&registry, "worker", &cleared());
        first_line(spawned.stdout);
        signal(pid(child.shim_pid().expect("a shim")), libc::SIGKILL);
        assert_eq!(child.wait(LONG), Some(Exit::Unknown), "{mode}");
        let outcome = child.release().expect("release");
        assert_eq!(outcome.leftover, [] as [i32; 0], "{mode}");
        none_left(registry.run_id(), Duration::from_secs(1));
        close(&registry);
    }
}

#[test]
fn what_descends_from_an_independent_worker_lives_as_long_as_a_person_wants() {
    let (_dir, data) = data_dir();
    let mut host = Host::start("cleared_independent", &data);
    let [daemon, worker] = host.pids[..] else {
        panic!("two pids")
    };
    is_alone(&host, daemon, 2);
    host.kill();
    let report = Registry::sweep_data_dir(&data, LONG).expect("sweep");
    let left = &report.runs[0].left;
    let daemons = left.iter().find(|one| one.pid == daemon);
    assert_eq!(
        daemons.map(|one| one.reason),
        Some(Reason::Independent),
        "{report:?}"
    );
    let report = Registry::end_orphans(&data, LONG, Reach::Leftovers).expect("sweep");
    assert_eq!(report.killed(), 0, "its worker lives: {report:?}");
    signal(worker, libc::SIGKILL);
    eventually(LONG, "its worker is gone", || !alive(worker));
    let report = Registry::end_orphans(&data, LONG, Reach::Leftovers).expect("sweep");
    assert_eq!(report.runs[0].killed[0].pid, daemon, "{report:?}");
    assert!(!alive(daemon));
}

/// Runs a host whose data directory is removed immediately before the host is killed, so that it
/// cannot restore anything.
fn killed_without_files(remove: impl Fn(&Path)) {
    let (dir, data) = data_dir();
    let mut host = Host::start("cleared_beside_escapee", &data);
    let [daemon, escapee, worker] = host.pids[..] else {
        panic!("three pids")
    };
    is_alone(&host, daemon, 3);
    signal(host.pid(), libc::SIGSTOP);
    remove(&data);
    let other = open(&data);
    let elsewhere = open(&dir.path().join("e"));
    let runs = |report: SweepReport| report.runs.len();
    assert_eq!(runs(other.sweep().expect("sweep")), 0, "the host lives");
    host.kill();
    eventually(SOON, "the worker is gone", || !alive(worker));
    assert_eq!(runs(elsewhere.sweep().expect("sweep")), 0, "not its own");
    assert!(alive(daemon) && alive(escapee));
    let seen = Registry::inspect(&data).expect("inspect");
    let seen = seen.iter().find(|run| run.run_id == host.run);
    let seen = seen.expect("it is listed");
    assert_eq!(seen.state, RunState::Dead);
    assert_eq!(seen.would_kill.len(), 2, "{seen:?}");
    let report = other.sweep().expect("sweep");
    assert_eq!(report.runs[0].run_id, host.run, "{report:?}");
    assert_eq!(report.killed(), 2, "{report:?}");
    assert!(!alive(daemon) && !alive(escapee));
    assert_eq!(runs(other.sweep().expect("sweep")), 0);
    close(&other);
    close(&elsewhere);
}

#[test]
fn row_92_the_directory_of_all_runs_is_removed_and_the_host_killed_at_once() {
    killed_without_files(|data| fs::remove_dir_all(data.join("runs")).expect("remove"));
    killed_without_files(|data| fs::remove_dir_all(data).expect("remove"));
}

#[test]
fn a_worker_is_stamped_before_it_is_recorded() {
    let (_dir, data) = data_dir();
    let registry = open(&data);
    for (number, mode) in [Containment::Group].into_iter().chain(modes()).enumerate() {
        let spec = crate::support::sleeper().containment(mode);
        let (child, spawned) = start(&registry, &format!("w{number}"), &spec);
        let record = registry.list().expect("list").pop().expect("a row");
        let limits = fs::read(format!("/proc/{}/limits", spawned.pid)).expect("it lives");
        let stamp = Stamp::parse_limits(&limits);
        let stamp = stamp.unwrap_or_else(|| panic!("{mode}: {}", String::from_utf8_lossy(&limits)));
        assert_eq!(stamp, Stamp::of(record.cookie), "{mode}");
        assert!(stamp.is_of(registry.run_id()) && stamp.dependent());
        child.release().expect("release");
    }
    close(&registry);
}

#[test]
fn signals_that_ask_a_process_to_end_are_held_back_where_that_is_wanted() {
    let (_dir, data) = data_dir();
    let registry = open(&data);
    let held = [libc::SIGTERM, libc::SIGINT, libc::SIGHUP];
    let held = held.iter().fold(0_u64, |mask, one| mask | 1 << (one - 1));
    for (number, mode) in [Containment::Group].into_iter().chain(modes()).enumerate() {
        for (hold, expected) in [(true, held), (false, 0)] {
            let mut spec = crate::support::sleeper().containment(mode);
            spec.hold_signals = hold;
            let (child, spawned) = start(&registry, &format!("w{number}{hold}"), &spec);
            let status = fs::read_to_string(format!("/proc/{}/status", spawned.pid));
            let status = status.expect("it lives");
            let line = status.lines().find_map(|line| line.strip_prefix("SigBlk:"));
            let blocked = u64::from_str_radix(line.expect("the line").trim(), 16);
            assert_eq!(blocked, Ok(expected), "{mode}");
            child.release().expect("release");
        }
    }
    close(&registry);
}
