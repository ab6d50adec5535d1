//! A worker whose environment and program are unreadable even for its own user.
#![expect(
    clippy::print_stdout,
    reason = "a helper answers on its standard output"
)]

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::roles::Helper;
use crate::support::{LONG, alive, data_dir, eventually, is_root, open, sh, signal, skip, start};

/// Drops the privileges that make every file readable.
const NOBODY: [&str; 4] = [
    "setpriv",
    "--reuid=65534",
    "--regid=65534",
    "--clear-groups",
];

#[test]
fn row_26_a_worker_that_cannot_be_looked_at_is_swept() {
    let (dir, data) = data_dir();
    let mut wrapper = &NOBODY[..];
    if is_root() {
        std::os::unix::fs::chown(dir.path(), Some(65534), Some(65534)).expect("chown");
    } else {
        wrapper = &[];
    }
    // A program that its user may execute but not read is not dumpable.
    let program = dir.path().join("sleep");
    fs::copy("/bin/sleep", &program).expect("copy");
    fs::set_permissions(&program, fs::Permissions::from_mode(0o111)).expect("chmod");
    let mut host = Helper::start(wrapper, "unreadable", &data);
    let Some(answer) = host.answer("@ready ") else {
        return skip("another user may not run this binary");
    };
    let pids: Vec<i32> = answer
        .split(' ')
        .map(|word| word.parse().expect("a pid"))
        .collect();
    let [worker, bystander] = pids[..] else {
        panic!("two pids: {answer}")
    };
    host.kill();
    assert!(alive(worker), "it has closed its death pipe");
    let mut sweeper = Helper::start(wrapper, "sweeper", &data);
    let report = sweeper.answer("@swept ").expect("it sweeps");
    let report: serde_json::Value = serde_json::from_str(&report).expect("json");
    let killed = report["runs"][0]["killed"].as_array().expect("a list");
    assert_eq!(killed.len(), 1, "{report}");
    assert_eq!(killed[0]["pid"], worker);
    assert_eq!(report["runs"][0]["outcome"], "swept", "{report}");
    assert!(!alive(worker) && alive(bystander));
    signal(bystander, libc::SIGKILL);
}

/// Starts a worker that is out of reach of the death pipe and unreadable, and a stranger of the
/// same user that executes the same program.
pub(crate) fn host(data: &Path) {
    let program = data.with_file_name("sleep");
    let program = program.to_str().expect("a plain path");
    let registry = open(data);
    let script = format!("exec 0</dev/null; exec {program} 600");
    let (child, spawned) = start(&registry, "closed", &sh(&script));
    child.ready().expect("ready");
    let mut stranger = Command::new(program)
        .arg("600")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .process_group(0)
        .spawn()
        .expect("it starts");
    for pid in [spawned.pid, stranger.id()] {
        eventually(LONG, "its environment cannot be read", || {
            fs::read(format!("/proc/{pid}/environ")).is_err()
        });
        assert!(fs::read_link(format!("/proc/{pid}/exe")).is_err());
    }
    println!("@ready {} {}", spawned.pid, stranger.id());
    // The stranger outlives this host.
    stranger.wait().expect("wait");
}
