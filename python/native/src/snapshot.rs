//! A copy of this process that writes down where its Python threads are.
//!
//! CPython's faulthandler writes the stacks of all threads without the GIL. Beside running threads
//! that is a race: what it reads may go away under it, and a crash would take the worker along. So
//! it runs in a copy of the process, made by `clone` without shared memory: there nothing moves any
//! more. The copy has only the thread that made it, runs no handlers for forks or signals, leaves
//! no core, tells the process that it copies nothing by a `SIGCHLD`, and ends at once. Should it
//! meet a thread in the middle of a change and crash, then it alone ends, and what it wrote until
//! then is used.
//!
//! The threads of this process go on meanwhile, and notice nothing but the pages that are copied
//! when they write to them.
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

use crate::socket;

/// Longest life of a copy.
const PATIENCE: Duration = Duration::from_secs(1);

/// Bytes that a copy may write: some more than are ever sent, since all threads share what is sent.
const LIMIT: usize = 1 << 20;

/// Words at the beginning of an interpreter's state among which its list of threads is looked for.
const WORDS: usize = 8192;

/// Where faulthandler writes to. In this process a dump that somebody else asks for goes there; in
/// the copy it is another file.
const STDERR: c_int = 2;

/// faulthandler is told to serve this signal, and gives its handler away by that. Nobody sends it.
fn number() -> c_int {
    libc::SIGRTMIN() + 9
}

/// What a copy needs to know of the interpreter, found out while there is time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Snapshot {
    /// Writes the stacks of up to 100 threads, the youngest first.
    handler: extern "C" fn(c_int),
    /// `PyInterpreterState_ThreadHead`, where CPython has it.
    head: Option<extern "C" fn(*mut c_void) -> *mut c_void>,
    /// Address of the interpreter's state.
    interpreter: usize,
    /// Address of the state of the thread that runs the tools.
    main: usize,
}

/// What a copy wrote.
#[derive(Debug)]
pub(crate) struct Written {
    pub(crate) text: Vec<u8>,
    /// It came to its end.
    pub(crate) complete: bool,
}

impl Snapshot {
    /// To be called on the thread that runs the tools. It costs the import of a built-in module.
    pub(crate) fn prepare(py: Python<'_>) -> PyResult<Self> {
        let arguments = PyDict::new(py);
        arguments.set_item("file", STDERR)?;
        arguments.set_item("all_threads", true)?;
        py.import("faulthandler")?
            .call_method("register", (number(),), Some(&arguments))?;
        // SAFETY: zeros are a valid `sigaction`, and the pointer is to a place of its size; without
        // a new action nothing changes.
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
        // SAFETY: the name is a string with an end. A function of this name has had this signature
        // in all versions of CPython 3.
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

    /// Makes a copy and waits for its end. All signals must be blocked in the thread that calls
    /// this, and stay so in the copy.
    pub(crate) fn take(&self) -> io::Result<Written> {
        let file = memory_file()?;
        let mut pidfd: c_int = -1;
        let flags = c_long::from(libc::CLONE_PIDFD);
        // SAFETY: without a stack and without shared memory this is a `fork` that runs no handlers.
        // The pidfd goes to `pidfd`; the other pointers are not used with these flags. No signal
        // tells this process of the end of the copy.
        let pid = unsafe { libc::syscall(libc::SYS_clone, flags, 0, &raw mut pidfd, 0, 0) };
        if pid == 0 {
            self.write_down(file.as_raw_fd());
        }
        let pid = libc::pid_t::try_from(pid).unwrap_or(-1);
        if pid < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the kernel has just made it for us.
        let pidfd = unsafe { OwnedFd::from_raw_fd(pidfd) };
        let ended = matches!(socket::readable(&pidfd, Some(PATIENCE)), Ok(true));
        let mut status = -1;
        // SAFETY: the copy was not waited for yet, so the number is still its own. Only `__WALL`
        // finds a child without a signal.
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

    /// What the copy does: the thread that runs the tools first, since it is the oldest, and the
    /// last of the others.
    ///
    /// Nothing here takes a lock or memory: the threads that had them are not here to give them
    /// back.
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

    /// Makes the thread that runs the tools the first of the list for a moment. It is the oldest
    /// and so the last one: a list that begins with it has no others. CPython tells by `head` which
    /// word of the interpreter's state is the beginning of the list.
    fn main_alone(&self, head: extern "C" fn(*mut c_void) -> *mut c_void) {
        let interpreter = self.interpreter as *mut c_void;
        let first = head(interpreter) as usize;
        for index in 0..WORDS {
            let word = (interpreter as *mut usize).wrapping_add(index);
            // SAFETY: the state is larger than where its list is, and the search ends there. Were
            // it not, the copy alone would crash.
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
    // SAFETY: the name is a string with an end; the descriptor is new and ours.
    unsafe {
        match libc::memfd_create(c"stacks".as_ptr(), libc::MFD_CLOEXEC) {
            -1 => Err(io::Error::last_os_error()),
            fd => Ok(File::from_raw_fd(fd)),
        }
    }
}

/// Blocks all signals in the thread that calls it: none interrupts it, and none reaches the copies
/// that it makes.
pub(crate) fn block_signals() {
    // SAFETY: the set is on this stack, and filled before it is used.
    unsafe {
        let mut all: libc::sigset_t = std::mem::zeroed();
        libc::sigfillset(&raw mut all);
        libc::pthread_sigmask(libc::SIG_BLOCK, &raw const all, std::ptr::null_mut());
    }
}
