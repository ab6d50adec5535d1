//! The processes that carry the cookie or the stamp of one worker: the worker, its shim and their
//! descendants.

use crate::cookie::Cookie;
use crate::identity::Observation;
use crate::pidfd::{PidFd, Scope};
use crate::table::{HostTable, ProcessTable};

/// Returns the process ids of the carriers. Empty if `/proc` cannot be read.
pub(crate) fn of(cookie: Cookie) -> Vec<i32> {
    let all = HostTable.tagged().unwrap_or_default();
    all.into_iter()
        .filter(|one| one.is_of(cookie))
        .map(|one| one.pid)
        .collect()
}

/// Kills the carriers until a round finds no new ones.
pub(crate) fn kill(cookie: Cookie) {
    const ROUNDS: usize = 10;
    let mut killed = Vec::new();
    for _ in 0..ROUNDS {
        let fresh: Vec<i32> = of(cookie)
            .into_iter()
            .filter(|pid| !killed.contains(pid))
            .collect();
        if fresh.is_empty() {
            break;
        }
        for pid in fresh {
            killed.push(pid);
            let Ok(Some(held)) = PidFd::open(pid) else {
                continue;
            };
            let ours = Observation::of(&held).ok().flatten();
            if ours.is_some_and(|seen| seen.is_of(cookie)) {
                // The sweep handles and reports a process that cannot be signalled.
                let _ = held.signal(Scope::Process, libc::SIGKILL);
            }
        }
    }
}
