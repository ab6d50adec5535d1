//! The descendants of this process: stopped first, so that none forks meanwhile, then killed.

use std::collections::{BTreeMap, BTreeSet};

use crate::helpers::is_helper;
use crate::pidfd::{PidFd, Scope};
use crate::procfs;

/// How often new descendants are looked for before those that are stopped are killed. The
/// caller comes back for the rest.
const ROUNDS: usize = 20;

/// A descendant.
#[derive(Debug)]
struct Held {
    pidfd: PidFd,
}

/// Kills what descends from this process now, except for helpers of Python. `false` when there are
/// none; then nothing is killed.
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

/// Kills what descends from this process now.
pub(super) fn kill_all() {
    let mut stopped = BTreeSet::new();
    let mut found = BTreeMap::new();
    for _ in 0..ROUNDS {
        found = descendants();
        let mut fresh = false;
        for (&pid, held) in &found {
            if stopped.insert(pid) {
                fresh = true;
                // It is gone, or of another user; then nothing here reaches it.
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

/// Every process on a way of living parents that begins with a child of this one. Each is held
/// before its parent is read, so that no number is mistaken for another process.
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
            // Without a free descriptor there is a next time.
            let Ok(Some(pidfd)) = PidFd::open(pid) else {
                continue;
            };
            // The parent is alive after its child was seen, so the number still meant it.
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
