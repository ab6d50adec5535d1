//! The birth of a worker: forked from a process of one thread, held until the host says go.
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
use crate::shim::process::{Step, at, control, death, tell};
use crate::shim::wire::{Note, Order, Stage};
use crate::sys;

/// Starts the worker and returns its process id when it runs its program. The worker tells the
/// host that it is born, and waits for a word before it goes on. When the host is gone meanwhile,
/// the id is returned as well: the caller ends it.
pub(super) fn start(order: &Order, program: &CStr) -> Step<i32> {
    let fork = at(Stage::Fork);
    let (failure, report) = nix::unistd::pipe2(OFlag::O_CLOEXEC).map_err(&fork)?;
    let me = nix::unistd::getpid();
    // Workers compare their parent with it.
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
            tell(Note::Started);
            Ok(worker.as_raw())
        }
        Some(errno) => {
            // It has ended by itself; its status says nothing more.
            let _ = nix::sys::wait::waitpid(worker, None);
            Err((Stage::Exec, errno))
        }
    }
}

/// The error of the worker, if it did not come to its program.
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

/// All that the new process needs, laid out before the fork: it may not ask for memory.
struct Birth {
    program: *const libc::c_char,
    cwd: Option<*const libc::c_char>,
    argv: *const *mut libc::c_char,
    envp: *const *mut libc::c_char,
    parent: i32,
    report: i32,
    /// A session of its own rids it of the terminal.
    terminal: bool,
    /// The signals that the program begins with blocked.
    mask: SigSet,
}

impl Birth {
    /// Leads its own group without a terminal, dies with its parent, says that it is born, waits, and
    /// becomes the program.
    fn go(&self) -> ! {
        // SAFETY: all pointers are to strings and lists that end with NUL and outlive this
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
            tell(Note::Born);
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

/// The first process of a namespace dies with its parent; the parent may have died before it
/// asked for that.
pub(super) fn die_with(parent: &OwnedFd) -> Step<()> {
    nix::sys::prctl::set_pdeathsig(Signal::SIGKILL).map_err(at(Stage::Setup))?;
    let mut fds = [PollFd::new(parent.as_fd(), PollFlags::POLLIN)];
    match poll(&mut fds, PollTimeout::ZERO) {
        Ok(0) => Ok(()),
        _ => Err((Stage::Setup, Errno::ESRCH)),
    }
}
