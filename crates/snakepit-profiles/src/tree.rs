//! A process and everything that it has started, as the kernel lists them.

use std::collections::{HashMap, HashSet};
use std::fs;

/// Maximum number of processes that are counted, in case they multiply faster than they can be
/// counted.
const MOST: usize = 4096;

/// Maximum number of generations from a process to the leader that it belongs to.
#[cfg(feature = "command")]
const GENERATIONS: usize = 256;

/// Sums a number over a process, its descendants, its process group and its session. `None` if the
/// process itself no longer has such a number.
///
/// Started processes stay in the group and the session unless they leave them, even if the
/// processes in between have ended.
pub(crate) fn sum(pid: u32, of_one: impl Fn(u32) -> Option<u64>) -> Option<u64> {
    let own = of_one(pid)?;
    // A process that is gone by now counts nothing.
    let others = others(pid, &processes());
    Some(own + others.into_iter().filter_map(of_one).sum::<u64>())
}

/// Returns a process, its descendants, its process group and its session.
#[cfg(feature = "command")]
pub(crate) fn members(pid: u32) -> Vec<u32> {
    let mut members = others(pid, &processes());
    members.push(pid);
    members
}

/// Returns true if `other` is a process, or belongs to it.
#[cfg(feature = "command")]
pub(crate) fn has(pid: u32, other: u32) -> bool {
    leaders(other).any(|leader| leader == pid)
}

/// Returns a process and those to which it belongs, the nearest first: its ancestors, and the
/// leaders of the groups and sessions of all of them.
#[cfg(feature = "command")]
pub(crate) fn leaders(pid: u32) -> impl Iterator<Item = u32> {
    leaders_of(pid, read)
}

#[cfg(feature = "command")]
fn leaders_of(pid: u32, read: impl Fn(u32) -> Option<Kin>) -> impl Iterator<Item = u32> {
    let line = std::iter::successors(read(pid), move |one| read(one.parent)).take(GENERATIONS);
    // Its own id also if it is gone by now.
    std::iter::once(pid).chain(line.flat_map(|one| [one.pid, one.group, one.session]))
}

/// The relations of a process.
#[derive(Clone, Copy, Debug)]
struct Kin {
    pid: u32,
    parent: u32,
    group: u32,
    session: u32,
}

fn processes() -> Vec<Kin> {
    let Ok(entries) = fs::read_dir("/proc") else {
        return Vec::new();
    };
    let pids = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    pids.filter_map(read).collect()
}

fn read(pid: u32) -> Option<Kin> {
    kin(pid, &fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

fn kin(pid: u32, stat: &str) -> Option<Kin> {
    // The process name may contain any character, including parentheses. State, parent, group and
    // session follow it.
    let mut fields = stat.rsplit_once(") ")?.1.split_ascii_whitespace();
    let parent = fields.nth(1)?.parse().ok()?;
    let group = fields.next()?.parse().ok()?;
    let session = fields.next()?.parse().ok()?;
    Some(Kin {
        pid,
        parent,
        group,
        session,
    })
}

/// Returns the members of the group and of the session that a process leads, and the descendants of
/// all of them.
fn others(pid: u32, all: &[Kin]) -> Vec<u32> {
    let mut children: HashMap<u32, Vec<u32>> = HashMap::new();
    for one in all {
        children.entry(one.parent).or_default().push(one.pid);
    }
    let led = |one: &&Kin| one.group == pid || one.session == pid;
    let mut left: Vec<u32> = all.iter().filter(led).map(|one| one.pid).collect();
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
        assert_eq!((found.parent, found.group, found.session), (4, 5, 6));
        assert!(kin(17, "17 (short) S 4").is_none());
    }

    #[test]
    fn orphans_in_the_group_or_session_count_and_strangers_do_not() {
        let kin = |(pid, parent, group, session)| Kin {
            pid,
            parent,
            group,
            session,
        };
        // 20 leads a group, and perhaps a session; 22 has lost its parent; 23 has left both and its
        // parent; 24 is a child of 22 in its own session; 25 has its own group.
        for session in [20, 5] {
            let mut all = vec![
                (20, 1, 20, session),
                (21, 20, 20, session),
                (22, 1, 20, session),
                (23, 1, 23, 23),
                (24, 22, 24, 24),
                (30, 1, 30, 5),
            ];
            if session == 20 {
                all.push((25, 1, 25, session));
            }
            let all: Vec<_> = all.into_iter().map(kin).collect();
            let mut found = others(20, &all);
            found.sort_unstable();
            let expected: &[u32] = if session == 20 {
                &[21, 22, 24, 25]
            } else {
                &[21, 22, 24]
            };
            assert_eq!(found, expected);
            #[cfg(feature = "command")]
            {
                let read = |pid| all.iter().find(|one| one.pid == pid).copied();
                let belongs = |pid: &u32| leaders_of(*pid, read).any(|leader| leader == 20);
                let found: Vec<u32> = all.iter().map(|one| one.pid).filter(belongs).collect();
                assert_eq!(found, [&[20], expected].concat());
            }
        }
    }
}
