//! The birth of a worker: forked from a single-threaded process and held until the host's go-ahead.
#![expect(
    unsafe_code,
    reason = "fork, and the few calls that are allowed between it and exec"
)]

use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal};
use nix::unistd::ForkResult;

use crate::image::{mask, pointers};
use crate::launch::HOST_PID_VAR;
use crate::shim::process::{Step, at, control, death, send_note};
use crate::shim::wire::{Note, Order, Stage};
use crate::sys;

/// Starts the worker and returns its process id once it executes its program. The worker reports
/// its birth to the host and waits for the go-ahead. If the host is gone meanwhile, the id is
/// returned as well: the caller ends the worker.
pub(super) fn start(order: &Order, program: &CStr) -> Step<i32> {
    let fork = at(Stage::Fork);
    let (failure, report) = nix::unistd::pipe2(OFlag::O_CLOEXEC).map_err(&fork)?;
    let me = nix::unistd::getpid();
    // Workers compare their parent's id with this variable.
    let parent = CString::new(format!("{HOST_PID_VAR}={me}"));
    let parent = parent.map_err(|_| (Stage::Setup, Errno::EINVAL))?;
    let mut envp = order.envp.clone();
    envp.push(parent);
    let (argv, envp) = (pointers(&order.argv), pointers(&envp));
    let birth = Birth {
        program: program.as_ptr(),
        cwd: order.cwd.as_ref().map(|dir| dir.as_ptr()),
        argv: argv.as_ptr(),
        envp: envp.as_ptr(),
        parent: me.as_raw(),
        report: report.as_raw_fd(),
        terminal: sys::has_terminal(),
        mask: mask(order.held_back),
    };
    // SAFETY: this process has one thread, and the child only makes system calls.
    let worker = match unsafe { nix::unistd::fork() }.map_err(&fork)? {
        ForkResult::Child => birth.go(),
        ForkResult::Parent { child } => child,
    };
    drop(report);
    match wait_for_exec(&failure) {
        None => {
            send_note(Note::Started);
            Ok(worker.as_raw())
        }
        Some(errno) => {
            // The process has ended by itself; its status holds no further information.
            let _ = nix::sys::wait::waitpid(worker, None);
            Err((Stage::Exec, errno))
        }
    }
}

/// Returns the worker's error if it could not execute its program.
fn wait_for_exec(failure: &OwnedFd) -> Option<Errno> {
    let mut bytes = [0; 4];
    loop {
        let mut fds = [
            PollFd::new(failure.as_fd(), PollFlags::POLLIN),
            PollFd::new(death(), PollFlags::empty()),
        ];
        match poll(&mut fds, PollTimeout::NONE) {
            Err(Errno::EINTR) => continue,
            Err(_) => return None,
            Ok(_) => {}
        }
        if fds[0].revents().is_none_or(|flags| flags.is_empty()) {
            return None;
        }
        return match nix::unistd::read(failure, &mut bytes) {
            Ok(4) => Some(Errno::from_raw(i32::from_le_bytes(bytes))),
            Err(Errno::EINTR) => continue,
            _ => None,
        };
    }
}

/// All inputs of the new process, prepared before the fork: the new process must not allocate
/// memory.
struct Birth {
    program: *const libc::c_char,
    cwd: Option<*const libc::c_char>,
    argv: *const *mut libc::c_char,
    envp: *const *mut libc::c_char,
    parent: i32,
    report: i32,
    /// `true` if a new session is needed to detach the process from the terminal.
    terminal: bool,
    /// The signals that are blocked when the program begins.
    mask: SigSet,
}

impl Birth {
    /// Makes the process the leader of a group without a terminal, lets it die with its parent,
    /// reports its birth, waits for the go-ahead and executes the program.
    fn go(&self) -> ! {
        // SAFETY: all pointers refer to strings and lists that end with NUL and outlive this
        // process; the other calls take numbers or places of this function.
        unsafe {
            if self.terminal {
                libc::setsid();
            } else {
                libc::setpgid(0, 0);
            }
            libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
            if libc::getppid() != self.parent {
                libc::_exit(126);
            }
            send_note(Note::Born);
            let mut word = 0_u8;
            let host = control().as_raw_fd();
            while libc::recv(host, (&raw mut word).cast(), 1, 0) != 1 {
                if Errno::last() != Errno::EINTR {
                    libc::_exit(126);
                }
            }
            if self.mask.thread_set_mask().is_ok()
                && self.cwd.is_none_or(|dir| libc::chdir(dir) == 0)
            {
                libc::execve(self.program, self.argv.cast(), self.envp.cast());
            }
            let errno = i32::to_le_bytes(Errno::last() as i32);
            libc::write(self.report, errno.as_ptr().cast(), errno.len());
            libc::_exit(127);
        }
    }
}

/// Makes the first process of a namespace die with its parent. Fails if the parent has died
/// already.
pub(super) fn die_with(parent: &OwnedFd) -> Step<()> {
    nix::sys::prctl::set_pdeathsig(Signal::SIGKILL).map_err(at(Stage::Setup))?;
    let mut fds = [PollFd::new(parent.as_fd(), PollFlags::POLLIN)];
    match poll(&mut fds, PollTimeout::ZERO) {
        Ok(0) => Ok(()),
        _ => Err((Stage::Setup, Errno::ESRCH)),
    }
}
