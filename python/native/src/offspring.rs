//! What a cancelled tool has started, down to the last descendant: processes whose parents die of the cancellation end as well.
//!
//! A library that is interrupted while it waits for a child kills that child and nothing else, as `subprocess.run` does. When the child is a
//! shell, what the shell has started would go on without anybody who waits for it.
#![expect(unsafe_code, reason = "pidfds have no safe interface in libc")]

use std::fs;
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd};

/// Processes that are looked at most.
const MOST: usize = 1024;

/// The descendants of a thread at one moment, parents before their children.
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
        // SAFETY: it takes nothing and cannot fail.
        let me = unsafe { libc::getpid() };
        found.add(me, &format!("/proc/self/task/{task}"));
        let mut next = 0;
        while let Some(process) = found.0.get(next) {
            let pid = process.pid;
            let threads = fs::read_dir(format!("/proc/{pid}/task"));
            for thread in threads.into_iter().flatten().flatten() {
                found.add(pid, &thread.path().to_string_lossy());
            }
            next += 1;
        }
        found
    }

    fn add(&mut self, parent: libc::pid_t, task: &str) {
        let text = fs::read_to_string(format!("{task}/children")).unwrap_or_default();
        for pid in text.split_ascii_whitespace() {
            let Ok(pid) = pid.parse() else { continue };
            if self.0.len() < MOST
                && let Some(held) = hold(pid)
                && parent_of(pid) == Some(parent)
            {
                self.0.push(Process { pid, parent, held });
            }
        }
    }

    /// Kills those whose parent has ended since, and what descends from them.
    pub(crate) fn end_orphans(self) {
        let mut killed = Vec::new();
        for process in self.0 {
            let parent = parent_of(process.pid);
            if parent.is_some_and(|parent| parent != process.parent)
                || killed.contains(&process.parent)
            {
                kill(&process.held);
                killed.push(process.pid);
            }
        }
    }
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

/// The parent of a process that has not ended.
fn parent_of(pid: libc::pid_t) -> Option<libc::pid_t> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name may hold anything, also parentheses.
    let mut fields = stat.rsplit_once(") ")?.1.split_ascii_whitespace();
    let state = fields.next()?;
    (!matches!(state, "Z" | "X")).then(|| fields.next()?.parse().ok())?
}
