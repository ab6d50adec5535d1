//! Descendants of a cancelled tool: the processes that it has started, and theirs.
//!
//! A library that is interrupted while it waits for a child kills that child and nothing else, as
//! `subprocess.run` does. If the child is a shell, the processes that the shell has started would
//! continue with nothing waiting for them. So processes whose parents die of the cancellation are
//! killed as well. A task of an event loop that is cancelled while it waits for a program does not
//! end the program: there, the programs that the call has started end with it.
#![expect(unsafe_code, reason = "pidfds have no safe interface in libc")]

use std::fs;
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd};

/// Largest number of processes that are tracked.
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
    /// Returns the living descendants of a thread of this process.
    pub(crate) fn of(task: libc::pid_t) -> Self {
        let mut found = Self::default();
        found.add_children(me(), &format!("/proc/self/task/{task}"));
        found.look();
        found
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Adds a child of this process, and drops processes that have ended.
    pub(crate) fn add_child(&mut self, pid: libc::pid_t) {
        self.0.retain(|process| {
            Stat::of(process.pid).is_some_and(|now| now.parent == process.parent)
        });
        self.add(pid, me());
    }

    /// Adds other processes before the own ones.
    pub(crate) fn add_all(&mut self, mut others: Self) {
        others.0.append(&mut self.0);
        *self = others;
    }

    /// Adds the descendants that exist now.
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

    /// Kills processes whose parent has ended since, and their descendants.
    pub(crate) fn end_orphans(self) {
        self.end(|_| false);
    }

    /// Kills the programs that this process has started, processes whose parent has ended since,
    /// and their descendants. Spares programs that lead a process group of their own, which are
    /// meant to outlive the call, and forked copies of this process.
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

/// Returns the youngest child of this thread.
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

/// Opens a descriptor that refers to this process and never to another one.
fn hold(pid: libc::pid_t) -> Option<OwnedFd> {
    // SAFETY: the call takes numbers; the descriptor that it returns is new and not owned
    // elsewhere.
    unsafe {
        let fd = libc::syscall(libc::SYS_pidfd_open, pid, 0);
        let fd = i32::try_from(fd).ok().filter(|fd| *fd >= 0)?;
        Some(OwnedFd::from_raw_fd(fd))
    }
}

fn kill(process: &OwnedFd) {
    let info: *const libc::siginfo_t = std::ptr::null();
    // SAFETY: without `info` the signal is sent as by `kill`. A process that is gone needs none.
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

/// The kernel's record of a process that has not ended.
#[derive(Debug)]
struct Stat {
    parent: libc::pid_t,
    group: libc::pid_t,
    /// The process was forked and still runs the program of its parent.
    is_copy: bool,
}

/// Process flag of the kernel: forked, and no program was executed since.
const FORKED: u32 = 0x40;

impl Stat {
    fn of(pid: libc::pid_t) -> Option<Self> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // The name may contain anything, also parentheses.
        let mut fields = stat.rsplit_once(") ")?.1.split_ascii_whitespace();
        if matches!(fields.next()?, "Z" | "X") {
            return None;
        }
        Some(Self {
            parent: fields.next()?.parse().ok()?,
            group: fields.next()?.parse().ok()?,
            // The flags stand after session, terminal and the terminal's process group.
            is_copy: fields.nth(3)?.parse::<u32>().ok()? & FORKED != 0,
        })
    }
}
