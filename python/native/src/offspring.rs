//! What a cancelled tool has started, down to the last descendant.
//!
//! A library that is interrupted while it waits for a child kills that child and nothing else, as
//! `subprocess.run` does. When the child is a shell, what the shell has started would go on without
//! anybody who waits for it: processes whose parents die of the cancellation end as well. A task of
//! an event loop that is cancelled while it waits for a program leaves the program alone: there,
//! the programs that the call has started end with it.
#![expect(unsafe_code, reason = "pidfds have no safe interface in libc")]

use std::fs;
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd};

/// Processes that are looked at most.
const MOST: usize = 1024;

/// Processes and their descendants at one moment, parents before their children.
#[derive(Debug, Default)]
pub(crate) struct Offspring(Vec<Process>);

#[derive(Debug)]
struct Process {
    pid: libc::pid_t,
    parent: libc::pid_t,
    held: OwnedFd,
}

impl Offspring {
    /// What a thread of this process has started, as far as it lives.
    pub(crate) fn of(task: libc::pid_t) -> Self {
        let mut found = Self::default();
        found.add_children(me(), &format!("/proc/self/task/{task}"));
        found.look();
        found
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Adds a child of this process, and lets go of those that have ended.
    pub(crate) fn add_child(&mut self, pid: libc::pid_t) {
        self.0.retain(|process| {
            Stat::of(process.pid).is_some_and(|now| now.parent == process.parent)
        });
        self.add(pid, me());
    }

    /// Adds the others, which come before the own ones.
    pub(crate) fn add_all(&mut self, mut others: Self) {
        others.0.append(&mut self.0);
        *self = others;
    }

    /// Adds the descendants that there are now.
    pub(crate) fn look(&mut self) {
        let mut next = 0;
        while let Some(process) = self.0.get(next) {
            let pid = process.pid;
            let threads = fs::read_dir(format!("/proc/{pid}/task"));
            for thread in threads.into_iter().flatten().flatten() {
                self.add_children(pid, &thread.path().to_string_lossy());
            }
            next += 1;
        }
    }

    fn add_children(&mut self, parent: libc::pid_t, task: &str) {
        let text = fs::read_to_string(format!("{task}/children")).unwrap_or_default();
        for pid in text.split_ascii_whitespace() {
            if let Ok(pid) = pid.parse() {
                self.add(pid, parent);
            }
        }
    }

    fn add(&mut self, pid: libc::pid_t, parent: libc::pid_t) {
        if self.0.len() < MOST
            && !self.0.iter().any(|known| known.pid == pid)
            && let Some(held) = hold(pid)
            && Stat::of(pid).is_some_and(|stat| stat.parent == parent)
        {
            self.0.push(Process { pid, parent, held });
        }
    }

    /// Kills those whose parent has ended since, and what descends from them.
    pub(crate) fn end_orphans(self) {
        self.end(|_| false);
    }

    /// Kills the programs that this process has started, those whose parent has ended since, and
    /// what descends from them. A program that leads a group of its own is to outlive what has
    /// started it, and a copy of this process is none.
    pub(crate) fn end_programs(mut self) {
        self.look();
        let (me, group) = (me(), group());
        self.end(|stat| stat.parent == me && stat.group == group && !stat.is_copy);
    }

    fn end(self, and: impl Fn(&Stat) -> bool) {
        let mut killed = Vec::new();
        for process in self.0 {
            let Some(stat) = Stat::of(process.pid) else {
                continue;
            };
            if stat.parent != process.parent || killed.contains(&process.parent) || and(&stat) {
                kill(&process.held);
                killed.push(process.pid);
            }
        }
    }
}

/// The youngest child of this thread.
pub(crate) fn youngest() -> Option<libc::pid_t> {
    let text = fs::read_to_string("/proc/thread-self/children").ok()?;
    text.split_ascii_whitespace().last()?.parse().ok()
}

fn me() -> libc::pid_t {
    // SAFETY: it takes nothing and cannot fail.
    unsafe { libc::getpid() }
}

fn group() -> libc::pid_t {
    // SAFETY: it takes nothing and cannot fail.
    unsafe { libc::getpgrp() }
}

/// A descriptor that means this process and never another one.
fn hold(pid: libc::pid_t) -> Option<OwnedFd> {
    // SAFETY: the call takes numbers; the descriptor that it returns is new and nobody else's.
    unsafe {
        let fd = libc::syscall(libc::SYS_pidfd_open, pid, 0);
        let fd = i32::try_from(fd).ok().filter(|fd| *fd >= 0)?;
        Some(OwnedFd::from_raw_fd(fd))
    }
}

fn kill(process: &OwnedFd) {
    let info: *const libc::siginfo_t = std::ptr::null();
    // SAFETY: without details the signal is as that of `kill`. One that is gone needs none.
    unsafe {
        libc::syscall(
            libc::SYS_pidfd_send_signal,
            process.as_raw_fd(),
            libc::SIGKILL,
            info,
            0,
        )
    };
}

/// What the kernel says of a process that has not ended.
#[derive(Debug)]
struct Stat {
    parent: libc::pid_t,
    group: libc::pid_t,
    /// It was forked, and runs the program of its parent.
    is_copy: bool,
}

/// A flag of the kernel: forked, and no program was executed since.
const FORKED: u32 = 0x40;

impl Stat {
    fn of(pid: libc::pid_t) -> Option<Self> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // The name may hold anything, also parentheses.
        let mut fields = stat.rsplit_once(") ")?.1.split_ascii_whitespace();
        if matches!(fields.next()?, "Z" | "X") {
            return None;
        }
        Some(Self {
            parent: fields.next()?.parse().ok()?,
            group: fields.next()?.parse().ok()?,
            // Behind session, terminal and the terminal's group.
            is_copy: fields.nth(3)?.parse::<u32>().ok()? & FORKED != 0,
        })
    }
}
