//! Signals to all processes of a service, as service managers, containers and terminals send them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use snakepit::{PythonProfile, Snakepit, ThreadSafetyChecks, args};
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinSet;

use crate::oracle::{COOKIE, Scene, marked, tools};
use crate::record::Row;
use crate::scenario::CGROUP;
use crate::subject::{Host, say};
use crate::support::{LONG, file, pool_of};

/// Calls in flight: half of them in separate processes, half in slots of one.
const CALLS: usize = 8;

/// The subject: during calls it receives a signal, shuts down in order and prints the number of
/// answered calls.
pub(crate) async fn graceful(dir: &Path) {
    let mut signals = JoinSet::new();
    for kind in [
        SignalKind::terminate(),
        SignalKind::interrupt(),
        SignalKind::hangup(),
    ] {
        let mut listening = signal(kind).unwrap();
        signals.spawn(async move { listening.recv().await });
    }
    if let Some(group) = std::env::var_os(CGROUP) {
        fs::write(group, std::process::id().to_string()).unwrap();
    }
    let cookie = std::env::var(COOKIE).unwrap();
    let threads = PythonProfile::Thread {
        threads_per_worker: 4,
    };
    let first = marked(&tools(), CALLS / 2, &cookie);
    let second = pool_of("threads", &tools()).profile(threads);
    let second = second
        .env(COOKIE, &cookie)
        .configure_python(|python| python.thread_safety_checks = ThreadSafetyChecks::Off);
    let [first, second] =
        [first, second].map(|pool| pool.configure(|pool| pool.drain_timeout = LONG));
    let builder = Snakepit::builder().data_dir(dir.join("pit"));
    let snakepit = builder.pool(first).pool(second).start().await.unwrap();
    let go = dir.join("go").to_str().unwrap().to_owned();
    let mut calls = JoinSet::new();
    for index in 0..CALLS {
        let started = dir.join(format!("started.{index}"));
        let pool = snakepit
            .pool(if index % 2 == 0 { "main" } else { "threads" })
            .unwrap();
        let arguments = args! { "started" => started.to_str().unwrap(), "go" => go.clone() };
        calls.spawn(async move { pool.execute::<u32>("wait", arguments).await });
        file(&started).await;
    }
    let pids: Vec<u32> = snakepit
        .workers()
        .iter()
        .filter_map(|one| one.pid)
        .collect();
    say("ready", &pids);
    signals.join_next().await.unwrap().unwrap();
    println!("@closing");
    snakepit.shutdown().await;
    let ended = calls.join_all().await;
    let answered = ended.iter().filter(|call| call.is_ok()).count();
    println!("@answered {answered}");
}

/// Lets the calls end once the host has begun to shut down, and checks that all were answered.
fn none_lost(scene: Scene, mut host: Host) -> String {
    host.answer("@closing");
    fs::write(scene.path("go"), "go").unwrap();
    let answered = host.answer("@answered");
    assert_eq!(answered, [CALLS.to_string()]);
    assert!(host.wait().success());
    scene.clean(Duration::from_millis(500));
    format!("{CALLS} calls in flight, {CALLS} answered")
}

/// A control group without limits. Dropping it removes it once its processes have ended.
#[derive(Debug)]
struct Group(PathBuf);

impl Group {
    fn new() -> Result<Self, String> {
        let mut reasons = Vec::new();
        for root in [
            "/sys/fs/cgroup",
            "/sys/fs/cgroup/pids",
            "/sys/fs/cgroup/memory",
        ] {
            let group = Path::new(root).join(format!("snakepit-signals-{}", std::process::id()));
            match fs::create_dir(&group) {
                Ok(()) if group.join("cgroup.procs").exists() => return Ok(Self(group)),
                Ok(()) => drop(fs::remove_dir(&group)),
                Err(error) => reasons.push(format!("{}: {error}", group.display())),
            }
        }
        Err(format!("no control group: {}", reasons.join("; ")))
    }

    fn processes(&self) -> Vec<Pid> {
        let text = fs::read_to_string(self.0.join("cgroup.procs")).unwrap();
        let pids = text.lines().map(|pid| Pid::from_raw(pid.parse().unwrap()));
        pids.collect()
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // If the group cannot be removed, it is empty and harmless.
        let _ = fs::remove_dir(&self.0);
    }
}

#[test]
fn row_13_a_signal_to_the_whole_control_group() {
    let row = Row::new(13, "SIGTERM to the control group, 8 calls in flight");
    let group = match Group::new() {
        Ok(group) => group,
        Err(why) => return row.skip(&why),
    };
    let scene = Scene::new();
    let mut command = Host::command(&scene, "graceful", CALLS);
    command.env(CGROUP, group.0.join("cgroup.procs"));
    let mut host = Host::spawn(command);
    let workers = host.workers();
    let all = group.processes();
    assert!(all.len() > workers.len(), "{all:?}");
    for pid in all {
        kill(pid, Signal::SIGTERM).unwrap();
    }
    row.holds(none_lost(scene, host));
}

#[test]
fn row_13_a_signal_to_each_process_of_a_host() {
    let row = Row::new(
        13,
        "SIGHUP and SIGINT to host and workers, 8 calls in flight",
    );
    let mut seen = String::new();
    for signal in [Signal::SIGHUP, Signal::SIGINT] {
        let scene = Scene::new();
        let mut host = Host::spawn(Host::command(&scene, "graceful", CALLS));
        for worker in host.workers() {
            kill(Pid::from_raw(worker.cast_signed()), signal).unwrap();
        }
        host.signal(signal);
        seen = none_lost(scene, host);
    }
    row.holds(format!("{seen}, for each signal"));
}

/// Runs a program in a terminal of its own, copies its output, and types its own input there.
const TERMINAL: &str = r"
import os, pty, select, sys
pid, fd = pty.fork()
if pid == 0:
    os.execv(sys.argv[1], sys.argv[1:])
watched = [fd, 0]
while True:
    ready = select.select(watched, [], [])[0]
    if 0 in ready:
        data = os.read(0, 64)
        if data:
            os.write(fd, data)
        else:
            watched.remove(0)
    if fd in ready:
        try:
            data = os.read(fd, 65536)
        except OSError:
            break
        os.write(1, data)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
";

/// Starts the subject in a terminal.
fn in_terminal(scene: &Scene, scenario: &str) -> Host {
    let plain = Host::command(scene, scenario, CALLS);
    let mut command = Command::new("python3");
    command.args(["-c", TERMINAL]).args(plain.get_args());
    for (name, value) in plain.get_envs() {
        command.env(name, value.unwrap_or_default());
    }
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    Host::spawn(command)
}

#[test]
fn row_13_control_c_in_a_terminal() {
    let row = Row::new(13, "Ctrl-C in the terminal of a host, 8 calls in flight");
    let scene = Scene::new();
    let mut host = in_terminal(&scene, "graceful");
    host.workers();
    host.type_in("\x03");
    row.holds(none_lost(scene, host));
}

const ASKING: &str = "
import getpass, subprocess
from snakepit_bridge import tool

@tool
def password() -> str:
    return getpass.getpass()

@tool
def echo_off() -> str:
    return subprocess.check_output('stty -echo < /dev/tty; echo done', shell=True, text=True)

@tool
def terminal() -> str:
    return open('/dev/tty').name
";

/// The subject: its tools read from the terminal.
pub(crate) async fn asking(dir: &Path) {
    fs::write(dir.join("asking.py"), ASKING).unwrap();
    let cookie = std::env::var(COOKIE).unwrap();
    let adapter = dir.join("asking.py");
    let pool = marked(adapter.to_str().unwrap(), 1, &cookie).call_timeout(LONG / 4);
    let builder = Snakepit::builder().data_dir(dir.join("pit"));
    let snakepit = builder.pool(pool).start().await.unwrap();
    for tool in ["password", "echo_off", "terminal"] {
        let result = snakepit.execute::<String>(tool, ()).await;
        println!(
            "@asked {}",
            result.map_or_else(|error| error.code().to_string(), |_| "done".to_owned())
        );
    }
    snakepit.shutdown().await;
}

#[test]
fn a_tool_that_asks_the_terminal_is_answered_at_once() {
    let scene = Scene::new();
    let mut host = in_terminal(&scene, "asking");
    // The shell continues after the failed command.
    for expected in ["SP3001", "done", "SP3001"] {
        assert_eq!(host.answer("@asked"), [expected]);
    }
    assert!(host.wait().success());
    scene.clean(Duration::from_millis(500));
}
