//! Kills the descendants of this process. They are stopped first, so that none forks meanwhile.

use std::collections::{BTreeMap, BTreeSet};

use crate::helpers::is_helper;
use crate::pidfd::{PidFd, Scope};
use crate::procfs;

/// Largest number of searches for new descendants before the stopped ones are killed. The caller
/// repeats the call for the rest.
const ROUNDS: usize = 20;

/// A descendant, held by its pidfd.
#[derive(Debug)]
struct Held {
    pidfd: PidFd,
}

/// Kills the current descendants of this process that are not Python's helpers. Returns `false` if
/// there are no helpers; then nothing is killed.
pub(super) fn spare_helpers() -> bool {
    let found = descendants();
    let helpers: BTreeSet<i32> = found
        .keys()
        .copied()
        .filter(|&pid| is_helper(pid))
        .collect();
    for (pid, held) in &found {
        if !helpers.is_empty() && !helpers.contains(pid) {
            let _ = held.pidfd.signal(Scope::Process, libc::SIGKILL);
        }
    }
    !helpers.is_empty()
}

/// Kills the current descendants of this process.
pub(super) fn kill_all() {
    let mut stopped = BTreeSet::new();
    let mut found = BTreeMap::new();
    for _ in 0..ROUNDS {
        found = descendants();
        let mut fresh = false;
        for (&pid, held) in &found {
            if stopped.insert(pid) {
                fresh = true;
                // Refused if the process is gone or belongs to another user, which the shim cannot
                // reach.
                let _ = held.pidfd.signal(Scope::Process, libc::SIGSTOP);
            }
        }
        if !fresh {
            break;
        }
    }
    for held in found.values() {
        let _ = held.pidfd.signal(Scope::Process, libc::SIGKILL);
    }
}

/// Returns every process whose chain of living parents leads to this one. Each process is opened
/// before its parent is read, so no id is mistaken for another process.
fn descendants() -> BTreeMap<i32, Held> {
    let me = nix::unistd::getpid().as_raw();
    let parent = |pid: i32| {
        let stat = procfs::stat(pid).ok().flatten()?;
        (!matches!(stat.state, 'Z' | 'X')).then_some(stat.ppid)
    };
    let mut children: BTreeMap<i32, Vec<i32>> = BTreeMap::new();
    for pid in procfs::pids().unwrap_or_default() {
        if let Some(parent) = parent(pid) {
            children.entry(parent).or_default().push(pid);
        }
    }
    let mut found: BTreeMap<i32, Held> = BTreeMap::new();
    let mut next = vec![me];
    while let Some(above) = next.pop() {
        for pid in children.remove(&above).unwrap_or_default() {
            // If no descriptor is free, the next search finds the process.
            let Ok(Some(pidfd)) = PidFd::open(pid) else {
                continue;
            };
            // The parent was alive after its child was seen, so the id still meant the parent.
            let sure = parent(pid) == Some(above)
                && (above == me || found.get(&above).is_some_and(|held| !held.pidfd.exited()));
            if sure {
                found.insert(pid, Held { pidfd });
                next.push(pid);
            }
        }
    }
    found
}
