//! Data directories of other users: the program rejects them, and touches nothing in or behind
//! them.
//!
//! The program also ends soon. On an idle machine each command takes less than 0.2 s, and `doctor`
//! up to a second more, since it waits for the end of an orphan. A busy machine can stretch any
//! time, so the assertions do not depend on the load: they bound the CPU time of the command and of
//! its children, and check that it waits for no other process. For that, there is a pipe without a
//! writer in the place of every file, and other processes hold the locks; a command that waited for
//! one of them would never end.

use std::fs::{self, DirBuilder, File, Permissions};
use std::io::{Read as _, Seek as _};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use nix::fcntl::{Flock, FlockArg};
use nix::sys::signal::{Signal, kill};
use nix::sys::stat::Mode;
use nix::sys::wait::{Id, WaitPidFlag, waitid};
use nix::unistd::{Pid, SysconfVar, mkfifo, sysconf};
use snakepit_registry::RunId;

use crate::cli_support::{Run, command};
use crate::support::{alive, file, holds};

const NOBODY: u32 = 65534;

/// Maximum CPU time of one command, including its children.
const WORK: Duration = Duration::from_secs(3);

/// Runs that another user has planted.
const PLANTED: [&str; 3] = [
    "runs/276d06dsnkt80japaz917gbtx1",
    "runs/276d06dsnkt80japaz917gbtx2",
    "runs/.tmp-276d06dsnkt80japaz917gbtx3",
];

/// A tool whose child leaves its group and session, and so outlives the host.
const TOOLS: &str = "
import os, subprocess
from snakepit_bridge import tool

@tool
def has_an_escaped_child() -> None:
    child = subprocess.Popen(['sleep', '3600'], start_new_session=True)
    with open('pids.tmp', 'w') as file:
        file.write(f'{os.getpid()} {child.pid}')
    os.rename('pids.tmp', 'pids')
    child.wait()
";

/// A data directory with the run of a dead host and an orphan of that run.
struct Scene {
    dir: tempfile::TempDir,
    orphan: u32,
}

impl Scene {
    async fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        for name in ["", "home", "outside"] {
            let path = dir.path().join(name);
            fs::create_dir_all(&path).unwrap();
            fs::set_permissions(path, Permissions::from_mode(0o755)).unwrap();
        }
        fs::write(dir.path().join("outside/precious"), "precious").unwrap();
        fs::write(dir.path().join("tools.py"), TOOLS).unwrap();
        let mut host = command(dir.path())
            .env("SNAKEPIT_DATA_DIR", dir.path().join("home/data"))
            .args(["call", "tools.py:has_an_escaped_child"])
            .spawn()
            .unwrap();
        let pids = file(&dir.path().join("pids")).await;
        let (worker, orphan) = pids.split_once(' ').unwrap();
        let (worker, orphan) = (worker.parse().unwrap(), orphan.parse().unwrap());
        host.kill().unwrap();
        host.wait().unwrap();
        holds("the worker has ended", || !alive(worker));
        Self { dir, orphan }
    }

    fn data(&self) -> PathBuf {
        self.dir.path().join("home/data")
    }

    /// Plants runs in which each file is a pipe, and whose lock another process holds.
    fn plant(&self) -> Flock<File> {
        let data = self.data();
        for run in PLANTED {
            fs::create_dir_all(data.join(run).join("db")).unwrap();
        }
        let mut pipes = vec![data.join("sweep.lock")];
        for name in ["lock", "meta.json", "next", "db/data.mdb", "db/lock.mdb"] {
            pipes.push(data.join(PLANTED[0]).join(name));
            pipes.push(data.join(PLANTED[2]).join(name));
        }
        for pipe in pipes {
            let _ = fs::remove_file(&pipe);
            mkfifo(&pipe, Mode::S_IRWXU).unwrap();
        }
        let lock = File::create(data.join(PLANTED[1]).join("lock")).unwrap();
        Flock::lock(lock, FlockArg::LockExclusive).unwrap()
    }

    fn remove_planted(&self) {
        for run in PLANTED {
            fs::remove_dir_all(self.data().join(run)).unwrap();
        }
        fs::remove_file(self.data().join("sweep.lock")).unwrap();
    }

    /// Runs the program, through `wrapper` as another user. A program that hangs exits with 124.
    #[track_caller]
    fn run(&self, wrapper: &[&str], data: &Path, arguments: &[&str]) -> Run {
        let program = command(self.dir.path());
        let mut line = Command::new("timeout");
        line.arg("60").args(wrapper).arg(program.get_program());
        line.args(arguments).current_dir(self.dir.path());
        for (name, value) in program.get_envs() {
            match value {
                Some(value) => line.env(name, value),
                None => line.env_remove(name),
            };
        }
        let [stdout, stderr] = [tempfile::tempfile(), tempfile::tempfile()].map(Result::unwrap);
        let mut child = line
            .env("SNAKEPIT_DATA_DIR", data)
            .stdin(Stdio::null())
            .stdout(stdout.try_clone().unwrap())
            .stderr(stderr.try_clone().unwrap())
            .spawn()
            .unwrap();
        let pid = child.id().cast_signed();
        let ended = WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT;
        waitid(Id::Pid(Pid::from_raw(pid)), ended).unwrap();
        let work = cpu_time(pid);
        let status = child.wait().unwrap();
        assert!(work < WORK, "{arguments:?} took {work:?} of the CPU");
        Run {
            status: status.code(),
            stdout: written(stdout),
            stderr: written(stderr),
        }
    }

    /// Checks that every command rejects this data directory and changes nothing.
    #[track_caller]
    fn refused(&self, wrapper: &[&str], data: &Path, what: &str) {
        let before = contents(self.dir.path());
        let name = data.to_str().unwrap();
        let commands: [&[&str]; 5] = [
            &["orphans", "--data-dir", name],
            &["orphans", "--kill", "--data-dir", name],
            &["orphans", "--kill", "--independent", "--data-dir", name],
            &["doctor", "--data-dir", name],
            &["call", "tools.py:has_an_escaped_child"],
        ];
        for (arguments, status) in commands.into_iter().zip([2, 2, 2, 1, 1]) {
            let ended = self.run(wrapper, data, arguments);
            let all = format!("{}{}", ended.stdout, ended.stderr);
            assert_eq!(ended.status, Some(status), "{what}: {arguments:?}: {all}");
            assert!(all.contains("SP6001"), "{what}: {arguments:?}: {all}");
            assert!(all.contains("help:"), "{what}: {arguments:?}: {all}");
        }
        assert_eq!(contents(self.dir.path()), before, "{what}");
        assert!(alive(self.orphan), "{what}: nobody was signalled");
    }

    /// Checks that the owner can still clean up after the run.
    fn swept(self) {
        let data = self.data();
        let name = data.to_str().unwrap();
        let swept = self.run(&[], &data, &["orphans", "--kill", "--data-dir", name]);
        assert_eq!(swept.status, Some(0), "{swept:?}");
        assert!(!alive(self.orphan), "{swept:?}");
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        // A failing test leaves no process behind.
        let _ = kill(Pid::from_raw(self.orphan.cast_signed()), Signal::SIGKILL);
    }
}

/// Returns the CPU time of a zombie process and of the children that it has waited for: fields 14
/// to 17 of `/proc/<pid>/stat`.
fn cpu_time(pid: i32) -> Duration {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let (_, fields) = stat.rsplit_once(") ").unwrap();
    let ticks = fields.split(' ').skip(11).take(4);
    let ticks: i64 = ticks.map(|ticks| ticks.parse::<i64>().unwrap()).sum();
    let second = sysconf(SysconfVar::CLK_TCK).unwrap().unwrap();
    Duration::from_secs_f64(ticks as f64 / second as f64)
}

/// Returns the text that a process has written to a file.
fn written(mut file: File) -> String {
    file.rewind().unwrap();
    let mut text = String::new();
    file.read_to_string(&mut text).unwrap();
    text
}

/// Returns names, owners, permissions and contents of everything in a directory. The sweepers' lock
/// is left out: it may be created in a directory that belongs to the user.
fn contents(dir: &Path) -> Vec<(PathBuf, u32, u32, Vec<u8>)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        let seen = fs::symlink_metadata(&path).unwrap();
        let mut bytes = Vec::new();
        if seen.is_dir() {
            found.extend(contents(&path));
        } else if seen.is_file() {
            bytes = fs::read(&path).unwrap();
        }
        if !path.ends_with("sweep.lock") {
            found.push((path, seen.uid(), seen.mode(), bytes));
        }
    }
    found.sort();
    found
}

/// Changes the owner of a directory and everything in it.
fn give(path: &Path, user: u32) {
    std::os::unix::fs::lchown(path, Some(user), Some(user)).unwrap();
    if fs::symlink_metadata(path).unwrap().is_dir() {
        for entry in fs::read_dir(path).unwrap() {
            give(&entry.unwrap().path(), user);
        }
    }
}

#[expect(
    clippy::print_stderr,
    reason = "the reason is for whoever runs the tests"
)]
fn is_root() -> bool {
    let root = nix::unistd::geteuid().is_root();
    if !root {
        eprintln!("skipped: only root can give files away and become another user");
    }
    root
}

#[tokio::test]
async fn root_refuses_what_another_user_has_prepared() {
    if !is_root() {
        return;
    }
    let scene = Scene::new().await;
    let data = scene.data();
    let link = data.join("runs/276d06dsnkt80japaz917gbtx0");
    symlink(scene.dir.path().join("outside"), &link).unwrap();
    let lock = scene.plant();
    give(&data, NOBODY);
    for mode in [0o700, 0o755, 0o1777] {
        fs::set_permissions(&data, Permissions::from_mode(mode)).unwrap();
        scene.refused(&[], &data, &format!("all is another user's, {mode:o}"));
    }
    fs::set_permissions(&data, Permissions::from_mode(0o700)).unwrap();
    chown(&data, Some(0), Some(0)).unwrap();
    scene.refused(&[], &data, "the runs are another user's");
    give(&data, 0);
    let other = scene.dir.path().join("link");
    symlink(&data, &other).unwrap();
    scene.refused(&[], &other, "it is a link");
    fs::remove_file(link).unwrap();
    drop(lock);
    scene.remove_planted();
    scene.swept();
}

#[tokio::test]
async fn another_user_is_refused_what_root_has() {
    if !is_root() {
        return;
    }
    let wrapper = [
        "setpriv",
        "--reuid=65534",
        "--regid=65534",
        "--clear-groups",
    ];
    let scene = Scene::new().await;
    let data = scene.data();
    let lock = scene.plant();
    if scene.run(&wrapper, &data, &["--version"]).status != Some(0) {
        eprintln!("skipped: another user may not run this binary");
        scene.remove_planted();
        return scene.swept();
    }
    for mode in [0o700, 0o755, 0o1777] {
        fs::set_permissions(&data, Permissions::from_mode(mode)).unwrap();
        scene.refused(&wrapper, &data, &format!("all is root's, {mode:o}"));
    }
    fs::set_permissions(&data, Permissions::from_mode(0o700)).unwrap();
    let home = scene.dir.path().join("home");
    fs::set_permissions(&home, Permissions::from_mode(0o700)).unwrap();
    scene.refused(&wrapper, &data, "nobody else may look inside");
    drop(lock);
    scene.remove_planted();
    scene.swept();
}

/// Creates directories of runs without any file.
fn add_empty_runs(data: &Path, count: usize) -> Vec<PathBuf> {
    let new = |_| {
        let id = RunId::random().unwrap();
        let run = data.join("runs").join(id.to_string());
        DirBuilder::new().mode(0o700).create(&run).unwrap();
        run
    };
    (0..count).map(new).collect()
}

#[tokio::test]
async fn thousands_of_empty_runs_are_read_and_swept_with_little_work() {
    let scene = Scene::new().await;
    let data = scene.data();
    let name = data.to_str().unwrap();
    let runs = add_empty_runs(&data, 5_000);
    let seen = scene.run(&[], &data, &["orphans", "--data-dir", name]);
    assert_eq!(seen.status, Some(1), "the orphan is shown");
    assert_eq!(scene.run(&[], &data, &["ps", "--all"]).status, Some(0));
    let doctor = scene.run(&[], &data, &["doctor", "--data-dir", name]);
    assert_eq!(doctor.status, Some(0), "{doctor:?}");
    assert!(
        !alive(scene.orphan),
        "it comes before the runs without processes"
    );
    // A busy machine may need several sweeps.
    while runs.iter().any(|run| run.exists()) {
        let swept = scene.run(&[], &data, &["orphans", "--kill", "--data-dir", name]);
        assert_eq!((swept.status, &*swept.stderr), (Some(0), ""), "{swept:?}");
        assert!(!swept.stdout.contains("is left as it is"), "{swept:?}");
    }
}

#[tokio::test]
async fn hosts_with_many_recordings_are_listed_with_little_work() {
    let scene = Scene::new().await;
    let data = scene.data();
    let recordings = fs::read_dir(data.join("runs")).unwrap().map(Result::unwrap);
    let recording = recordings.last().unwrap().path().join("flight-0");
    for run in add_empty_runs(&data, 20) {
        for number in 0..200 {
            fs::hard_link(&recording, run.join(format!("flight-{number}"))).unwrap();
        }
    }
    let listed = scene.run(
        &[],
        &data,
        &["ps", "--all", "--data-dir", data.to_str().unwrap()],
    );
    assert_eq!(listed.status, Some(0), "{listed:?}");
    // One call in each of the recordings that are read.
    assert_eq!(listed.stdout.matches(" 16+").count(), 20, "{listed:?}");
    let last = scene.run(
        &[],
        &data,
        &["report", "--data-dir", data.to_str().unwrap()],
    );
    assert_eq!(last.status, Some(0), "{last:?}");
    scene.swept();
}
