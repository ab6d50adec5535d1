//! A process and everything that it started, as the kernel lists them.

use std::collections::{HashMap, HashSet};
use std::fs;

/// Processes that are counted at most, in case one makes them faster than they can be counted.
const MOST: usize = 4096;

/// The sum of a number over a process, its descendants and its session. Nothing when the process has no such number any more.
///
/// What a process starts stays in its session, also when those in between have ended, unless it makes a session of its own.
pub(crate) fn sum(pid: u32, of_one: impl Fn(u32) -> Option<u64>) -> Option<u64> {
    let own = of_one(pid)?;
    // One that is gone by now counts nothing.
    let others = others(pid, &processes());
    Some(own + others.into_iter().filter_map(of_one).sum::<u64>())
}

/// Where a process belongs.
#[derive(Clone, Copy, Debug)]
struct Kin {
    pid: u32,
    parent: u32,
    session: u32,
}

fn processes() -> Vec<Kin> {
    let Ok(entries) = fs::read_dir("/proc") else {
        return Vec::new();
    };
    let pids = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    pids.filter_map(|pid| kin(pid, &fs::read_to_string(format!("/proc/{pid}/stat")).ok()?))
        .collect()
}

fn kin(pid: u32, stat: &str) -> Option<Kin> {
    // The name may hold anything, also parentheses. The state follows it, then the parent, the group and the session.
    let mut fields = stat.rsplit_once(") ")?.1.split_ascii_whitespace();
    let parent = fields.nth(1)?.parse().ok()?;
    let session = fields.nth(1)?.parse().ok()?;
    Some(Kin {
        pid,
        parent,
        session,
    })
}

/// Members of the session that a process leads, and descendants of it and of them.
fn others(pid: u32, all: &[Kin]) -> Vec<u32> {
    let mut children: HashMap<u32, Vec<u32>> = HashMap::new();
    for one in all {
        children.entry(one.parent).or_default().push(one.pid);
    }
    let session = all.iter().filter(|one| one.session == pid);
    let mut left: Vec<u32> = session.map(|one| one.pid).collect();
    left.push(pid);
    let mut seen = HashSet::new();
    while let Some(one) = left.pop() {
        if seen.len() < MOST && seen.insert(one) {
            left.extend(children.remove(&one).unwrap_or_default());
        }
    }
    seen.remove(&pid);
    seen.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_right_fields_are_read() {
        let found = kin(17, "17 (a) R 1 2) S 4 5 6 0 -1").expect("it is whole");
        assert_eq!((found.parent, found.session), (4, 6));
        assert!(kin(17, "17 (short) S 4").is_none());
    }

    #[test]
    fn orphans_in_the_session_count_and_strangers_do_not() {
        let kin = |(pid, parent, session)| Kin {
            pid,
            parent,
            session,
        };
        // 20 leads the session; 22 lost its parent; 23 left the session and its parent; 24 is a child of 22 in a session of its own.
        let all = [
            (20, 1, 20),
            (21, 20, 20),
            (22, 1, 20),
            (23, 1, 23),
            (24, 22, 24),
            (30, 1, 30),
        ];
        let mut found = others(20, &all.map(kin));
        found.sort_unstable();
        assert_eq!(found, [21, 22, 24]);
    }
}
