//! Whether the host of a run lives.
//!
//! Its process decides, as it was recorded: locks and other descriptors can be removed, and copies
//! of a host can hold them. Only where the record says nothing the lock does, and then the
//! processes that the host has started.

use std::fs;

use crate::cookie::Cookie;
use crate::identity::Scene;
use crate::launch::HOST_PID_VAR;
use crate::pidfd::PidFd;
use crate::procfs;
use crate::run_dir::RunMeta;
use crate::run_id::RunId;
use crate::table::Tagged;

/// What the record of a host says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pulse {
    /// Its process lives.
    Alive,
    /// Its process is gone.
    Gone,
    /// It cannot be told: it was not recorded, or elsewhere.
    Unknown,
}

/// Looks for the process of a host.
pub(crate) fn of(meta: &RunMeta, here: &Scene) -> Pulse {
    if meta.scene.boot_id != here.boot_id {
        return Pulse::Gone;
    }
    match &meta.host {
        Some(host) if meta.scene.comparable(here) => {
            of_process(host.pid, host.pidfs_inode, host.start_ticks)
        }
        _ => Pulse::Unknown,
    }
}

/// Looks for a process with this number, which is told from others by its place in pidfs or by its
/// start.
pub(crate) fn of_process(pid: i32, pidfs_inode: Option<u64>, start_ticks: u64) -> Pulse {
    let held = match PidFd::open(pid) {
        Ok(Some(held)) => held,
        Ok(None) => return Pulse::Gone,
        Err(_) => return Pulse::Unknown,
    };
    let same = match (pidfs_inode, held.inode()) {
        (Some(recorded), Some(found)) => recorded == found,
        _ => match procfs::stat(pid) {
            Ok(Some(stat)) => stat.start_ticks == start_ticks,
            Ok(None) => false,
            Err(_) => return Pulse::Unknown,
        },
    };
    // Asked last: everything before belongs to a process that had not exited by then.
    if same && !held.exited() {
        Pulse::Alive
    } else {
        Pulse::Gone
    }
}

/// Whether a process of the run is still a child of the host that has started it. The kernel gives
/// it another parent when the host ends.
pub(crate) fn seen_by_children(run: RunId, tagged: &[Tagged]) -> bool {
    let started = |one: &&Tagged| {
        one.cookies
            .last()
            .is_some_and(|last: &Cookie| last.run() == run)
    };
    tagged
        .iter()
        .filter(started)
        .any(|one| has_its_host(one.pid))
}

fn has_its_host(pid: i32) -> bool {
    let namespace = |of: &str| fs::read_link(format!("/proc/{of}/ns/pid")).ok();
    if namespace(&pid.to_string()) != namespace("self") {
        // The number that it was given means nothing here; then it is left alone.
        return procfs::stat(pid).is_ok_and(|stat| stat.is_some());
    }
    let parent = procfs::stat(pid).ok().flatten().map(|stat| stat.ppid);
    let named = procfs::variable(pid, HOST_PID_VAR);
    let named = named.and_then(|value| std::str::from_utf8(&value).ok()?.parse().ok());
    parent.is_some() && parent == named
}
