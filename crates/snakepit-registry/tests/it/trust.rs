//! Data directories that an attacker has prepared: their contents are not trusted, no file outside
//! is touched, no operation blocks, and intact runs beside a bad one still count.
#![expect(
    clippy::print_stdout,
    reason = "a helper answers on its standard output"
)]

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use nix::sys::stat::Mode;
use snakepit_registry::{
    Change, Cookie, Error, Observation, Outcome, PidFd, ProcessState, Reach, Record, Registry,
    RegistryConfig, RunId, RunState, Store, StoreSize,
};

use crate::host::Host;
use crate::roles::Helper;
use crate::support::{alive, close, data_dir, in_time, is_root, none_left, now, open, skip};

const BUDGET: Duration = Duration::from_secs(3);
/// Another user, who owns what an attacker has prepared, or who is attacked.
const NOBODY: u32 = 65534;
const AS_NOBODY: [&str; 4] = [
    "setpriv",
    "--reuid=65534",
    "--regid=65534",
    "--clear-groups",
];

/// Runs every operation of a host and its tools on a data directory.
pub(crate) fn operations(data: &Path) {
    let start = now();
    let code = |result: Result<(), Error>| result.map_or_else(|e| e.code(), |()| "fine");
    let inspected = Registry::inspect(data).map(drop);
    let swept = Registry::sweep_data_dir(data, BUDGET).map(drop);
    let killed = Registry::end_orphans(data, BUDGET, Reach::Independent).map(drop);
    let started = Registry::open(RegistryConfig::new(data)).and_then(|registry| {
        let swept = registry.sweep().map(drop);
        let _ = registry.close()?;
        swept
    });
    let codes = [inspected, swept, killed, started].map(code);
    println!("@codes {} {}", codes.join(" "), start.elapsed().as_millis());
}

/// Returns the codes of all operations in order, and asserts that they ended in time.
fn codes(wrapper: &[&str], data: &Path) -> Option<Vec<String>> {
    let answer = Helper::start(wrapper, "operations", data).answer("@codes ")?;
    let mut words: Vec<String> = answer.split(' ').map(str::to_owned).collect();
    let took: u64 = words.pop().expect("a number").parse().expect("a number");
    assert!(took < 3000, "{took} ms");
    Some(words)
}

/// Returns the names and the bytes of all files in a directory.
fn contents(dir: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).expect("read").flatten() {
        let path = entry.path();
        if entry.file_type().expect("a kind").is_dir() {
            found.push((path.clone(), Vec::new()));
            found.extend(contents(&path));
        } else {
            found.push((path.clone(), fs::read(&path).unwrap_or_default()));
        }
    }
    found.sort();
    found
}

/// Creates a dead run with a living process that carries its mark. Returns its host and directory.
fn dead_run(data: &Path) -> (Host, PathBuf) {
    let mut host = Host::start("escapee", data);
    host.kill_but_escapee();
    let run = data.join("runs").join(host.run.to_string());
    (host, run)
}

fn fifo(path: &Path) {
    nix::unistd::mkfifo(path, Mode::S_IRWXU).expect("mkfifo");
}

/// Creates a bad run beside a good one. Asserts that the bad one is reported and left as it is, and
/// that the good one is swept.
fn bad_run(what: &str, spoil: impl Fn(&Path, &Path)) {
    let (dir, data) = data_dir();
    let outside = dir.path().join("outside");
    fs::create_dir(&outside).expect("mkdir");
    fs::write(outside.join("precious"), "precious").expect("write");
    let (good, _) = dead_run(&data);
    let (bad, run) = dead_run(&data);
    spoil(&run, &outside);
    let before = contents(&outside);
    let start = now();
    let seen = Registry::inspect(&data).expect("inspect");
    let states: Vec<_> = seen
        .iter()
        .map(|one| (one.run_id == bad.run, one.state))
        .collect();
    assert!(
        states.contains(&(true, RunState::Untrusted)),
        "{what}: {seen:?}"
    );
    assert!(
        states.contains(&(false, RunState::Dead)),
        "{what}: {seen:?}"
    );
    let report = Registry::sweep_data_dir(&data, BUDGET).expect("sweep");
    for one in &report.runs {
        let expected = if one.run_id == bad.run {
            Outcome::Kept
        } else {
            Outcome::Swept
        };
        assert_eq!(one.outcome, expected, "{what}: {report:?}");
        assert_eq!(
            one.problem.is_some(),
            one.run_id == bad.run,
            "{what}: {report:?}"
        );
    }
    assert!(in_time(start, BUDGET), "{what}: {:?}", start.elapsed());
    none_left(good.run, Duration::from_millis(500));
    assert!(alive(bad.pids[0]), "{what}: nothing of it counts");
    assert_eq!(contents(&outside), before, "{what}");
    let registry = open(&data);
    assert!(registry.sweep().is_ok(), "{what}: a host starts beside it");
    close(&registry);
    crate::support::signal(bad.pids[0], libc::SIGKILL);
}

#[test]
fn row_94_files_that_are_no_files_of_ours() {
    for name in ["lock", "meta.json", "db/data.mdb"] {
        bad_run(&format!("{name} is a link"), |run, outside| {
            let path = run.join(name);
            fs::rename(&path, outside.join("moved")).expect("rename");
            symlink(outside.join("moved"), &path).expect("symlink");
        });
        bad_run(&format!("{name} is a pipe"), |run, _| {
            fs::remove_file(run.join(name)).expect("remove");
            fifo(&run.join(name));
        });
        bad_run(&format!("{name} may be written by all"), |run, _| {
            let open = Permissions::from_mode(0o666);
            fs::set_permissions(run.join(name), open).expect("chmod");
        });
    }
    bad_run("the words are endless", |run, _| {
        let file = fs::File::create(run.join("meta.json")).expect("create");
        file.set_len(1 << 40).expect("truncate");
    });
    bad_run("the database is a link", |run, outside| {
        fs::rename(run.join("db"), outside.join("db")).expect("rename");
        symlink(outside.join("db"), run.join("db")).expect("symlink");
    });
    bad_run("the run is a link", |run, outside| {
        fs::rename(run, outside.join("run")).expect("rename");
        symlink(outside.join("run"), run).expect("symlink");
    });
    bad_run("the run may be written by its group", |run, _| {
        fs::set_permissions(run, Permissions::from_mode(0o770)).expect("chmod");
    });
}

#[test]
fn row_94_a_lock_of_sweepers_that_is_a_pipe() {
    let (_dir, data) = data_dir();
    let registry = open(&data);
    fifo(&data.join("sweep.lock"));
    let error = registry.sweep().expect_err("it is no lock");
    assert_eq!(error.code(), "SP6012");
    close(&registry);
}

#[test]
fn row_94_what_another_user_has_prepared() {
    if !is_root() {
        return skip("only root can give files away");
    }
    for name in [
        "",
        "runs",
        "quarantine",
        "sweep.lock",
        "run",
        "run/meta.json",
        "run/db/data.mdb",
    ] {
        let (_dir, data) = data_dir();
        let (host, run) = dead_run(&data);
        if name == "sweep.lock" {
            fs::write(data.join(name), "").expect("write");
        }
        let path = match name.strip_prefix("run/") {
            Some(name) => run.join(name),
            None if name == "run" => run.clone(),
            None => data.join(name),
        };
        chown(&path, Some(NOBODY), Some(NOBODY)).expect("chown");
        let before = contents(&data);
        let codes = codes(&[], &data).expect("they end");
        let expected = match name {
            "" | "runs" => ["SP6001"; 4],
            "quarantine" => ["fine", "fine", "fine", "SP6001"],
            "sweep.lock" => ["fine", "SP6012", "SP6012", "SP6012"],
            _ => ["fine"; 4],
        };
        assert_eq!(codes, expected, "{name}");
        if name != "quarantine" {
            let mut after = contents(&data);
            after.retain(|(path, _)| !path.ends_with("sweep.lock") || name == "sweep.lock");
            assert_eq!(after, before, "{name}");
            assert!(alive(host.pids[0]), "{name}: nobody was signalled");
            crate::support::signal(host.pids[0], libc::SIGKILL);
        }
        none_left(host.run, BUDGET);
    }
}

#[test]
fn row_94_another_user_against_what_root_has() {
    if !is_root() {
        return skip("only root can become another user");
    }
    let (dir, data) = data_dir();
    fs::set_permissions(dir.path(), Permissions::from_mode(0o755)).expect("chmod");
    let (host, _) = dead_run(&data);
    for mode in [0o700, 0o755] {
        fs::set_permissions(&data, Permissions::from_mode(mode)).expect("chmod");
        let before = contents(&data);
        let Some(codes) = codes(&AS_NOBODY, &data) else {
            return skip("another user may not run this binary");
        };
        assert_eq!(codes, ["SP6001"; 4], "{mode:o}");
        assert_eq!(contents(&data), before);
    }
    assert!(alive(host.pids[0]));
    let report = Registry::sweep_data_dir(&data, BUDGET).expect("sweep");
    assert_eq!(report.runs[0].outcome, Outcome::Swept, "{report:?}");
    none_left(host.run, Duration::from_millis(500));
}

/// A row in a dead run of ours names a process of another program with all its numbers, and a
/// directory that is no control group.
#[test]
fn row_94_a_row_that_names_a_stranger() {
    let (dir, data) = data_dir();
    let (host, run) = dead_run(&data);
    let mut stranger = Command::new("/bin/sleep")
        .arg("600")
        .stdin(Stdio::null())
        .spawn()
        .expect("it starts");
    let pid = stranger.id().cast_signed();
    let held = PidFd::open(pid).expect("pidfd").expect("it lives");
    let seen = Observation::of(&held).expect("/proc").expect("it lives");
    let name = format!("snakepit-{}-1", host.run);
    let false_group = dir.path().join(&name);
    fs::create_dir(&false_group).expect("mkdir");
    fs::write(false_group.join("cgroup.procs"), "").expect("write");
    fs::write(false_group.join("cgroup.kill"), "0").expect("write");
    let record = |worker_id: &str, cgroup| Record {
        worker_id: worker_id.to_owned(),
        generation: 1,
        state: ProcessState::Ready,
        cookie: Cookie::random(host.run, true).expect("randomness"),
        armed: true,
        identity: Some(seen.identity.clone()),
        shim: None,
        cgroup: Some(cgroup),
    };
    fs::remove_dir_all(run.join("db")).expect("remove");
    fs::create_dir(run.join("db")).expect("mkdir");
    let mut store = Store::open(&run.join("db"), StoreSize::default()).expect("open");
    let rows = [
        record("one", false_group.clone()),
        record("two", PathBuf::from("/tmp")),
    ];
    let changes: Vec<_> = rows
        .into_iter()
        .map(|row| Change::Put(Box::new(row)))
        .collect();
    store.apply(&changes).expect("apply");
    drop(store);
    let before = contents(&false_group);
    let report = Registry::sweep_data_dir(&data, BUDGET).expect("sweep");
    let killed: Vec<_> = report.runs[0].killed.iter().map(|one| one.pid).collect();
    assert_eq!(killed, [host.pids[0]], "{report:?}");
    assert!(alive(pid), "the stranger was not signalled");
    assert_eq!(contents(&false_group), before);
    stranger.kill().expect("kill");
    stranger.wait().expect("wait");
}

#[test]
fn a_worker_id_with_control_characters_is_no_record() {
    let record = Record {
        worker_id: "one\u{1b}[2J".to_owned(),
        generation: 1,
        state: ProcessState::Ready,
        cookie: Cookie::random(RunId::random().expect("randomness"), true).expect("randomness"),
        armed: true,
        identity: None,
        shim: None,
        cgroup: None,
    };
    assert!(Record::decode(&record.encode()).is_err());
}
