//! What falls to this process when its parents end, and who waits for it.
//!
//! The first process of a system or container, and a child subreaper, become the parent of every
//! orphan below them. What workers have started falls to their host then, and stays as a zombie
//! until the host asks how it ended. A thread does that, for these processes alone: the status of a
//! child that the program has started itself is the program's.

use std::collections::{BTreeMap, BTreeSet};
use std::os::fd::AsFd;
use std::process::id;
use std::sync::{Mutex, PoisonError};
use std::thread::Builder;
use std::time::Duration;

use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid};

use crate::cookie::Cookie;
use crate::pidfd::PidFd;
use crate::procfs::{self, Stat};
use crate::stamp::{self, Stamp};
use crate::{image, sys};

/// How often it is asked whether a child has ended.
const LOOK: Duration = Duration::from_millis(200);
/// Every how many looks all children are looked at, to know the living ones by their marks.
const SURVEY: u32 = 5;

/// The processes that this one has started as workers and shims, and the process that has the
/// thread, if any. They lead groups and sessions, whose members are known by that.
static STARTED: Mutex<(Option<u32>, BTreeSet<i32>)> = Mutex::new((None, BTreeSet::new()));

/// Whether orphans of this system fall to this process.
pub(crate) fn falls_to_us() -> bool {
    id() == 1 || nix::sys::prctl::get_child_subreaper().unwrap_or(false)
}

/// Starts the thread where it is needed and not there yet.
pub(crate) fn watch() {
    if !falls_to_us() {
        return;
    }
    let mut started = STARTED.lock().unwrap_or_else(PoisonError::into_inner);
    if started.0 == Some(id()) {
        return;
    }
    let spawned = Builder::new()
        .name("snakepit-reaper".to_owned())
        .spawn(serve);
    // Without it zombies stay, which cost a number each; the next registry tries again.
    started.0 = spawned.is_ok().then(id);
}

/// Notes a process that this one has started; its owner waits for it.
pub(crate) fn note(pid: i32) {
    let mut started = STARTED.lock().unwrap_or_else(PoisonError::into_inner);
    if started.0 == Some(id()) {
        started.1.insert(pid);
    }
}

fn serve() {
    let _ = image::block_signals();
    let mut known = Known::default();
    for turn in 0_u32.. {
        std::thread::sleep(LOOK);
        if turn % SURVEY == 0 || somebody_has_ended() {
            known.survey();
        }
    }
}

/// Looks without taking any status.
fn somebody_has_ended() -> bool {
    let flags = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
    !matches!(waitid(Id::All, flags), Ok(WaitStatus::StillAlive) | Err(_))
}

/// After so many looks nobody waits for a zombie of another session that was never seen alive: it
/// lived for less than a second, and programs that start sessions of their own wait at once.
const FORGOTTEN: u32 = 25;

/// What is known of the children.
#[derive(Debug, Default)]
struct Known {
    /// By number and start.
    seen: BTreeMap<(i32, u64), Seen>,
}

#[derive(Clone, Copy, Debug)]
enum Seen {
    /// It lives or has lived; whether it carries a mark that this process does not have.
    Alive { marked: bool },
    /// It had ended when it was seen first, so many looks ago.
    Ended { looks: u32 },
}

impl Known {
    /// Looks at all children, and takes the status of those that are inherited and have ended.
    fn survey(&mut self) {
        let me = nix::unistd::getpid().as_raw();
        let stats = procfs::pids().unwrap_or_default().into_iter();
        let stats: Vec<(i32, Stat)> = stats
            .filter_map(|pid| Some((pid, procfs::stat(pid).ok().flatten()?)))
            .collect();
        let groups = groups(&stats);
        let own = Marks::of(me);
        let children = || stats.iter().filter(|(_, stat)| stat.ppid == me);
        let key = |pid: i32, stat: &Stat| (pid, stat.start_ticks);
        let now: BTreeSet<_> = children().map(|(pid, stat)| key(*pid, stat)).collect();
        self.seen.retain(|one, _| now.contains(one));
        let session = stats.iter().find(|(pid, _)| *pid == me);
        let session = session.map(|(_, stat)| stat.session);
        for (pid, stat) in children().filter(|(pid, _)| !groups.contains(pid)) {
            let key = key(*pid, stat);
            if stat.state != 'Z' {
                let marked = marked(*pid, &own);
                self.seen.insert(key, Seen::Alive { marked });
                continue;
            }
            let seen = self.seen.entry(key).or_insert(Seen::Ended { looks: 0 });
            let inherited = match seen {
                _ if groups.contains(&stat.pgid) || groups.contains(&stat.session) => true,
                Seen::Alive { marked } => *marked,
                Seen::Ended { looks } => {
                    *looks += 1;
                    *looks > FORGOTTEN && session.is_some_and(|own| own != stat.session)
                }
            };
            if inherited {
                reap(*pid, stat);
            }
        }
    }
}

/// The started processes that are there, or whose groups or sessions have members.
fn groups(stats: &[(i32, Stat)]) -> BTreeSet<i32> {
    let mut used = BTreeSet::new();
    for (pid, stat) in stats {
        used.extend([*pid, stat.pgid, stat.session]);
    }
    let mut started = STARTED.lock().unwrap_or_else(PoisonError::into_inner);
    // One that was started after the look is not among them and must not be forgotten.
    let fresh = |pid: i32| procfs::stat(pid).is_ok_and(|stat| stat.is_some());
    started.1.retain(|pid| used.contains(pid) || fresh(*pid));
    started.1.clone()
}

/// What a process carries.
struct Marks {
    cookies: Vec<Cookie>,
    stamp: Option<Stamp>,
}

impl Marks {
    fn of(pid: i32) -> Self {
        Self {
            cookies: procfs::cookies(pid).ok().flatten().unwrap_or_default(),
            stamp: stamp::of_process(pid).ok().flatten(),
        }
    }
}

/// Whether a process carries a mark that is not this process's own: a worker, or below one.
fn marked(pid: i32, own: &Marks) -> bool {
    let marks = Marks::of(pid);
    let mut cookies = marks.cookies.iter();
    cookies.any(|cookie| !own.cookies.contains(cookie))
        || marks.stamp.is_some() && marks.stamp != own.stamp
}

/// Takes the status of a zombie that is still the one that was looked at.
fn reap(pid: i32, seen: &Stat) {
    let Ok(Some(held)) = PidFd::open(pid) else {
        return;
    };
    let same = |now: Stat| now.start_ticks == seen.start_ticks && now.state == 'Z';
    if procfs::stat(pid).ok().flatten().is_some_and(same) {
        // The program may have waited for all children itself.
        let _ = sys::wait_exit(held.as_fd(), false);
    }
}
