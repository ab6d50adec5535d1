//! A host that inherits orphans: as the first process of its namespace, and as a child subreaper.
#![expect(
    clippy::print_stdout,
    reason = "a helper answers on its standard output"
)]

use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use snakepit_registry::{Registry, Stat};

use crate::roles::Helper;
use crate::support::{
    LONG, alive, data_dir, eventually, is_root, open, sh, skip, start, state, tagged,
};

/// Returns the children of this process that have ended and have not been reaped.
fn zombies() -> Vec<i32> {
    let me = i32::try_from(std::process::id()).expect("a pid");
    let zombie = |pid: &i32| {
        let stat = std::fs::read(format!("/proc/{pid}/stat")).ok();
        let stat = stat.and_then(|text| Stat::parse(&text));
        stat.is_some_and(|stat| stat.ppid == me && stat.state == 'Z')
    };
    let entries = std::fs::read_dir("/proc").expect("/proc").flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter(zombie).collect()
}

/// Starts and stops a child that has a child in its group and two daemons.
fn round(registry: &Registry, id: &str) {
    let script = "sleep 600 & setsid sh -c 'sleep 601 & exec sleep 602' & \
         setsid env -i sleep 603 & exec sleep 600";
    let (child, _) = start(registry, id, &sh(script));
    eventually(LONG, "all have started", || {
        tagged(registry.run_id()).len() == 5
    });
    child.kill(Duration::ZERO);
    child.release().expect("release");
    // The daemons still live and are reparented to this process.
    for pid in tagged(registry.run_id()) {
        if alive(pid) && i32::try_from(std::process::id()) != Ok(pid) {
            crate::support::signal(pid, libc::SIGKILL);
        }
    }
}

pub(crate) fn host(data: &Path, subreaper: bool) {
    nix::sys::prctl::set_child_subreaper(subreaper).expect("prctl");
    let registry = open(data);
    // Children of the program itself, which it waits for later: they lead groups too.
    let mut own = Vec::new();
    for _ in 0..2 {
        let mut command = Command::new("/bin/sh");
        command
            .args(["-c", "exit 7"])
            .process_group(0)
            .stdin(Stdio::null());
        own.push(command.spawn().expect("it starts"));
    }
    let ids: Vec<i32> = own.iter().map(|one| one.id().cast_signed()).collect();
    eventually(LONG, "they have ended", || {
        ids.iter().all(|&pid| state(pid) == Some('Z'))
    });
    round(&registry, "first");
    round(&registry, "second");
    eventually(LONG, "the inherited ones are waited for", || {
        zombies().iter().all(|pid| ids.contains(pid))
    });
    let codes: Vec<_> = own
        .iter_mut()
        .map(|one| one.wait().ok().and_then(|status| status.code()))
        .collect();
    let report = registry.close().expect("close");
    println!("@own {codes:?} {}", report.leftover.len());
}

fn waits_for_what_it_inherits(wrapper: &[&str], role: &str) {
    let (_dir, data) = data_dir();
    let mut host = Helper::start(wrapper, role, &data);
    let answer = host.answer("@own ");
    assert_eq!(answer.as_deref(), Some("[Some(7), Some(7)] 0"));
}

#[test]
fn row_93_a_child_subreaper_waits_for_what_it_inherits() {
    waits_for_what_it_inherits(&[], "subreaper");
}

#[test]
fn row_93_the_first_process_waits_for_what_it_inherits() {
    if !is_root() {
        return skip("only root may make a pid namespace here");
    }
    let wrapper = ["unshare", "-pf", "--mount-proc", "--kill-child"];
    waits_for_what_it_inherits(&wrapper, "first");
}
