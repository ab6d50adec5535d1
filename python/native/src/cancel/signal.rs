//! The signal that delivers a cancellation to the interpreter.
//!
//! If the only slot is the main thread, that thread runs Python's signal handlers: between two
//! instructions, and whenever a system call was interrupted. So a single handler, which raises,
//! reaches a loop as well as a tool that sleeps. It decides when it runs, on the tool's own thread:
//! an exception that comes too late is not raised at all, and none is left over for the next call.
//!
//! With several slots, the main thread sets the exception for the others (`async_exc.rs`). The
//! signal then has no Python handler: it only interrupts the system call of a library that gives up
//! when that happens.
#![expect(unsafe_code, reason = "pthread_self, pthread_kill and sigaction")]

use std::os::raw::c_long;
use std::sync::Arc;

use pyo3::prelude::*;
use pyo3::types::PyType;

use crate::cancel::cancelled::Cancels;
use crate::cancel::escalation::InterpreterRequest;
use crate::cancel::offspring::Offspring;
use crate::link::Failure;
use crate::link::renewal;
use crate::serve::request::failure;

/// Returns the number of the signal. Real-time signals have no other meaning; libraries usually
/// take the first few.
fn number() -> i32 {
    libc::SIGRTMIN() + 8
}

/// The Python handler of the signal.
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
        // An import is not interrupted; the signal is sent again.
        if this.cancels.wants_exception() && importing(catalog, frame)? {
            return Ok(());
        }
        this.cancels.remember_offspring(Target::current());
        match this.cancels.take() {
            None => Ok(()),
            Some((InterpreterRequest::Raise, call)) => {
                if !catalog.call_method1("sound", (frame,))?.is_truthy()? {
                    renewal::want();
                }
                Err(failure(py, Failure::Cancelled, Some(call)))
            }
            Some((InterpreterRequest::CancelTask, call)) => {
                let told = slf.getattr("told")?;
                catalog.call_method1("cancel_task", (told, call)).map(drop)
            }
        }
    }

    /// Report that the running coroutine of a call was cancelled.
    fn told(&self, call: u64) {
        self.cancels.task_told(call);
    }
}

/// Returns whether the import machinery is on the stack, where an exception would leave a
/// half-initialised module behind.
pub(crate) fn importing(catalog: &Bound<'_, PyAny>, frame: &Bound<'_, PyAny>) -> PyResult<bool> {
    catalog.call_method1("importing", (frame,))?.is_truthy()
}

/// A slot's thread as other threads address it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Target {
    thread: libc::pthread_t,
    task: libc::pid_t,
}

impl Target {
    /// Returns the current thread.
    pub(crate) fn current() -> Self {
        // SAFETY: they take no arguments and cannot fail.
        unsafe {
            Self {
                thread: libc::pthread_self(),
                task: libc::gettid(),
            }
        }
    }

    /// Sends the signal, from any thread, attached to the interpreter or not. The handler must be
    /// installed, and the target thread must be alive.
    pub(crate) fn interrupt(self) {
        // SAFETY: the call takes numbers. A slot's thread lives as long as its slot, and a thread
        // that has ended is not interrupted.
        unsafe { libc::pthread_kill(self.thread, number()) };
    }

    /// Returns whether the thread waits in a system call. Another thread asks, so the answer may be
    /// out of date.
    pub(crate) fn waits(self) -> bool {
        let path = format!("/proc/self/task/{}/stat", self.task);
        let stat = std::fs::read_to_string(path).unwrap_or_default();
        // The name may contain anything, also parentheses.
        let state = stat
            .rsplit(") ")
            .next()
            .and_then(|rest| rest.bytes().next());
        matches!(state, Some(b'S' | b'D'))
    }

    /// Returns the processes that the thread has started.
    pub(crate) fn offspring(self) -> Offspring {
        Offspring::of(self.task)
    }

    /// Returns the thread's id in the system.
    pub(crate) const fn task(self) -> u32 {
        self.task.cast_unsigned()
    }

    /// Returns the thread's identifier in Python's `threading`.
    pub(crate) const fn ident(self) -> libc::pthread_t {
        self.thread
    }

    /// Makes the thread raise an instance of `class` when its interpreter next checks. The caller
    /// must be attached.
    pub(crate) fn set_exception(self, class: &Bound<'_, PyType>) {
        self.set(class.as_ptr());
    }

    /// Withdraws an exception that was set and has not arrived. The caller must be attached.
    pub(crate) fn unset_exception(self) {
        self.set(std::ptr::null_mut());
    }

    fn set(self, class: *mut pyo3::ffi::PyObject) {
        // SAFETY: the callers are attached to the interpreter, the class is an exception class or
        // null, and an unknown thread is ignored. The thread's identifier is in fact unsigned.
        unsafe { pyo3::ffi::PyThreadState_SetAsyncExc(self.thread as c_long, class) };
    }
}

/// Installs a handler for the signal; only the main thread may call this.
pub(crate) fn install_handler(handler: &Bound<'_, PyAny>) -> PyResult<()> {
    let module = handler.py().import("_signal")?;
    module.call_method1("signal", (number(), handler)).map(drop)
}

/// Installs the handler for a single slot; only the main thread may call this.
pub(crate) fn install(py: Python<'_>, cancels: Arc<Cancels>, catalog: Py<PyAny>) -> PyResult<()> {
    let handler = Bound::new(py, Handler { cancels, catalog })?;
    // `signal` would import `enum`; this is the module inside it.
    py.import("_signal")?
        .call_method1("signal", (number(), handler))
        .map(drop)
}

extern "C" fn nothing(_: libc::c_int) {}

/// Makes the signal interrupt system calls and do nothing else.
pub(crate) fn install_empty() {
    // SAFETY: all zeros is a valid `sigaction` with an empty mask, without `SA_RESTART`; the
    // handler does nothing, which is safe anywhere.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = nothing as extern "C" fn(libc::c_int) as libc::sighandler_t;
        libc::sigaction(number(), &raw const action, std::ptr::null_mut());
    }
}
