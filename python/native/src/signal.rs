//! The signal that brings a cancellation into the interpreter.
//!
//! Where the only slot is the main thread, that thread runs Python's signal handlers: between two
//! instructions, and whenever a system call was interrupted. So one handler, which raises, reaches
//! a loop as well as a tool that sleeps. It decides at the moment when it runs, on the tool's own
//! thread: an exception that comes too late is not raised at all, and none is left over for the
//! next call.
//!
//! With several slots the main thread sets the exception for the others (`reach.rs`), and the
//! signal has no handler of Python's: it only interrupts the system call of a library that gives up
//! when that happens.
#![expect(unsafe_code, reason = "pthread_self, pthread_kill and sigaction")]

use std::os::raw::c_long;
use std::sync::Arc;

use pyo3::prelude::*;
use pyo3::types::PyType;

use crate::cancels::Cancels;
use crate::ladder::Ask;
use crate::link::Failure;
use crate::offspring::Offspring;
use crate::renewal;
use crate::request::failure;

/// Real-time signals have no other meaning; the first few belong to libraries as a rule.
fn number() -> i32 {
    libc::SIGRTMIN() + 8
}

/// What Python calls for the signal.
#[pyclass(frozen)]
#[derive(Debug)]
struct Handler {
    cancels: Arc<Cancels>,
    catalog: Py<PyAny>,
}

#[pymethods]
impl Handler {
    fn __call__(
        slf: &Bound<'_, Self>,
        _signal: &Bound<'_, PyAny>,
        frame: &Bound<'_, PyAny>,
    ) -> PyResult<()> {
        let py = slf.py();
        let this = slf.get();
        let catalog = this.catalog.bind(py);
        // The signal comes again.
        if this.cancels.wants_exception() && importing(catalog, frame)? {
            return Ok(());
        }
        this.cancels.remember_offspring(Target::current());
        match this.cancels.take() {
            None => Ok(()),
            Some((Ask::Raise, call)) => {
                if !catalog.call_method1("sound", (frame,))?.is_truthy()? {
                    renewal::want();
                }
                Err(failure(py, Failure::Cancelled, Some(call)))
            }
            Some((Ask::CancelTask, call)) => {
                let told = slf.getattr("told")?;
                catalog.call_method1("cancel_task", (told, call)).map(drop)
            }
        }
    }

    /// The running coroutine of a call has been cancelled.
    fn told(&self, call: u64) {
        self.cancels.task_told(call);
    }
}

/// Returns whether the import machinery is on the stack, where an exception would leave half a
/// module behind.
pub(crate) fn importing(catalog: &Bound<'_, PyAny>, frame: &Bound<'_, PyAny>) -> PyResult<bool> {
    catalog.call_method1("importing", (frame,))?.is_truthy()
}

/// The thread of a slot, as other threads reach it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Target {
    thread: libc::pthread_t,
    task: libc::pid_t,
}

impl Target {
    /// The thread that calls this.
    pub(crate) fn current() -> Self {
        // SAFETY: they take nothing and cannot fail.
        unsafe {
            Self {
                thread: libc::pthread_self(),
                task: libc::gettid(),
            }
        }
    }

    /// From any thread, attached to the interpreter or not. The handler must be installed, and the
    /// thread must live.
    pub(crate) fn interrupt(self) {
        // SAFETY: it takes numbers. A slot's thread lives as long as its slot, and nobody reaches
        // for one that has ended.
        unsafe { libc::pthread_kill(self.thread, number()) };
    }

    /// Whether the thread waits in the system. It is asked from another thread, so it is a report
    /// and not a promise.
    pub(crate) fn waits(self) -> bool {
        let path = format!("/proc/self/task/{}/stat", self.task);
        let stat = std::fs::read_to_string(path).unwrap_or_default();
        // The name may hold anything, also parentheses.
        let state = stat
            .rsplit(") ")
            .next()
            .and_then(|rest| rest.bytes().next());
        matches!(state, Some(b'S' | b'D'))
    }

    /// What the thread has started.
    pub(crate) fn offspring(self) -> Offspring {
        Offspring::of(self.task)
    }

    /// Its number in the system.
    pub(crate) const fn task(self) -> u32 {
        self.task.cast_unsigned()
    }

    /// Its name in Python's `threading`.
    pub(crate) const fn ident(self) -> libc::pthread_t {
        self.thread
    }

    /// The thread raises an instance of `class` when its interpreter next looks. The caller is
    /// attached.
    pub(crate) fn set_exception(self, class: &Bound<'_, PyType>) {
        self.set(class.as_ptr());
    }

    /// It raises nothing that was set and has not arrived. The caller is attached.
    pub(crate) fn unset_exception(self) {
        self.set(std::ptr::null_mut());
    }

    fn set(self, class: *mut pyo3::ffi::PyObject) {
        // SAFETY: the callers are attached to the interpreter, the class is an exception class or
        // null, and an unknown thread is ignored. The thread's number is unsigned in truth.
        unsafe { pyo3::ffi::PyThreadState_SetAsyncExc(self.thread as c_long, class) };
    }
}

/// Installs another handler; only the main thread can.
pub(crate) fn install_handler(handler: &Bound<'_, PyAny>) -> PyResult<()> {
    let module = handler.py().import("_signal")?;
    module.call_method1("signal", (number(), handler)).map(drop)
}

/// Installs the handler for the only slot; only the main thread can.
pub(crate) fn install(py: Python<'_>, cancels: Arc<Cancels>, catalog: Py<PyAny>) -> PyResult<()> {
    let handler = Bound::new(py, Handler { cancels, catalog })?;
    // `signal` would import `enum`; this is its inner half.
    py.import("_signal")?
        .call_method1("signal", (number(), handler))
        .map(drop)
}

extern "C" fn nothing(_: libc::c_int) {}

/// Makes the signal interrupt system calls, and do nothing else.
pub(crate) fn install_empty() {
    // SAFETY: all zeros is a valid `sigaction` with an empty mask, without `SA_RESTART`; the
    // handler does nothing, which is safe anywhere.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = nothing as extern "C" fn(libc::c_int) as libc::sighandler_t;
        libc::sigaction(number(), &raw const action, std::ptr::null_mut());
    }
}
