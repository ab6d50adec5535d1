//! The process id of a dead child is given to a stranger in the same clock tick.
#![expect(
    clippy::print_stdout,
    reason = "a helper answers on its standard output"
)]

use std::fs;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use snakepit_registry::{Outcome, Registry, Stat};

use crate::roles::{Helper, command};
use crate::support::{LONG, alive, data_dir, is_root, open, signal, skip, sleeper, start};

const LAST_PID: &str = "/proc/sys/kernel/ns_last_pid";

/// Number of attempts to hit one tick of 10 ms.
const TRIES: usize = 500;

/// Returns the arguments for a process id namespace, where ids can be chosen and no other process
/// takes them.
fn namespace() -> Vec<&'static str> {
    let flags = if is_root() { "-pf" } else { "-Urpf" };
    vec!["unshare", flags, "--mount-proc"]
}

#[test]
fn row_19_a_stranger_has_the_pid_of_a_child_and_its_start_tick() {
    let script = format!("echo 1000 > {LAST_PID}");
    let mut probe = Command::new("unshare");
    probe
        .args(&namespace()[1..])
        .args(["/bin/sh", "-c", &script]);
    match probe.output() {
        Ok(output) if output.status.success() => {}
        Ok(output) => {
            return skip(&format!(
                "process ids cannot be chosen: {}",
                String::from_utf8_lossy(&output.stderr).trim()
            ));
        }
        Err(error) => return skip(&format!("unshare cannot run: {error}")),
    }
    let (_dir, data) = data_dir();
    let mut stage = Helper::of(command(&namespace(), "reuse", &data));
    assert!(stage.answer("@spared").is_some(), "the stranger was spared");
}

/// The first process of the namespace: kills the host, sweeps, and checks that the stranger lives.
pub(crate) fn stage(data: &Path) {
    let mut host = Helper::start(&[], "reused", data);
    let pid: i32 = host
        .answer("@reused ")
        .expect("the numbers came together")
        .parse()
        .expect("a pid");
    assert!(alive(pid));
    host.kill();
    let report = Registry::sweep_data_dir(data, LONG).expect("sweep");
    assert_eq!(report.killed(), 0, "{report:?}");
    assert_eq!(report.runs[0].outcome, Outcome::Swept);
    assert_eq!((report.runs[0].records, report.runs[0].gone), (1, 1));
    assert!(alive(pid), "neither the host's end nor the sweep hit it");
    println!("@spared");
}

/// The host: starts a child whose process id and start tick are then given to a stranger.
pub(crate) fn host(data: &Path) {
    let registry = open(data);
    for turn in 0..TRIES {
        let (child, spawned) = start(&registry, &format!("w{turn}"), &sleeper());
        let pid = i32::try_from(spawned.pid).expect("a pid");
        let recorded = child.identity().expect("spawned").start_ticks;
        signal(pid, libc::SIGKILL);
        child
            .wait(LONG)
            .expect("it has ended, and its number is free");
        fs::write(LAST_PID, (pid - 1).to_string()).expect("numbers can be chosen");
        let mut stranger = stranger();
        if i32::try_from(stranger.id()) == Ok(pid) && ticks(pid) == recorded {
            println!("@reused {pid}");
            loop {
                std::thread::park();
            }
        }
        child.release().expect("release");
        assert!(stranger.try_wait().expect("wait").is_none(), "it is spared");
        stranger.kill().expect("kill");
        stranger.wait().expect("wait");
    }
    panic!("number and tick never came together");
}

/// Starts a stranger that leads a group with the same number as the child's group.
fn stranger() -> Child {
    let mut command = Command::new("/bin/sleep");
    command
        .arg("600")
        .stdin(Stdio::null())
        .stdout(Stdio::null());
    command.process_group(0).spawn().expect("it starts")
}

fn ticks(pid: i32) -> u64 {
    let text = fs::read(format!("/proc/{pid}/stat")).expect("it lives");
    Stat::parse(&text).expect("it parses").start_ticks
}
