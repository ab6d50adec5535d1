//! Threads for tools that are not asynchronous and would block the event loop. Each is a slot
//! without a connection of its own.

use std::collections::VecDeque;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use pyo3::prelude::*;
use pyo3::types::PyDict;
use snakepit_grpc::frame::Kind;

use super::server::{Server, lock};
use crate::cancel::async_exc::{AsyncExc, deliver};
use crate::cancel::escalation;
use crate::cancel::signal::Target;
use crate::link::wake::Wake;
use crate::serve::call::Call;
use crate::serve::invoke::cancelled;
use crate::serve::many;
use crate::serve::multiplexed::table::Table;
use crate::serve::slots::Slots;
use crate::serve::{SlotRuntime, answer};

/// A call that waits for a thread.
#[derive(Debug)]
pub(crate) struct Job {
    pub(crate) kind: Kind,
    /// Name of its tool.
    pub(crate) tool: String,
    pub(crate) call: Call,
    pub(crate) body: Vec<u8>,
}

/// The threads, and the calls that wait for them.
#[derive(Debug)]
pub(crate) struct Threads {
    slots: Arc<Slots>,
    excs: Vec<Py<AsyncExc>>,
    queue: Arc<Queue>,
}

#[derive(Debug, Default)]
struct Queue {
    jobs: Mutex<VecDeque<Job>>,
    came: Condvar,
}

/// The target of one thread.
#[pyclass(frozen)]
#[derive(Debug)]
struct Body {
    runtime: SlotRuntime,
    slots: Arc<Slots>,
    index: usize,
    queue: Arc<Queue>,
    table: Arc<Table>,
    wake: Arc<Wake>,
}

impl Threads {
    /// Starts a thread for each slot.
    pub(super) fn start(
        py: Python<'_>,
        runtime: &SlotRuntime,
        table: &Arc<Table>,
        slots: &Arc<Slots>,
        wake: &Arc<Wake>,
    ) -> PyResult<Arc<Self>> {
        let queue = Arc::new(Queue::default());
        let class = py.import("threading")?.getattr("Thread")?;
        let mut excs = Vec::new();
        for (index, slot) in slots.list.iter().enumerate() {
            let exc = AsyncExc::new(Arc::clone(&slot.cancels));
            excs.push(Bound::new(py, exc)?.unbind());
            let body = Body {
                runtime: SlotRuntime {
                    shared: Arc::clone(&runtime.shared),
                    cancels: Arc::clone(&slot.cancels),
                    link: Arc::clone(&slot.link),
                },
                slots: Arc::clone(slots),
                index,
                queue: Arc::clone(&queue),
                table: Arc::clone(table),
                wake: Arc::clone(wake),
            };
            let options = PyDict::new(py);
            options.set_item("target", Bound::new(py, body)?)?;
            options.set_item("name", format!("snakepit-sync-{index}"))?;
            options.set_item("daemon", true)?;
            class.call((), Some(&options))?.call_method0("start")?;
        }
        Ok(Arc::new(Self {
            slots: Arc::clone(slots),
            excs,
            queue,
        }))
    }

    pub(super) fn push(&self, job: Job) {
        lock(&self.queue.jobs).push_back(job);
        self.queue.came.notify_one();
    }

    /// Answers the cancelled calls that still wait for a thread.
    ///
    /// # Errors
    /// The connection fails.
    pub(super) fn refuse_cancelled(&self, py: Python<'_>, server: &Server) -> PyResult<()> {
        let gone: Vec<Job> = {
            let mut jobs = lock(&self.queue.jobs);
            let is_gone = |job: &Job| job.call.cancelled.load(Ordering::Acquire);
            if !jobs.iter().any(is_gone) {
                return Ok(());
            }
            let (gone, kept): (VecDeque<Job>, _) =
                std::mem::take(&mut *jobs).into_iter().partition(is_gone);
            *jobs = kept;
            Vec::from(gone)
        };
        for job in gone {
            if !server.table.started(job.call.id) {
                continue;
            }
            refuse(py, &server.runtime, &job)?;
            server.over(job.call.id);
        }
        Ok(())
    }

    /// Carries out the requests of the threads' escalations.
    pub(super) fn deliver(&self, catalog: &Bound<'_, PyAny>) -> PyResult<()> {
        for (slot, of) in self.slots.list.iter().zip(&self.excs) {
            deliver(catalog, slot, of.bind(catalog.py()))?;
        }
        Ok(())
    }
}

/// Answers a call that was cancelled before it began.
fn refuse(py: Python<'_>, runtime: &SlotRuntime, job: &Job) -> PyResult<()> {
    let fault = match runtime.tools.find(&job.tool) {
        Ok(tool) => cancelled(tool),
        Err(fault) => fault,
    };
    let outbox = &runtime.link.outbox;
    if job.kind == Kind::Many {
        let (call, body) = (&job.call, &job.body);
        return many::run(
            py,
            outbox,
            runtime,
            call,
            Err(&fault),
            body,
            &mut Vec::new(),
        );
    }
    let stopped = Some((escalation::CancelStep::Flag, Duration::ZERO));
    job.call.fail(py, outbox, &fault, || stopped)
}

#[pymethods]
impl Body {
    fn __call__(&self, py: Python<'_>) {
        let thread = &self.slots.list[self.index].thread;
        thread.get_or_init(Target::current);
        loop {
            let job = py.detach(|| self.queue.next());
            if let Err(error) = self.run(py, job) {
                // The connection has ended, which the event loop notices too.
                error.write_unraisable(py, None);
            }
        }
    }
}

impl Queue {
    fn next(&self) -> Job {
        let mut jobs = lock(&self.jobs);
        loop {
            if let Some(job) = jobs.pop_front() {
                return job;
            }
            jobs = self.came.wait(jobs).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl Body {
    /// Runs one call and answers it.
    ///
    /// # Errors
    /// The connection fails.
    fn run(&self, py: Python<'_>, job: Job) -> PyResult<()> {
        let id = job.call.id;
        if !self.table.started(id) {
            return Ok(());
        }
        let runtime = &self.runtime;
        let tool = runtime.tools.find(&job.tool);
        let means = escalation::Means {
            flag: job.kind == Kind::Stream || tool.as_ref().is_ok_and(|tool| tool.knows_context()),
            task: false,
        };
        runtime.link.begin_call(id);
        self.table.lend(id, &runtime.link);
        let flag = runtime.cancels.begin(id, means);
        // A cancellation sets the flag of the table first and then checks the slots once more.
        let done = if job.call.cancelled.load(Ordering::Acquire) {
            refuse(py, runtime, &job)
        } else {
            let call = Call {
                cancelled: flag,
                ..job.call
            };
            let mut scratch = Vec::new();
            answer(py, runtime, job.kind, tool, &call, &job.body, &mut scratch)
        };
        runtime.cancels.end();
        runtime.link.end_call();
        self.table.end(id);
        if self.table.is_empty() {
            // The event loop may wait for this.
            self.wake.notify();
        }
        done
    }
}
