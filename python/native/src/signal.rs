//! The signal that brings a cancellation into the interpreter.
//!
//! The slot's thread is the main thread, and the main thread runs Python's signal handlers: between two instructions, and whenever a
//! system call was interrupted. So one handler, which raises, reaches a loop as well as a tool that sleeps. It decides at the moment when it
//! runs, on the tool's own thread: an exception that comes too late is not raised at all, and none is left over for the next call. That is
//! what `PyThreadState_SetAsyncExc` cannot promise; it needs the GIL besides, which the tool may hold.
#![expect(unsafe_code, reason = "pthread_self and pthread_kill")]

use std::sync::Arc;

use pyo3::prelude::*;

use crate::cancels::Cancels;
use crate::ladder::Ask;
use crate::link::Failure;
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
        _frame: &Bound<'_, PyAny>,
    ) -> PyResult<()> {
        let py = slf.py();
        let this = slf.get();
        match this.cancels.take() {
            None => Ok(()),
            Some((Ask::Raise, call)) => Err(failure(py, Failure::Cancelled, Some(call))),
            Some((Ask::CancelTask, call)) => {
                let told = slf.getattr("told")?;
                let catalog = this.catalog.bind(py);
                catalog.call_method1("cancel_task", (told, call)).map(drop)
            }
        }
    }

    /// The running coroutine of a call has been cancelled.
    fn told(&self, call: u64) {
        self.cancels.task_told(call);
    }
}

/// The main thread, as the control thread reaches it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Target(libc::pthread_t);

impl Target {
    /// The thread that calls this.
    pub(crate) fn current() -> Self {
        // SAFETY: it takes nothing and cannot fail.
        Self(unsafe { libc::pthread_self() })
    }

    /// From any thread, attached to the interpreter or not. The handler must be installed.
    pub(crate) fn interrupt(self) {
        // SAFETY: it takes numbers. The main thread ends only with the process.
        unsafe { libc::pthread_kill(self.0, number()) };
    }
}

/// Installs the handler; only the main thread can.
pub(crate) fn install(py: Python<'_>, cancels: Arc<Cancels>, catalog: Py<PyAny>) -> PyResult<()> {
    let handler = Bound::new(py, Handler { cancels, catalog })?;
    // `signal` would import `enum`; this is its inner half.
    py.import("_signal")?
        .call_method1("signal", (number(), handler))
        .map(drop)
}
