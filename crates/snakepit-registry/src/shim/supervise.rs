//! The life of a shim: it waits for the end of its worker or its host, then ends the rest.
#![expect(unsafe_code, reason = "nix cannot tell of ends by real-time signals")]

use std::ffi::OsStr;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::time::Duration;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};

use crate::cgroup;
use crate::child::Exit;
use crate::clock::Deadline;
use crate::containment::Containment;
use crate::helpers::MOMENT;
use crate::shim::descend;
use crate::shim::process::{Step, at, close_outputs, control, death, send_note};
use crate::shim::wire::{Note, Order, Stage};
use crate::shim::worker;

/// Milliseconds between two searches while the shim ends the rest. If the parent of a process dies
/// that was not the shim's own child, the process is reparented to the shim without a signal.
const LOOK_AGAIN: u16 = 10;
/// Longest time that a control group may take to empty.
const GROUP_END: Duration = Duration::from_secs(1);

/// The processes that the shim ends with its worker.
#[derive(Debug)]
pub(super) enum Reach {
    /// All descendants of the shim.
    Descendants,
    /// All descendants of the shim, and the processes in a control group.
    Cgroup(PathBuf),
    /// All processes in the namespace whose first process is the shim.
    Namespace,
}

impl Reach {
    pub(super) fn of(order: &Order) -> Self {
        match (&order.cgroup, order.mode) {
            (_, Containment::PidNamespace) => Self::Namespace,
            (Some(dir), _) => Self::Cgroup(PathBuf::from(OsStr::from_bytes(dir.to_bytes()))),
            (None, _) => Self::Descendants,
        }
    }

    /// Kills the processes that exist now.
    fn kill(&self) {
        match self {
            Self::Namespace => {
                // Fails only if there is no other process.
                let all = nix::unistd::Pid::from_raw(-1);
                let _ = nix::sys::signal::kill(all, Signal::SIGKILL);
                return;
            }
            Self::Cgroup(dir) => {
                // Processes outside the group are killed below as descendants.
                let _ = cgroup::kill(dir);
            }
            Self::Descendants => {}
        }
        descend::kill_all();
    }
}

/// The children of the shim: its worker, and the processes that were reparented to it.
#[derive(Debug)]
struct Children {
    worker: i32,
    ended: bool,
    /// Number of processes killed after the worker.
    killed: u32,
}

impl Children {
    /// Reaps the children that have ended. Returns `false` if there are none left.
    fn reap(&mut self) -> bool {
        loop {
            let mut status = 0;
            // SAFETY: the pointer refers to an integer of this function.
            let pid = unsafe { libc::waitpid(-1, &raw mut status, libc::WNOHANG) };
            match pid {
                0 => return true,
                -1 if Errno::last() == Errno::EINTR => {}
                -1 => return false,
                _ => self.note(pid, exit(status)),
            }
        }
    }

    fn note(&mut self, pid: i32, exit: Exit) {
        if pid == self.worker && !self.ended {
            self.ended = true;
            send_note(Note::Ended(exit));
        } else if exit == Exit::Signal(libc::SIGKILL) {
            self.killed += 1;
        }
    }
}

fn exit(status: i32) -> Exit {
    if libc::WIFSIGNALED(status) {
        Exit::Signal(libc::WTERMSIG(status))
    } else {
        Exit::Code(libc::WEXITSTATUS(status))
    }
}

/// Returns a descriptor that becomes readable when a child has ended.
pub(super) fn child_signals() -> Step<SignalFd> {
    let mut set = SigSet::empty();
    set.add(Signal::SIGCHLD);
    let flags = SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK;
    SignalFd::with_flags(&set, flags).map_err(at(Stage::Setup))
}

/// Returns `true` if the host has ended or has dropped the worker.
pub(super) fn host_is_gone() -> bool {
    wait(&[death(), control()], PollFlags::empty(), PollTimeout::ZERO)
}

/// Waits until a child or the host ends.
pub(super) fn wait_for_end(signals: &SignalFd) {
    let mut fds = [
        PollFd::new(death(), PollFlags::empty()),
        PollFd::new(control(), PollFlags::empty()),
        PollFd::new(signals.as_fd(), PollFlags::POLLIN),
    ];
    // After an error the caller checks everything and calls again.
    let _ = poll(&mut fds, PollTimeout::NONE);
    drain(signals);
}

fn wait(fds: &[BorrowedFd<'_>], flags: PollFlags, limit: PollTimeout) -> bool {
    let mut fds: Vec<_> = fds.iter().map(|&fd| PollFd::new(fd, flags)).collect();
    poll(&mut fds, limit).is_ok_and(|ready| ready > 0)
}

fn drain(signals: &SignalFd) {
    while matches!(signals.read_signal(), Ok(Some(_))) {}
}

/// Starts the worker, waits for its end or the host's, and ends the rest.
pub(super) fn run(order: &Order, reach: &Reach) -> Step<()> {
    let signals = child_signals()?;
    let Some(program) = &order.program else {
        send_note(Note::Started);
        return Ok(());
    };
    let worker = worker::start(order, program)?;
    close_outputs()?;
    let mut children = Children {
        worker,
        ended: false,
        killed: 0,
    };
    while children.reap() && !children.ended && !host_is_gone() {
        wait_for_end(&signals);
    }
    let moment = Deadline::after(MOMENT);
    while children.reap() {
        // Helpers are spared only while the host lives.
        let sparing = children.ended && !moment.passed() && !host_is_gone();
        if !(sparing && descend::spare_helpers()) {
            reach.kill();
        }
        let limit = PollTimeout::from(LOOK_AGAIN);
        wait(&[signals.as_fd()], PollFlags::POLLIN, limit);
        drain(&signals);
    }
    if let Reach::Cgroup(dir) = reach {
        cgroup::end(dir, Deadline::after(GROUP_END));
    }
    let killed = children.killed;
    send_note(Note::Empty { killed });
    Ok(())
}
