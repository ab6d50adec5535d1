//! The server object, whose methods the event loop calls: on frames, on the wake-up, and when the
//! socket has room.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use snakepit_grpc::frame::Header;

use super::parts::Parts;
use crate::cancel::escalation;
use crate::cancel::offspring;
use crate::cancel::signal;
use crate::cancel::signal::importing;
use crate::link::Failure;
use crate::link::body::Body;
use crate::link::outlet::Outlet;
use crate::link::reader::Reader;
use crate::link::renewal;
use crate::link::reports::Reports;
use crate::link::wake::Wake;
use crate::process::fork;
use crate::serve::current;
use crate::serve::multiplexed::table::Table;
use crate::serve::multiplexed::threads::Threads;
use crate::serve::request::failure;
use crate::serve::slots::Slots;
use crate::serve::{End, SlotRuntime};

/// Smallest body that is not copied; smaller ones are sent before it.
const LARGE: usize = 64 << 10;

/// The server of one connection; lives as long as the process.
#[pyclass(frozen)]
#[derive(Debug)]
pub(crate) struct Server {
    /// State for calls that make no requests to the host.
    pub(super) runtime: SlotRuntime,
    pub(super) outlet: Arc<Outlet>,
    pub(super) table: Arc<Table>,
    pub(super) threads: Arc<Threads>,
    reports: Arc<Reports>,
    wake: Arc<Wake>,
    pub(super) reader: Mutex<Reader>,
    tasks: Mutex<HashMap<u64, Py<PyAny>>>,
    /// Futures of streams that wait for their windows, by call.
    pub(super) waiting: Mutex<HashMap<u64, Py<PyAny>>>,
    /// The running event loop; set by `attach`.
    offers: OnceLock<Offers>,
    pub(super) stopping: AtomicBool,
    ended: Mutex<Option<PyResult<End>>>,
}

#[derive(Debug)]
struct Offers {
    event_loop: Py<PyAny>,
    flush: Py<PyAny>,
    /// Module of the package that turns results of tools into coroutines.
    module: Py<PyAny>,
}

impl Server {
    /// Creates the event loop's task for a call. `how` names the function that creates its
    /// coroutine.
    pub(super) fn spawn<'py>(
        &self,
        how: &str,
        args: impl pyo3::call::PyCallArgs<'py>,
        py: Python<'py>,
        call: u64,
        done: Bound<'py, PyAny>,
    ) -> PyResult<()> {
        let offers = self.offers()?;
        let coroutine = offers.module.bind(py).call_method1(how, args)?;
        let task = offers
            .event_loop
            .bind(py)
            .call_method1("create_task", (coroutine,))?;
        lock(&self.tasks).insert(call, task.clone().unbind());
        task.call_method1("add_done_callback", (done,)).map(drop)
    }

    /// Returns a future that completes when the window of a stream opens.
    pub(super) fn wait_for_window<'py>(
        &self,
        py: Python<'py>,
        call: u64,
    ) -> PyResult<Bound<'py, PyAny>> {
        let event_loop = self.offers()?.event_loop.bind(py);
        let future = event_loop.call_method0("create_future")?;
        lock(&self.waiting).insert(call, future.clone().unbind());
        Ok(future)
    }

    /// Returns the package's module with the coroutines.
    pub(super) fn module<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        Ok(self.offers()?.module.bind(py).clone())
    }

    fn offers(&self) -> PyResult<&Offers> {
        let offers = self.offers.get();
        offers.ok_or_else(|| PyRuntimeError::new_err("the event loop is not running yet"))
    }

    /// Sends a frame without a head; it may wait for the end of the loop's iteration.
    pub(super) fn gather(&self, py: Python<'_>, header: Header, body: Vec<u8>) -> PyResult<()> {
        self.gather_answer(py, header, &[], body)
    }

    /// Sends a frame as [`Self::gather`] does, with a head. A large body is not copied.
    pub(super) fn gather_answer(
        &self,
        py: Python<'_>,
        mut header: Header,
        head: &[u8],
        body: Vec<u8>,
    ) -> PyResult<()> {
        let first = if body.len() < LARGE {
            let pieces = [&front(header, head, body.len())[..], &body];
            self.outlet.gather(header.call, pieces)?
        } else {
            header.flags |= renewal::flag();
            let body = Body::new(body, None);
            self.outlet.gather_large(header, head.to_vec(), body)?
        };
        if first {
            let offers = self.offers()?;
            let event_loop = offers.event_loop.bind(py);
            event_loop.call_method1("call_soon", (offers.flush.bind(py),))?;
        }
        Ok(())
    }

    /// Drops the task and the future of a call.
    pub(super) fn forget(&self, call: u64) {
        let (task, waiting) = (
            lock(&self.tasks).remove(&call),
            lock(&self.waiting).remove(&call),
        );
        drop((task, waiting));
    }

    /// Ends a call of the loop, before its answer is sent. Returns what stopped the call if it was
    /// cancelled.
    pub(super) fn over(&self, call: u64) -> Option<(escalation::CancelStep, Duration)> {
        self.forget(call);
        let stopped = self.table.end(call);
        if let Some(stopped) = stopped {
            self.reports.stopped(call, stopped);
        }
        stopped
    }

    /// Ends the loop if a shutdown was requested and no call runs.
    pub(super) fn end_if_done(&self, py: Python<'_>) {
        let stopping = self.stopping.load(Ordering::Relaxed);
        if stopping && self.table.is_empty() && self.outlet.is_empty() {
            self.end(py, Ok(End::Shutdown));
        }
    }

    /// Ends the loop; the first reason is kept.
    pub(super) fn end(&self, py: Python<'_>, how: PyResult<End>) {
        lock(&self.ended).get_or_insert(how);
        let stopped = self
            .offers()
            .and_then(|offers| offers.event_loop.bind(py).call_method0("stop"));
        if let Err(error) = stopped {
            error.write_unraisable(py, None);
        }
    }

    /// Ends the worker, and with it the calls that run. Complete answers are still sent, and
    /// nothing more.
    fn fail(&self, error: PyErr) {
        lock(&self.ended).get_or_insert(Err(error));
        self.outlet.close();
    }

    /// Ends the worker if the handler of a signal has raised this exception within some call's
    /// code: which call is at fault is unknown.
    pub(super) fn raised_by_signal(&self, py: Python<'_>, error: &PyErr) -> PyResult<bool> {
        let module = self.module(py)?;
        let raised = module.call_method1("raised_by_signal", (error.value(py),))?;
        if raised.is_truthy()? {
            self.fail(error.clone_ref(py));
            self.end(py, Ok(End::Shutdown));
            return Ok(true);
        }
        Ok(false)
    }

    /// Returns whether the worker has failed and sends nothing more.
    pub(super) fn failed(&self) -> bool {
        matches!(&*lock(&self.ended), Some(Err(_)))
    }

    fn hear(&self, py: Python<'_>) -> PyResult<()> {
        self.wake.clear();
        self.outlet.settle()?;
        for call in self.table.tasks_to_cancel() {
            let task = lock(&self.tasks).get(&call).map(|task| task.clone_ref(py));
            if let Some(task) = task {
                self.table.look_at_programs(call);
                task.call_method0(py, "cancel")?;
            }
        }
        self.threads.refuse_cancelled(py, self)?;
        self.threads.deliver(self.runtime.catalog.bind(py))?;
        self.end_if_done(py);
        Ok(())
    }
}

#[pymethods]
impl Server {
    /// Return the tasks of at most `most` running calls, the oldest first.
    fn tasks(&self, py: Python<'_>, most: usize) -> Vec<(u64, Py<PyAny>)> {
        let tasks = lock(&self.tasks);
        let mut calls: Vec<u64> = tasks.keys().copied().collect();
        calls.sort_unstable();
        let calls = calls.into_iter().take(most);
        calls
            .filter_map(|call| Some((call, tasks.get(&call)?.clone_ref(py))))
            .collect()
    }

    /// Return the descriptors to watch: call `readable` for the first, `heard` for the second.
    fn descriptors(&self) -> (i32, i32) {
        (self.outlet.socket(), self.wake.fd())
    }

    /// Set the event loop that is about to run, and the module with the coroutines.
    fn attach(slf: &Bound<'_, Self>, event_loop: Py<PyAny>, module: Py<PyAny>) -> PyResult<()> {
        let flush = slf.getattr("flush")?.unbind();
        slf.get().offers.get_or_init(|| Offers {
            event_loop,
            flush,
            module,
        });
        Ok(())
    }

    /// Handle frames, or the end of the connection.
    fn readable(slf: &Bound<'_, Self>) {
        fork::end_child();
        if let Err(error) = Self::read(slf) {
            slf.get().end(slf.py(), Err(error));
        }
    }

    /// Handle the wake-up.
    fn heard(&self, py: Python<'_>) {
        fork::end_child();
        if let Err(error) = self.hear(py) {
            self.end(py, Err(error));
        }
    }

    /// Write the frames that waited for the end of the loop's iteration.
    fn flush(&self, py: Python<'_>) {
        match self.outlet.flush() {
            Ok(()) => self.end_if_done(py),
            Err(error) => self.end(py, Err(error.into())),
        }
    }

    /// Record that the running code has started a program.
    fn program(&self, py: Python<'_>, pid: i32) -> PyResult<()> {
        if let Some(running) = current::running(py)? {
            self.table.add_program(running.call, pid);
        }
        Ok(())
    }

    /// Record that the running code has forked: the copy may become a program.
    fn forked(&self, py: Python<'_>) -> PyResult<()> {
        offspring::youngest().map_or(Ok(()), |pid| self.program(py, pid))
    }

    /// End the worker with an exception that a signal handler has raised and the loop has
    /// swallowed.
    fn fail_with(&self, py: Python<'_>, error: Bound<'_, PyAny>) {
        self.fail(PyErr::from_value(error));
        self.end(py, Ok(End::Shutdown));
    }

    /// Return whether the loop is to end.
    fn is_over(&self) -> bool {
        lock(&self.ended).is_some()
    }

    /// Handle the signal of a cancellation: the call that is to be stopped may block the loop.
    fn interrupted(
        &self,
        py: Python<'_>,
        _signal: &Bound<'_, PyAny>,
        frame: &Bound<'_, PyAny>,
    ) -> PyResult<()> {
        let calls = self.table.to_raise();
        if calls.is_empty() || importing(self.runtime.catalog.bind(py), frame)? {
            return Ok(());
        }
        let module = self.offers()?.module.bind(py);
        let current = module.call_method0("current_task")?;
        for call in calls {
            let held = lock(&self.tasks)
                .get(&call)
                .is_some_and(|task| task.is(&current));
            if held && self.table.take_raise(call) {
                self.table.look_at_programs(call);
                // The exception may be raised within code of the event loop.
                renewal::want();
                return Err(failure(py, Failure::Cancelled, Some(call)));
            }
        }
        Ok(())
    }
}

/// Serves on the main thread until the host requests a shutdown or is gone.
pub(crate) fn serve(
    py: Python<'_>,
    reader: Reader,
    runtime: SlotRuntime,
    parts: Parts,
    slots: &Arc<Slots>,
    reports: Arc<Reports>,
) -> PyResult<End> {
    let Parts {
        outlet,
        table,
        wake,
        ..
    } = parts;
    let threads = Threads::start(py, &runtime, &table, slots, &wake)?;
    let server = Server {
        runtime,
        outlet,
        table,
        threads,
        reports,
        wake,
        reader: Mutex::new(reader),
        tasks: Mutex::default(),
        waiting: Mutex::default(),
        offers: OnceLock::new(),
        stopping: AtomicBool::new(false),
        ended: Mutex::new(None),
    };
    let server = Bound::new(py, server)?;
    signal::install_handler(&server.getattr("interrupted")?)?;
    let served = py
        .import("snakepit_bridge._serve.concurrent")?
        .call_method1("serve", (&server,));
    if let Err(error) = served {
        // A signal handler has raised. The running calls have no outcome of their own; results of
        // their tasks while the worker ends are not sent.
        server.get().fail(error);
    }
    let ended = lock(&server.get().ended).take();
    ended.unwrap_or_else(|| {
        Err(PyRuntimeError::new_err(
            "the event loop was stopped by a tool",
        ))
    })
}

/// Encodes the header and the head of a frame.
fn front(mut header: Header, head: &[u8], body: usize) -> Vec<u8> {
    header.head_len = u32::try_from(head.len()).expect("heads are bounded");
    header.body_len = body as u64;
    header.flags |= renewal::flag();
    [&header.encode()[..], head].concat()
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
