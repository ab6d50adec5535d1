//! The test whether the host of a run lives.
//!
//! The recorded process of the host decides, because locks and other descriptors can be removed or
//! held by copies of a host. Only if the record is inconclusive does the lock decide, and then the
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

/// The state of a host according to its record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pulse {
    /// The host's process lives.
    Alive,
    /// The host's process is gone.
    Gone,
    /// The record is inconclusive: the process was not recorded, or recorded in another namespace.
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

/// Looks for the process with this id. It is recognised by its pidfs inode or else its start time.
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
    // Checked last: all facts above belong to a process that had not exited by then.
    if same && !held.exited() {
        Pulse::Alive
    } else {
        Pulse::Gone
    }
}

/// Returns `true` if a process of the run is still a child of the host that started it. The kernel
/// reparents it when the host ends.
pub(crate) fn seen_by_children(run: RunId, tagged: &[Tagged]) -> bool {
    started_by(run, tagged).any(has_its_host)
}

/// Returns the processes that the run itself has started.
pub(crate) fn started_by(run: RunId, tagged: &[Tagged]) -> impl Iterator<Item = i32> {
    let started = move |one: &&Tagged| {
        let last = one.cookies.last();
        last.is_some_and(|last: &Cookie| last.run() == run)
    };
    tagged.iter().filter(started).map(|one| one.pid)
}

fn has_its_host(pid: i32) -> bool {
    let namespace = |of: &str| fs::read_link(format!("/proc/{of}/ns/pid")).ok();
    if namespace(&pid.to_string()) != namespace("self") {
        // The recorded id of the parent means nothing in this namespace, so the run is left
        // alone while the process exists.
        return procfs::stat(pid).is_ok_and(|stat| stat.is_some());
    }
    let parent = procfs::stat(pid).ok().flatten().map(|stat| stat.ppid);
    let named = procfs::variable(pid, HOST_PID_VAR);
    let named = named.and_then(|value| std::str::from_utf8(&value).ok()?.parse().ok());
    parent.is_some() && parent == named
}
