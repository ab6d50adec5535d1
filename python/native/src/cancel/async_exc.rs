//! Cancellation of tools on other threads: the main thread cancels their tasks and sets exceptions
//! for them.
//!
//! An exception that is set for another thread arrives when that thread's interpreter next runs an
//! instruction. A thread that waits in a system call runs none: Python resumes an interrupted call,
//! since only the main thread handles signals. Such a tool ends by itself, or with its worker.

use std::sync::{Arc, OnceLock};

use pyo3::prelude::*;
use pyo3::types::PyType;

use crate::cancel::cancelled::Cancels;
use crate::cancel::escalation::InterpreterRequest;
use crate::serve::slots::Slot;

/// The means to reach the tools of one slot.
#[pyclass(frozen)]
#[derive(Debug)]
pub(crate) struct AsyncExc {
    cancels: Arc<Cancels>,
    /// The exception class, whose instances report their arrival.
    class: OnceLock<Py<PyType>>,
}

impl AsyncExc {
    pub(crate) fn new(cancels: Arc<Cancels>) -> Self {
        Self {
            cancels,
            class: OnceLock::new(),
        }
    }
}

#[pymethods]
impl AsyncExc {
    /// Report that the exception has arrived; return the call that it is for.
    fn arrived(&self) -> Option<u64> {
        self.cancels.arrived()
    }

    /// Report that the running coroutine of a call was cancelled.
    fn told(&self, call: u64) {
        self.cancels.task_told(call);
    }
}

/// Carries out the request of a slot's escalation, if there is one.
pub(crate) fn deliver(
    catalog: &Bound<'_, PyAny>,
    slot: &Slot,
    exc: &Bound<'_, AsyncExc>,
) -> PyResult<()> {
    let Some(thread) = slot.thread.get().copied() else {
        return Ok(());
    };
    if !slot.cancels.asks() {
        return Ok(());
    }
    // An import is not interrupted; the request is made again.
    if slot.cancels.wants_exception()
        && catalog
            .call_method1("thread_imports", (thread.ident(),))?
            .is_truthy()?
    {
        return Ok(());
    }
    slot.cancels.remember_offspring(thread);
    // Before the lock is taken: creating the class runs Python code.
    let class = class(catalog, exc)?;
    match slot.cancels.deliver(|| thread.set_exception(class)) {
        None => Ok(()),
        Some((InterpreterRequest::Raise, _)) => {
            thread.interrupt();
            // An event loop that waits runs no instruction, so it is woken.
            let wake = catalog.call_method1("wake_loop", (thread.ident(),));
            wake.map(drop)
        }
        Some((InterpreterRequest::CancelTask, call)) => {
            let told = exc.getattr("told")?;
            let cancel = catalog.call_method1("cancel_task", (told, call, thread.ident()));
            cancel.map(drop)
        }
    }
}

fn class<'a, 'py>(
    catalog: &Bound<'py, PyAny>,
    exc: &'a Bound<'py, AsyncExc>,
) -> PyResult<&'a Bound<'py, PyType>> {
    let py = catalog.py();
    let made = &exc.get().class;
    if made.get().is_none() {
        let arrived = exc.getattr("arrived")?;
        let class = catalog.call_method1("cancelled_class", (arrived,))?;
        let class = class.cast_into::<PyType>()?.unbind();
        made.get_or_init(|| class);
    }
    Ok(made.get().expect("it was just made").bind(py))
}
