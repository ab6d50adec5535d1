//! Several slots, each on its own Python thread, while the main thread waits for them.
//!
//! The main thread stays free for what only it can do: it runs Python's signal handlers, and
//! excs into tools that are cancelled.

use std::sync::{Arc, Mutex, PoisonError};

use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::cancel::async_exc::{AsyncExc, deliver};
use crate::cancel::signal::Target;
use crate::link::reader::Reader;
use crate::link::wake::Wake;
use crate::process::socket;
use crate::serve::slots::Slots;
use crate::serve::{End, SlotRuntime, serve};

/// The list to which the slot threads report their ends.
#[derive(Debug)]
struct Ends {
    wake: Arc<Wake>,
    list: Mutex<Vec<PyResult<End>>>,
}

impl Ends {
    fn report(&self, end: PyResult<End>) {
        let mut list = self.list.lock().unwrap_or_else(PoisonError::into_inner);
        list.push(end);
        self.wake.notify();
    }

    fn take(&self) -> Vec<PyResult<End>> {
        std::mem::take(&mut self.list.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// The target of a slot's thread.
#[pyclass(frozen)]
#[derive(Debug)]
struct Body {
    reader: Mutex<Option<Box<Reader>>>,
    runtime: SlotRuntime,
    slots: Arc<Slots>,
    index: usize,
    ends: Arc<Ends>,
}

#[pymethods]
impl Body {
    fn __call__(&self, py: Python<'_>) {
        let _over = Over(&self.ends);
        let mut reader = self.reader.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(reader) = reader.take() else {
            return;
        };
        let thread = &self.slots.list[self.index].thread;
        thread.get_or_init(Target::current);
        let served = serve(py, reader, &self.runtime);
        let closed = self.runtime.catalog.bind(py).call_method0("close_thread");
        self.ends.report(served.and_then(|end| closed.map(|_| end)));
    }
}

/// Reports to the main thread that a slot has panicked.
struct Over<'a>(&'a Ends);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let error = PyRuntimeError::new_err("a slot of the worker panicked");
            self.0.report(Err(error));
        }
    }
}

/// Serves each slot on its own thread until all of them are requested to stop. Returns early if
/// one of them fails.
pub(crate) fn serve_all(
    py: Python<'_>,
    readers: Vec<Reader>,
    runtimes: Vec<SlotRuntime>,
    slots: &Arc<Slots>,
    wake: &Arc<Wake>,
) -> PyResult<End> {
    let ends = Arc::new(Ends {
        wake: Arc::clone(wake),
        list: Mutex::default(),
    });
    let catalog = runtimes[0].catalog.bind(py).clone();
    let mut excs = Vec::with_capacity(runtimes.len());
    let mut threads = Vec::with_capacity(runtimes.len());
    let class = py.import("threading")?.getattr("Thread")?;
    for (index, (reader, runtime)) in readers.into_iter().zip(runtimes).enumerate() {
        excs.push(Bound::new(py, AsyncExc::new(Arc::clone(&runtime.cancels)))?);
        let body = Body {
            reader: Mutex::new(Some(Box::new(reader))),
            runtime,
            slots: Arc::clone(slots),
            index,
            ends: Arc::clone(&ends),
        };
        let options = PyDict::new(py);
        options.set_item("target", Bound::new(py, body)?)?;
        options.set_item("name", format!("snakepit-slot-{index}"))?;
        options.set_item("daemon", true)?;
        let thread = class.call((), Some(&options))?;
        thread.call_method0("start")?;
        threads.push(thread);
    }
    let mut left = threads.len();
    while left > 0 {
        py.detach(|| socket::readable(wake.descriptor(), None))?;
        py.check_signals()?;
        wake.clear();
        for (slot, of) in slots.list.iter().zip(&excs) {
            deliver(&catalog, slot, of)?;
        }
        for end in ends.take() {
            if end? == End::HostGone {
                return Ok(End::HostGone);
            }
            left -= 1;
        }
    }
    for thread in threads {
        thread.call_method0("join")?;
    }
    Ok(End::Shutdown)
}
