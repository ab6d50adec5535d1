//! Cancellation of tools on other threads: the main thread cancels their tasks and sets exceptions
//! for them.
//!
//! An exception that is set for another thread arrives when that thread's interpreter next runs an
//! instruction. A thread that waits in a system call runs none: Python resumes an interrupted call,
//! since only the main thread handles signals. Such a tool ends by itself, or with its worker.

use std::sync::{Arc, OnceLock};

use pyo3::prelude::*;
use pyo3::types::PyType;

use crate::cancels::Cancels;
use crate::ladder::Ask;
use crate::slots::Slot;

/// The means to reach the tools of one slot.
#[pyclass(frozen)]
#[derive(Debug)]
pub(crate) struct Reach {
    cancels: Arc<Cancels>,
    /// The exception class, whose instances report their arrival.
    class: OnceLock<Py<PyType>>,
}

impl Reach {
    pub(crate) fn new(cancels: Arc<Cancels>) -> Self {
        Self {
            cancels,
            class: OnceLock::new(),
        }
    }
}

#[pymethods]
impl Reach {
    /// Report that the exception has arrived; return the call that it is for.
    fn arrived(&self) -> Option<u64> {
        self.cancels.arrived()
    }

    /// Report that the running coroutine of a call was cancelled.
    fn told(&self, call: u64) {
        self.cancels.task_told(call);
    }
}

/// Carries out the request of a slot's ladder, if there is one.
pub(crate) fn reach(
    catalog: &Bound<'_, PyAny>,
    slot: &Slot,
    reach: &Bound<'_, Reach>,
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
    let class = class(catalog, reach)?;
    match slot.cancels.reach(|| thread.set_exception(class)) {
        None => Ok(()),
        Some((Ask::Raise, _)) => {
            thread.interrupt();
            // An event loop that waits runs no instruction, so it is woken.
            let wake = catalog.call_method1("wake_loop", (thread.ident(),));
            wake.map(drop)
        }
        Some((Ask::CancelTask, call)) => {
            let told = reach.getattr("told")?;
            let cancel = catalog.call_method1("cancel_task", (told, call, thread.ident()));
            cancel.map(drop)
        }
    }
}

fn class<'a, 'py>(
    catalog: &Bound<'py, PyAny>,
    reach: &'a Bound<'py, Reach>,
) -> PyResult<&'a Bound<'py, PyType>> {
    let py = catalog.py();
    let made = &reach.get().class;
    if made.get().is_none() {
        let arrived = reach.getattr("arrived")?;
        let class = catalog.call_method1("cancelled_class", (arrived,))?;
        let class = class.cast_into::<PyType>()?.unbind();
        made.get_or_init(|| class);
    }
    Ok(made.get().expect("it was just made").bind(py))
}
