//! Shared helpers: waiting for conditions, finding the remains of a run.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use snakepit_registry::{
    CommandSpec, HostTable, Output, ProcessTable, Registration, Registry, RegistryConfig, RunId,
    Spawned,
};
use tempfile::TempDir;

/// Time limit that suffices on a busy machine. A passing test never waits that long.
pub(crate) const LONG: Duration = Duration::from_secs(60);

#[expect(clippy::disallowed_methods, reason = "these tests are about real time")]
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// Returns `true` if no more than `limit` has passed since `start`. A busy machine delays
/// everything: the limit grows by the time that ten programs take now, one after the other.
pub(crate) fn in_time(start: Instant, limit: Duration) -> bool {
    let took = start.elapsed();
    took < limit || {
        let begin = now();
        for _ in 0..10 {
            let ended = std::process::Command::new("true").status();
            assert!(ended.expect("a program that does nothing").success());
        }
        took < limit + begin.elapsed()
    }
}

/// Waits until a condition holds and returns how long it took.
#[track_caller]
pub(crate) fn eventually(limit: Duration, what: &str, condition: impl Fn() -> bool) -> Duration {
    let start = now();
    while !condition() {
        assert!(in_time(start, limit), "not within {limit:?}: {what}");
        // polls: what the caller waits for, mostly processes that are not our children
        std::thread::sleep(Duration::from_micros(500));
    }
    start.elapsed()
}

/// Returns a temporary directory and the path of a data directory in it.
pub(crate) fn data_dir() -> (TempDir, PathBuf) {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let path = dir.path().join("d");
    (dir, path)
}

pub(crate) fn open(path: &Path) -> Registry {
    let mut config = RegistryConfig::new(path);
    // On a busy machine the default of one second is too short.
    config.confirm = LONG;
    Registry::open(config).expect("the directory is usable")
}

/// `/bin/sh -c script`, without outputs.
pub(crate) fn sh(script: &str) -> CommandSpec {
    CommandSpec::new("/bin/sh")
        .arg("-c")
        .arg(script)
        .env("PATH", "/usr/bin:/bin")
        .output(Output::Null)
}

pub(crate) fn sleeper() -> CommandSpec {
    CommandSpec::new("/bin/sleep")
        .arg("600")
        .output(Output::Null)
}

/// A worker that starts a daemon, which leaves group and session and loses its parents. The first
/// line of the output shows that the daemon is up.
pub(crate) fn daemoniser() -> CommandSpec {
    let mut spec =
        sh("setsid sh -c 'sh -c \"echo up; exec sleep 601 >/dev/null\" &'; exec sleep 600");
    spec.stdout = Output::Pipe;
    spec
}

/// Returns the first line of a child's output.
pub(crate) fn first_line(output: Option<std::os::fd::OwnedFd>) -> String {
    let output = std::fs::File::from(output.expect("piped"));
    let mut line = String::new();
    let read = std::io::BufRead::read_line(&mut std::io::BufReader::new(output), &mut line);
    assert_ne!(read.expect("its output"), 0, "it says something");
    line.trim().to_owned()
}

#[track_caller]
pub(crate) fn start(registry: &Registry, id: &str, spec: &CommandSpec) -> (Registration, Spawned) {
    let reservation = registry.reserve(id).expect("reserve");
    registry.spawner().spawn(reservation, spec).expect("spawn")
}

/// Returns the living processes that carry a cookie or a stamp of the run.
pub(crate) fn tagged(run: RunId) -> Vec<i32> {
    let all = HostTable.tagged().expect("/proc is readable");
    let ours = |cookies: &[snakepit_registry::Cookie]| cookies.iter().any(|c| c.run() == run);
    all.into_iter()
        .filter(|one| ours(&one.cookies) || one.stamp.is_some_and(|stamp| stamp.is_of(run)))
        .map(|one| one.pid)
        .collect()
}

/// Asserts that no process of the run lives.
#[track_caller]
pub(crate) fn none_left(run: RunId, limit: Duration) -> Duration {
    eventually(
        limit,
        &format!("processes of {run} left: {:?}", tagged(run)),
        || tagged(run).is_empty(),
    )
}

/// Asserts that no process of the run lives except for `copy`, a copy of its host that carries the
/// host's own marks.
#[track_caller]
pub(crate) fn none_left_but(run: RunId, copy: i32, limit: Duration) {
    let others = || tagged(run).into_iter().filter(|&pid| pid != copy);
    eventually(limit, "processes of the run are left", || {
        others().count() == 0
    });
}

/// Closes a registry and asserts that no process of its run is left.
#[track_caller]
pub(crate) fn close(registry: &Registry) {
    let run = registry.run_id();
    let sockets = registry.socket_dir();
    let report = registry.close().expect("close");
    assert_eq!(report.leftover, Vec::<i32>::new());
    none_left(run, Duration::from_secs(1));
    assert!(!sockets.exists(), "the run directory is removed");
}

pub(crate) fn state(pid: i32) -> Option<char> {
    let text = std::fs::read(format!("/proc/{pid}/stat")).ok()?;
    snakepit_registry::Stat::parse(&text).map(|stat| stat.state)
}

pub(crate) fn alive(pid: i32) -> bool {
    state(pid).is_some_and(|state| !matches!(state, 'Z' | 'X'))
}

pub(crate) fn signal(pid: i32, signal: i32) {
    let held = snakepit_registry::PidFd::open(pid)
        .expect("pidfd")
        .expect("the process lives");
    held.signal(snakepit_registry::Scope::Process, signal)
        .expect("signal");
}

pub(crate) fn is_root() -> bool {
    nix::unistd::geteuid().is_root()
}

/// Reports the reason a test does nothing here, and adds it to the table of faults if one is made.
#[expect(
    clippy::print_stderr,
    reason = "the reason is for whoever runs the tests"
)]
pub(crate) fn skip(why: &str) {
    eprintln!("skipped: {why}");
    let test = std::thread::current();
    let (Some(dir), Some(name)) = (std::env::var_os("FAULTS_OUT"), test.name()) else {
        return;
    };
    // A reason that cannot be written is missing from the table; that is all.
    let _ = std::fs::create_dir_all(&dir);
    let file = format!("skipped-{}.txt", name.replace("::", "."));
    let _ = std::fs::write(Path::new(&dir).join(file), why);
}
