//! The sweeper itself is killed half-way.

use std::path::Path;
use std::process::{Command, Stdio};

use snakepit_registry::Registry;

use crate::host::Host;
use crate::roles::{Helper, command};
use crate::support::{LONG, alive, data_dir, eventually, none_left, skip};

/// System calls of a sweep, with the number of invocations at which each is hit.
const POINTS: [(&str, u32); 5] = [
    ("flock,fcntl", 3),
    ("pidfd_open", 3),
    ("pidfd_send_signal", 2),
    ("poll,ppoll", 2),
    ("unlink,unlinkat,rmdir", 4),
];

#[test]
fn row_88_sweeper_killed_on_the_way() {
    if !Path::new("/usr/bin/strace").exists() {
        return skip("strace is not installed");
    }
    let mut bystander = Command::new("/bin/sleep")
        .arg("600")
        .stdin(Stdio::null())
        .spawn()
        .expect("it starts");
    let (mut died, mut turns) = (0, 0);
    for (calls, times) in POINTS {
        for when in 1..=times {
            let (_dir, data) = data_dir();
            let mut dead = Host::start("escapee", &data);
            dead.kill_but_escapee();
            turns += 1;
            died += u32::from(!swept(&data, calls, when));
            let report = Registry::sweep_data_dir(&data, LONG).expect("sweep");
            assert!(
                report.runs.iter().all(snakepit_registry::SweptRun::ended),
                "{calls} {when}: {report:?}"
            );
            none_left(dead.run, LONG);
            eventually(LONG, "the escapee is dead", || !alive(dead.pids[0]));
            assert!(Registry::inspect(&data).expect("inspect").is_empty());
        }
    }
    assert!(died * 2 > turns, "only {died} of {turns} sweepers died");
    let pid = i32::try_from(bystander.id()).expect("a pid");
    assert!(alive(pid), "the bystander lives");
    bystander.kill().expect("kill");
    bystander.wait().expect("wait");
}

/// Runs a sweeper that SIGKILL hits at one of these calls. Returns `true` if it finished
/// nevertheless.
fn swept(data: &Path, calls: &str, when: u32) -> bool {
    let (trace, inject) = (
        format!("trace={calls}"),
        format!("inject={calls}:signal=SIGKILL:when={when}"),
    );
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
    let mut command = command(&wrapper, "sweeper", data);
    command.stderr(Stdio::null());
    let mut helper = Helper::of(command);
    let swept = helper.answer("@swept").is_some();
    // The helper's output ends before its threads do, and one of them holds the locks.
    helper.wait();
    swept
}
