//! The start of one program: every step between its creation and its first instruction.
//!
//! Works like `posix_spawn` of the C library, which cannot set a resource limit: the new process
//! shares the memory of this one until it executes its program, and the calling thread waits for
//! that. Nothing is copied, so the start takes the same time however large the host is. All
//! arguments are prepared beforehand; the new process makes system calls only.
#![expect(
    unsafe_code,
    reason = "clone, and what is allowed between it and exec; each call has its SAFETY text"
)]

use std::ffi::CString;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::ptr;

use nix::sys::signal::{SigSet, SigmaskHow, Signal};

use crate::stamp::Stamp;
use crate::sys;

/// All inputs of a new process, in C's representation.
#[derive(Debug)]
pub(crate) struct Image {
    pub(crate) program: CString,
    pub(crate) argv: Vec<CString>,
    pub(crate) envp: Vec<CString>,
    pub(crate) cwd: Option<CString>,
    /// Sources of descriptors 0, 1 and 2. `None` inherits the host's.
    pub(crate) stdio: [Option<OwnedFd>; 3],
    /// Sources of descriptors 3 and up. Their own numbers must be higher than all targets.
    pub(crate) more: Vec<OwnedFd>,
    /// `true` if SIGTERM, SIGINT and SIGHUP stay blocked until the program unblocks them.
    pub(crate) held_back: bool,
    /// The stamp of the process, if it has one.
    pub(crate) stamp: Option<Stamp>,
}

/// The signals that request a process to end.
pub(crate) const ENDING: [Signal; 3] = [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP];

/// Returns the signal mask that a program begins with.
pub(crate) fn mask(held_back: bool) -> SigSet {
    let mut mask = SigSet::empty();
    if held_back {
        mask.extend(ENDING);
    }
    mask
}

/// One more than the highest signal number on Linux.
const SIGNALS: libc::c_int = 65;

/// Bytes of stack for the few calls before the program.
const STACK: usize = 64 << 10;

/// The inputs and the result of a start, in the memory that both processes share.
struct Birth {
    program: *const libc::c_char,
    argv: *const *mut libc::c_char,
    envp: *const *mut libc::c_char,
    cwd: *const libc::c_char,
    /// Pairs of source and target descriptors.
    moved: Vec<(RawFd, RawFd)>,
    /// The lowest descriptor that is closed.
    closed: libc::c_uint,
    /// `true` if a new session is needed to detach the process from the terminal.
    session: bool,
    mask: SigSet,
    stamp: Option<Stamp>,
    /// The error that kept the process from its program; 0 if there was none.
    errno: libc::c_int,
}

impl Birth {
    /// Makes the process the leader of a group without a terminal and executes the program. Returns
    /// only on failure.
    ///
    /// If the host has a terminal, the worker is detached from it by a session of its own.
    /// Otherwise no session is created, because `CONFIG_SCHED_AUTOGROUP` (sched(7)) schedules each
    /// session as a group of its own, and calls between two groups on one processor are slower.
    ///
    /// # Safety
    /// Runs in a new process that shares the memory of its parent, so it may make system calls
    /// only. The pointers refer to strings and lists that end with NUL and outlive the call.
    unsafe fn go(&self) -> Option<()> {
        let done = |result: libc::c_int| (result >= 0).then_some(());
        // SAFETY: the calls take numbers, places of this function, and the pointers of the caller.
        unsafe {
            done(if self.session {
                libc::setsid()
            } else {
                libc::setpgid(0, 0)
            })?;
            let mut action: libc::sigaction = std::mem::zeroed();
            action.sa_sigaction = libc::SIG_DFL;
            for signal in 1..SIGNALS {
                // Refused for signals whose action is fixed, and for two that the C library
                // reserves.
                libc::sigaction(signal, &raw const action, ptr::null_mut());
            }
            if let Some(stamp) = self.stamp {
                // If the system refuses, the other marks remain.
                let _ = sys::limit_file_locks(0, stamp.limit());
            }
            if !self.cwd.is_null() {
                done(libc::chdir(self.cwd))?;
            }
            for &(source, target) in &self.moved {
                done(if source == target {
                    libc::fcntl(source, libc::F_SETFD, 0)
                } else {
                    libc::dup2(source, target)
                })?;
            }
            // Libraries such as LMDB open files that programs would inherit. Before Linux 5.9 the
            // close-on-exec flag decides, and all descriptors of this crate have it.
            libc::syscall(libc::SYS_close_range, self.closed, libc::c_uint::MAX, 0);
            self.mask.thread_set_mask().ok()?;
            libc::execve(self.program, self.argv.cast(), self.envp.cast());
        }
        None
    }
}

extern "C" fn born(birth: *mut libc::c_void) -> libc::c_int {
    // SAFETY: the parent has passed a `Birth`, and waits until this process has left its memory.
    unsafe {
        let birth = birth.cast::<Birth>();
        if (*birth).go().is_none() {
            (*birth).errno = nix::errno::Errno::last_raw();
        }
        libc::_exit(127)
    }
}

/// Returns the list of strings that C expects. It borrows the strings.
pub(crate) fn pointers(strings: &[CString]) -> Vec<*mut libc::c_char> {
    strings
        .iter()
        .map(|text| text.as_ptr().cast_mut())
        .chain([ptr::null_mut()])
        .collect()
}

/// Starts the program as the leader of its own process group, without a controlling terminal, and
/// returns its process id. If the program cannot be executed, returns the reason and leaves no
/// process behind.
pub(crate) fn spawn(image: &Image) -> io::Result<i32> {
    let (argv, envp) = (pointers(&image.argv), pointers(&image.envp));
    let stdio = (0..).zip(&image.stdio);
    let stdio = stdio.filter_map(|(target, source)| Some((source.as_ref()?.as_raw_fd(), target)));
    let more = (3..).zip(&image.more);
    let more = more.map(|(target, source)| (source.as_raw_fd(), target));
    let mut birth = Birth {
        program: image.program.as_ptr(),
        argv: argv.as_ptr(),
        envp: envp.as_ptr(),
        cwd: image.cwd.as_ref().map_or(ptr::null(), |dir| dir.as_ptr()),
        moved: stdio.chain(more).collect(),
        closed: u32::try_from(3 + image.more.len()).unwrap_or(u32::MAX),
        session: sys::has_terminal(),
        mask: mask(image.held_back),
        stamp: image.stamp,
        errno: 0,
    };
    // The host's signal handlers must not run in the new process.
    let before = SigSet::all().thread_swap_mask(SigmaskHow::SIG_SETMASK)?;
    let pid = clone(&mut birth);
    before.thread_set_mask()?;
    let pid = pid?;
    if birth.errno == 0 {
        return Ok(pid);
    }
    // The process has ended by itself; its status holds no further information.
    let _ = nix::sys::wait::waitpid(nix::unistd::Pid::from_raw(pid), None);
    Err(io::Error::from_raw_os_error(birth.errno))
}

/// Creates the process and waits until it executes its program or ends.
fn clone(birth: &mut Birth) -> io::Result<i32> {
    let mut stack = vec![0_u128; STACK / size_of::<u128>()];
    let flags = libc::CLONE_VM | libc::CLONE_VFORK | libc::SIGCHLD;
    // SAFETY: the new process has a stack of its own, which grows down from its aligned end. This
    // thread continues after that process has left the shared memory, so `stack` and `birth`
    // outlive their use.
    let pid = unsafe {
        let top = stack.as_mut_ptr_range().end;
        libc::clone(born, top.cast(), flags, ptr::from_mut(birth).cast())
    };
    if pid < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(pid)
}

/// Blocks every signal in the calling thread, so that no signal handler of the host runs on it.
pub(crate) fn block_signals() -> io::Result<()> {
    Ok(SigSet::all().thread_block()?)
}
