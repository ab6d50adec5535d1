//! Stack dumps by a copy of this process.
//!
//! CPython's faulthandler writes the stacks of all threads without the GIL. Beside running threads
//! that is a race: the memory that it reads may be freed meanwhile, and a crash would end the
//! worker. So it runs in a copy of the process, made by `clone` without shared memory, where
//! nothing changes any more. The copy has only the thread that made it. It runs no handlers for
//! forks or signals, writes no core file, sends no `SIGCHLD`, and ends at once. If it reads the
//! state of a thread in the middle of a change and crashes, only the copy ends, and what it wrote
//! until then is used.
//!
//! The threads of this process continue meanwhile, and notice only that pages are copied when they
//! write to them.
#![expect(
    unsafe_code,
    reason = "clone, and the two functions of CPython that the copy calls"
)]

use std::ffi::{c_int, c_long, c_void};
use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd};
use std::os::unix::fs::FileExt as _;
use std::time::Duration;

use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::process::socket;

/// Longest life of a copy.
const PATIENCE: Duration = Duration::from_secs(1);

/// Largest number of bytes that a copy may write: more than are ever sent, since all threads share
/// that limit.
const LIMIT: usize = 1 << 20;

/// Number of words at the beginning of an interpreter's state that are searched for its list of
/// threads.
const WORDS: usize = 8192;

/// Descriptor to which faulthandler writes. In this process, dumps that other code requests go
/// there; in the copy it is another file.
const STDERR: c_int = 2;

/// Returns a signal that faulthandler is registered for, which reveals its handler. The signal is
/// never sent.
fn number() -> c_int {
    libc::SIGRTMIN() + 9
}

/// Facts about the interpreter that a copy needs, collected in advance.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Snapshot {
    /// Writes the stacks of up to 100 threads, the youngest first.
    handler: extern "C" fn(c_int),
    /// `PyInterpreterState_ThreadHead`, if this CPython has it.
    head: Option<extern "C" fn(*mut c_void) -> *mut c_void>,
    /// Address of the interpreter's state.
    interpreter: usize,
    /// Address of the state of the thread that runs the tools.
    main: usize,
}

/// The output of a copy.
#[derive(Debug)]
pub(crate) struct Written {
    pub(crate) text: Vec<u8>,
    /// The copy has finished.
    pub(crate) complete: bool,
}

impl Snapshot {
    /// Collects the facts. Called on the thread that runs the tools; it costs the import of a
    /// built-in module.
    pub(crate) fn prepare(py: Python<'_>) -> PyResult<Self> {
        let arguments = PyDict::new(py);
        arguments.set_item("file", STDERR)?;
        arguments.set_item("all_threads", true)?;
        py.import("faulthandler")?
            .call_method("register", (number(),), Some(&arguments))?;
        // SAFETY: zeros are a valid `sigaction`, and the pointer refers to memory of its size;
        // without a new action nothing changes.
        let handler = unsafe {
            let mut action: libc::sigaction = std::mem::zeroed();
            if libc::sigaction(number(), std::ptr::null(), &raw mut action) != 0
                || action.sa_sigaction <= libc::SIG_IGN
            {
                return Err(io::Error::last_os_error().into());
            }
            // SAFETY: faulthandler's handler takes the number of the signal alone: it was installed
            // without `SA_SIGINFO`.
            std::mem::transmute::<usize, extern "C" fn(c_int)>(action.sa_sigaction)
        };
        // SAFETY: the name is a C string. A function of this name has had this signature in all
        // versions of CPython 3.
        let head = unsafe {
            let found = libc::dlsym(
                libc::RTLD_DEFAULT,
                c"PyInterpreterState_ThreadHead".as_ptr(),
            );
            (!found.is_null()).then(|| {
                std::mem::transmute::<*mut c_void, extern "C" fn(*mut c_void) -> *mut c_void>(found)
            })
        };
        // SAFETY: this thread is attached to the interpreter, as `py` shows.
        let (interpreter, main) =
            unsafe { (ffi::PyInterpreterState_Get(), ffi::PyThreadState_Get()) };
        Ok(Self {
            handler,
            head,
            interpreter: interpreter as usize,
            main: main as usize,
        })
    }

    /// Makes a copy and waits for its end. The calling thread must block all signals, which stay
    /// blocked in the copy.
    pub(crate) fn take(&self) -> io::Result<Written> {
        let file = memory_file()?;
        let mut pidfd: c_int = -1;
        let flags = c_long::from(libc::CLONE_PIDFD);
        // SAFETY: without a stack and without shared memory this is a `fork` that runs no handlers.
        // The pidfd goes to `pidfd`; the other pointers are not used with these flags. No signal
        // reports the end of the copy to this process.
        let pid = unsafe { libc::syscall(libc::SYS_clone, flags, 0, &raw mut pidfd, 0, 0) };
        if pid == 0 {
            self.write_down(file.as_raw_fd());
        }
        let pid = libc::pid_t::try_from(pid).unwrap_or(-1);
        if pid < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the kernel has just created it.
        let pidfd = unsafe { OwnedFd::from_raw_fd(pidfd) };
        let ended = matches!(socket::readable(&pidfd, Some(PATIENCE)), Ok(true));
        let mut status = -1;
        // SAFETY: the copy was not waited for yet, so the process id is still its own. Only
        // `__WALL` finds a child without a signal.
        unsafe {
            if !ended {
                libc::kill(pid, libc::SIGKILL);
            }
            libc::waitpid(pid, &raw mut status, libc::__WALL);
        }
        let size = usize::try_from(file.metadata()?.len()).unwrap_or(LIMIT);
        let mut text = vec![0; size.min(LIMIT)];
        file.read_exact_at(&mut text, 0)?;
        Ok(Written {
            text,
            complete: status == 0 && size < LIMIT,
        })
    }

    /// Runs in the copy: writes the thread that runs the tools first, since it is the oldest and
    /// would be the last of the others.
    ///
    /// Nothing here takes a lock or allocates memory: the threads that hold the locks do not exist
    /// here to release them.
    fn write_down(&self, file: c_int) -> ! {
        let size = libc::rlimit {
            rlim_cur: LIMIT as libc::rlim_t,
            rlim_max: LIMIT as libc::rlim_t,
        };
        // SAFETY: system calls on numbers and on a structure of this stack; they change nothing but
        // this copy.
        unsafe {
            libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
            libc::prctl(libc::PR_SET_DUMPABLE, 0);
            libc::setrlimit(libc::RLIMIT_FSIZE, &raw const size);
            if libc::dup2(file, STDERR) < 0 {
                libc::_exit(1);
            }
        }
        if let Some(head) = self.head {
            self.main_alone(head);
        }
        (self.handler)(number());
        // SAFETY: it takes a number. Destructors and exit handlers belong to the process that was
        // copied.
        unsafe { libc::_exit(0) }
    }

    /// Makes the thread that runs the tools the first of the list for a moment. As the oldest
    /// thread it is the last of the list, so a list that begins with it has no others. `head` shows
    /// which word of the interpreter's state is the beginning of the list.
    fn main_alone(&self, head: extern "C" fn(*mut c_void) -> *mut c_void) {
        let interpreter = self.interpreter as *mut c_void;
        let first = head(interpreter) as usize;
        for index in 0..WORDS {
            let word = (interpreter as *mut usize).wrapping_add(index);
            // SAFETY: the list lies within the state, and the search ends there. If it did not,
            // only the copy would crash.
            unsafe {
                if word.read() != first {
                    continue;
                }
                word.write(self.main);
                let found = head(interpreter) as usize == self.main;
                if found {
                    (self.handler)(number());
                }
                word.write(first);
                if found {
                    return;
                }
            }
        }
    }
}

fn memory_file() -> io::Result<File> {
    // SAFETY: the name is a C string; the descriptor is new and ours.
    unsafe {
        match libc::memfd_create(c"stacks".as_ptr(), libc::MFD_CLOEXEC) {
            -1 => Err(io::Error::last_os_error()),
            fd => Ok(File::from_raw_fd(fd)),
        }
    }
}

/// Blocks all signals in the current thread: none interrupts it, and none reaches the copies that
/// it makes.
pub(crate) fn block_signals() {
    // SAFETY: the set is on this stack, and filled before it is used.
    unsafe {
        let mut all: libc::sigset_t = std::mem::zeroed();
        libc::sigfillset(&raw mut all);
        libc::pthread_sigmask(libc::SIG_BLOCK, &raw const all, std::ptr::null_mut());
    }
}
