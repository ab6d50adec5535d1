//! Reaps the orphans that are reparented to this process.
//!
//! The first process of a system or container, and a child subreaper, become the parent of every
//! orphan below them. Descendants of workers are then reparented to the host and stay zombies until
//! the host reaps them. A thread reaps these processes, and no others: the status of a child that
//! the program has started itself belongs to the program.

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

/// Interval between two checks for ended children.
const LOOK: Duration = Duration::from_millis(200);
/// Number of checks between two surveys of all children, which recognise the living ones by their
/// marks.
const SURVEY: u32 = 5;

/// The id of the process that runs the thread, if any, and the workers and shims that it has
/// started. They lead groups and sessions, by which their members are recognised.
static STARTED: Mutex<(Option<u32>, BTreeSet<i32>)> = Mutex::new((None, BTreeSet::new()));

/// Returns `true` if orphans of this system are reparented to this process.
pub(crate) fn falls_to_us() -> bool {
    id() == 1 || nix::sys::prctl::get_child_subreaper().unwrap_or(false)
}

/// Starts the thread if it is needed and does not run yet.
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
    // Without the thread zombies remain, which cost a process id each. The next registry tries
    // again.
    started.0 = spawned.is_ok().then(id);
}

/// Registers a process that this one has started and whose owner reaps it.
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

/// Checks for an ended child without reaping it.
fn somebody_has_ended() -> bool {
    let flags = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
    !matches!(waitid(Id::All, flags), Ok(WaitStatus::StillAlive) | Err(_))
}

/// Number of checks after which a zombie in another session that was never seen alive is reaped. It
/// lived for less than a second, and programs that start sessions of their own wait for them at
/// once.
const FORGOTTEN: u32 = 25;

/// The state of all children that the thread has seen.
#[derive(Debug, Default)]
struct Known {
    /// Children by process id and start time.
    seen: BTreeMap<(i32, u64), Seen>,
}

#[derive(Clone, Copy, Debug)]
enum Seen {
    /// The child was seen alive. `marked` is `true` if it carries a mark that this process does not
    /// have.
    Alive { marked: bool },
    /// The child had ended when it was first seen; `sightings` counts the checks since then.
    Ended { sightings: u32 },
}

impl Known {
    /// Examines all children and reaps the inherited ones that have ended.
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
            let seen = self.seen.entry(key).or_insert(Seen::Ended { sightings: 0 });
            let inherited = match seen {
                _ if groups.contains(&stat.pgid) || groups.contains(&stat.session) => true,
                Seen::Alive { marked } => *marked,
                Seen::Ended { sightings } => {
                    *sightings += 1;
                    *sightings > FORGOTTEN && session.is_some_and(|own| own != stat.session)
                }
            };
            if inherited {
                reap(*pid, stat);
            }
        }
    }
}

/// Returns the started processes that exist or whose groups or sessions have members.
fn groups(stats: &[(i32, Stat)]) -> BTreeSet<i32> {
    let mut used = BTreeSet::new();
    for (pid, stat) in stats {
        used.extend([*pid, stat.pgid, stat.session]);
    }
    let mut started = STARTED.lock().unwrap_or_else(PoisonError::into_inner);
    // A process that was started after the snapshot is not in it and must not be forgotten.
    let fresh = |pid: i32| procfs::stat(pid).is_ok_and(|stat| stat.is_some());
    started.1.retain(|pid| used.contains(pid) || fresh(*pid));
    started.1.clone()
}

/// The marks that a process carries.
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

/// Returns `true` if a process carries a mark that this process does not have: a worker, or a
/// descendant of one.
fn marked(pid: i32, own: &Marks) -> bool {
    let marks = Marks::of(pid);
    let mut cookies = marks.cookies.iter();
    cookies.any(|cookie| !own.cookies.contains(cookie))
        || marks.stamp.is_some() && marks.stamp != own.stamp
}

/// Reaps a zombie if it is still the process that was examined.
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
