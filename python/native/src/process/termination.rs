//! Termination signals: obeyed if the host sends them, ignored if other processes do while the host
//! lives.
//!
//! A service manager, a container's init or a terminal sends SIGTERM, SIGINT or SIGHUP to every
//! process of a service. The host handles such a signal for all of them: it waits for running calls
//! and stops its workers in order. A worker that ended at once would lose its calls.
//!
//! A handler that user code installs replaces the one here as long as it is installed.
#![expect(unsafe_code, reason = "sigaction, getppid and raise")]

use std::sync::atomic::{AtomicBool, AtomicI32, AtomicUsize, Ordering};

use pyo3::prelude::*;
use pyo3::types::{PyCFunction, PyDict, PyTuple};
use snakepit_grpc::worker_env;

use crate::process::fork;

/// The value that the host's own signal carries; `TERMINATE_VALUE` of the registry.
const HOST_VALUE: usize = 0x736e_616b;

const SIGNALS: [libc::c_int; 3] = [libc::SIGTERM, libc::SIGINT, libc::SIGHUP];

/// Process id of the parent, which is the host or its shim; 0 without one.
static PARENT: AtomicI32 = AtomicI32::new(0);

/// An adapter cleans up; the host's signal is deferred.
static CLEANING: AtomicBool = AtomicBool::new(false);

/// The host's signal arrived during the clean-up.
static DEFERRED: AtomicBool = AtomicBool::new(false);

/// The action that a signal had before this module replaced it.
#[derive(Debug)]
struct Before {
    handler: AtomicUsize,
    flags: AtomicI32,
}

static BEFORE: [Before; SIGNALS.len()] = [const {
    Before {
        handler: AtomicUsize::new(libc::SIG_DFL),
        flags: AtomicI32::new(0),
    }
}; SIGNALS.len()];

/// Installs the handlers. Called once, before user code runs. Does nothing if the environment names
/// no host.
pub(crate) fn guard(py: Python<'_>) -> PyResult<()> {
    let parent = std::env::var(worker_env::HOST_PID).ok();
    let Some(parent) = parent.and_then(|pid| pid.parse::<libc::pid_t>().ok()) else {
        return Ok(());
    };
    PARENT.store(parent, Ordering::Relaxed);
    SIGNALS.into_iter().for_each(take_over);
    let_through();
    watch_python(py)
}

/// Unblocks the signals, which the host blocks while a worker starts. Pending ones are handled now.
fn let_through() {
    // SAFETY: all zeros is valid memory for a set, which is filled before it is read.
    unsafe {
        let mut set: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&raw mut set);
        for signal in SIGNALS {
            libc::sigaddset(&raw mut set, signal);
        }
        libc::pthread_sigmask(libc::SIG_UNBLOCK, &raw const set, std::ptr::null_mut());
    }
}

/// Installs the handler and remembers the action that it replaces.
fn take_over(signal: libc::c_int) {
    let Some(before) = before(signal) else { return };
    // SAFETY: all zeros is a valid `sigaction`; the pointers refer to variables of this function.
    // The handler is async-signal-safe.
    unsafe {
        let mut old: libc::sigaction = std::mem::zeroed();
        if libc::sigaction(signal, std::ptr::null(), &raw mut old) != 0
            || old.sa_sigaction == handler()
        {
            return;
        }
        before.handler.store(old.sa_sigaction, Ordering::Relaxed);
        before.flags.store(old.sa_flags, Ordering::Relaxed);
        let own = own();
        libc::sigaction(signal, &raw const own, std::ptr::null_mut());
    }
}

fn before(signal: libc::c_int) -> Option<&'static Before> {
    let index = SIGNALS.iter().position(|one| *one == signal)?;
    BEFORE.get(index)
}

fn handler() -> libc::sighandler_t {
    let handler: extern "C" fn(libc::c_int, *mut libc::siginfo_t, *mut libc::c_void) = came;
    handler as libc::sighandler_t
}

/// Returns the action with the handler. System calls that it interrupts are restarted.
fn own() -> libc::sigaction {
    // SAFETY: all zeros is a valid `sigaction` with an empty mask.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    action.sa_sigaction = handler();
    action.sa_flags = libc::SA_SIGINFO | libc::SA_RESTART | libc::SA_ONSTACK;
    action
}

/// The sender of a signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sender {
    Host,
    /// This process.
    Own,
    Other,
}

/// Returns the sender of a signal.
///
/// # Safety
/// The pointer is the one that the kernel passed to a signal handler.
unsafe fn sender(info: *const libc::siginfo_t) -> Sender {
    // SAFETY: the caller has the pointer from the kernel; signals that are sent have these fields,
    // and signals of the kernel are excluded.
    unsafe {
        let code = (*info).si_code;
        if code == libc::SI_QUEUE && (*info).si_value().sival_ptr.addr() == HOST_VALUE {
            return Sender::Host;
        }
        if code <= 0 && (*info).si_pid() == libc::getpid() {
            return Sender::Own;
        }
    }
    Sender::Other
}

/// Returns whether the host's process lives, or the shim that ends with it.
fn host_lives() -> bool {
    // SAFETY: it takes no arguments and cannot fail.
    !fork::in_child() && unsafe { libc::getppid() } == PARENT.load(Ordering::Relaxed)
}

extern "C" fn came(signal: libc::c_int, info: *mut libc::siginfo_t, context: *mut libc::c_void) {
    // SAFETY: the kernel calls this with a valid pointer.
    let sender = unsafe { sender(info) };
    match sender {
        Sender::Host if CLEANING.load(Ordering::Relaxed) => {
            DEFERRED.store(true, Ordering::Relaxed);
        }
        Sender::Other if host_lives() => {}
        _ => obey(signal, info, context),
    }
}

/// Performs the action that the signal had before.
fn obey(signal: libc::c_int, info: *mut libc::siginfo_t, context: *mut libc::c_void) {
    type Short = extern "C" fn(libc::c_int);
    type Long = extern "C" fn(libc::c_int, *mut libc::siginfo_t, *mut libc::c_void);
    let Some(before) = before(signal) else { return };
    let handler = before.handler.load(Ordering::Relaxed);
    match handler {
        libc::SIG_IGN => {}
        // SAFETY: the calls are async-signal-safe. The signal is blocked here, and ends the process
        // when the handler returns.
        libc::SIG_DFL => unsafe {
            libc::signal(signal, libc::SIG_DFL);
            libc::raise(signal);
        },
        _ if before.flags.load(Ordering::Relaxed) & libc::SA_SIGINFO != 0 => {
            // SAFETY: the system gave this address as that of a handler with three arguments.
            let handler = unsafe { std::mem::transmute::<usize, Long>(handler) };
            handler(signal, info, context);
        }
        _ => {
            // SAFETY: the system gave this address as that of a handler with one argument.
            let handler = unsafe { std::mem::transmute::<usize, Short>(handler) };
            handler(signal);
        }
    }
}

/// Reinstalls the handler whenever Python code restores the default, as `asyncio.run` does with
/// SIGINT at its end.
fn watch_python(py: Python<'_>) -> PyResult<()> {
    let module = py.import("_signal")?;
    let original = module.getattr("signal")?.unbind();
    let default = module.getattr("default_int_handler")?.unbind();
    let set = move |args: &Bound<'_, PyTuple>, named: Option<&Bound<'_, PyDict>>| {
        let py = args.py();
        let old = original.bind(py).call(args, named)?;
        let (Ok(signal), Ok(handler)) = (args.get_item(0), args.get_item(1)) else {
            return Ok(old.unbind());
        };
        let given_back = handler.is(default.bind(py))
            || handler
                .extract::<usize>()
                .is_ok_and(|handler| handler == libc::SIG_DFL);
        if let Ok(signal) = signal.extract::<libc::c_int>()
            && given_back
            && !fork::in_child()
        {
            take_over(signal);
        }
        Ok::<_, PyErr>(old.unbind())
    };
    module.setattr(
        "signal",
        PyCFunction::new_closure(py, Some(c"signal"), None, set)?,
    )
}

/// A guard for the clean-up of an adapter: while it exists, the host's signal is deferred, also if
/// user code has a handler for it.
#[derive(Debug)]
pub(crate) struct Cleaning {
    users: libc::sigaction,
}

impl Cleaning {
    pub(crate) fn begin() -> Self {
        CLEANING.store(true, Ordering::Relaxed);
        // SAFETY: all zeros is a valid `sigaction`, and the pointers refer to variables of this
        // function.
        unsafe {
            let mut users: libc::sigaction = std::mem::zeroed();
            if PARENT.load(Ordering::Relaxed) == 0 {
                libc::sigaction(libc::SIGTERM, std::ptr::null(), &raw mut users);
            } else {
                let own = own();
                libc::sigaction(libc::SIGTERM, &raw const own, &raw mut users);
            }
            Self { users }
        }
    }
}

impl Drop for Cleaning {
    fn drop(&mut self) {
        CLEANING.store(false, Ordering::Relaxed);
        if self.users.sa_sigaction == handler() {
            // The worker ends by itself now.
            return;
        }
        // SAFETY: the action is the one that the system returned, and the call takes numbers.
        unsafe {
            libc::sigaction(libc::SIGTERM, &raw const self.users, std::ptr::null_mut());
            if DEFERRED.swap(false, Ordering::Relaxed) {
                libc::raise(libc::SIGTERM);
            }
        }
    }
}
