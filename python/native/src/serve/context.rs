//! `Context`: the view that a tool has of its call.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::codec::packed::Packed;
use crate::link::{Failure, Link, Outcome, Waited};
use crate::process::clock;
use crate::serve::call::Call;
use crate::serve::port::Port;
use crate::serve::request::{PendingRequest, encoded, failure, give_up, value};

/// The call that a tool runs for.
#[pyclass(frozen, module = "snakepit_bridge")]
#[derive(Debug)]
pub(crate) struct Context {
    /// Number of the call, unique in one run of the host.
    #[pyo3(get)]
    call_id: u64,
    /// The caller's session, if any.
    #[pyo3(get)]
    session_id: Option<String>,
    worker_id: Arc<str>,
    deadline: Option<Instant>,
    cancelled: Arc<AtomicBool>,
    metadata: Vec<(Box<str>, Box<str>)>,
    link: Arc<Link>,
    max_payload: usize,
}

impl Context {
    /// Creates the view of a call.
    pub(crate) fn new(
        call: &Call,
        worker_id: Arc<str>,
        link: Arc<Link>,
        max_payload: usize,
    ) -> Self {
        Self {
            call_id: call.id,
            session_id: call.session.clone(),
            worker_id,
            deadline: call.deadline,
            cancelled: Arc::clone(&call.cancelled),
            metadata: call.metadata.clone(),
            link,
            max_payload,
        }
    }
}

#[pymethods]
impl Context {
    /// Name of this worker.
    #[getter]
    fn worker_id(&self) -> &str {
        &self.worker_id
    }

    /// Time at which the caller stops waiting, on the clock of `time.monotonic()`; None without a
    /// deadline.
    #[getter]
    fn deadline(&self, py: Python<'_>) -> PyResult<Option<f64>> {
        let Some(remaining) = self.remaining() else {
            return Ok(None);
        };
        let now: f64 = py.import("time")?.call_method0("monotonic")?.extract()?;
        Ok(Some(now + remaining))
    }

    /// Seconds left until the deadline, 0.0 when it has passed; None without a deadline.
    fn remaining(&self) -> Option<f64> {
        let left: Duration = self.deadline?.saturating_duration_since(clock::now());
        Some(left.as_secs_f64())
    }

    /// Texts that the caller gave for the call, by key; a new dict each time.
    #[getter]
    fn metadata<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let texts = PyDict::new(py);
        for (key, value) in &self.metadata {
            texts.set_item(&**key, &**value)?;
        }
        Ok(texts)
    }

    /// True if the caller has cancelled the call.
    #[getter]
    fn cancelled(&self) -> bool {
        self.cancelled.load(Ordering::Acquire)
    }

    /// Raise `snakepit_bridge.Cancelled` if the caller has cancelled the call.
    fn raise_if_cancelled(&self, py: Python<'_>) -> PyResult<()> {
        if !self.cancelled() {
            return Ok(());
        }
        Err(failure(py, Failure::Cancelled, Some(self.call_id)))
    }

    /// Send a request to the host and wait for its answer.
    #[pyo3(signature = (op, name, body, timeout))]
    fn _request<'py>(
        &self,
        py: Python<'py>,
        op: i32,
        name: String,
        body: &Bound<'py, PyAny>,
        timeout: Option<f64>,
    ) -> PyResult<Bound<'py, PyAny>> {
        if self.link.is_read_here() {
            return Err(PyRuntimeError::new_err(
                "this would block the event loop that all calls of the worker run on: await the method that ends in `_async`",
            ));
        }
        let request =
            PendingRequest::new(op, name, body, timeout, self.deadline, self.max_payload)?;
        let deadline = request.deadline;
        let number = request.send(py, &self.link, self.call_id, &self.cancelled, None)?;
        let outcome = loop {
            match py.detach(|| self.link.wait(number, deadline)) {
                Waited::Done(outcome) => break outcome,
                Waited::Signal => {
                    if let Err(error) = py.check_signals() {
                        give_up(py, &self.link, number)?;
                        return Err(error);
                    }
                }
            }
        };
        if let Outcome::Failed(Failure::Cancelled | Failure::Late) = outcome {
            give_up(py, &self.link, number)?;
        }
        value(py, outcome, Some(self.call_id))
    }

    /// Send a request to the host; return an awaitable of the running event loop.
    #[pyo3(signature = (op, name, body, timeout))]
    fn _request_async<'py>(
        slf: &Bound<'py, Self>,
        op: i32,
        name: &str,
        body: &Bound<'py, PyAny>,
        timeout: Option<f64>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let module = slf.py().import("snakepit_bridge._host.requests")?;
        module.call_method1("request", (slf, op, name, body, timeout))
    }

    /// Send a request whose outcome is delivered to `port`; return its number and the seconds that
    /// it may take.
    fn _begin<'py>(
        &self,
        py: Python<'py>,
        op: i32,
        name: String,
        body: &Bound<'py, PyAny>,
        timeout: Option<f64>,
        port: &Port,
    ) -> PyResult<(u64, Option<f64>)> {
        let request =
            PendingRequest::new(op, name, body, timeout, self.deadline, self.max_payload)?;
        let deadline = request.deadline;
        let number = request.send(
            py,
            &self.link,
            self.call_id,
            &self.cancelled,
            Some(port.inner()),
        )?;
        let left = deadline.map(|deadline| deadline.saturating_duration_since(clock::now()));
        Ok((number, left.map(|left| left.as_secs_f64())))
    }

    /// Encode a value that is `depth` levels deep in requests; the result stands for the value.
    #[expect(clippy::unused_self, reason = "a method, so that tests can replace it")]
    fn _packed(&self, value: &Bound<'_, PyAny>, depth: usize) -> PyResult<Packed> {
        encoded(value, depth).map(Packed)
    }

    /// Return a port through which an event loop receives the outcomes of its requests.
    fn _port(&self) -> PyResult<Port> {
        Port::new(Arc::clone(&self.link))
    }

    /// Abandon a request, whose answer is then dropped; return the error for a request that took
    /// too long.
    fn _give_up<'py>(&self, py: Python<'py>, number: u64) -> PyResult<Bound<'py, PyAny>> {
        give_up(py, &self.link, number)?;
        Ok(failure(py, Failure::Late, Some(self.call_id))
            .into_value(py)
            .into_bound(py)
            .into_any())
    }

    fn __repr__(&self) -> String {
        format!(
            "<Context call_id={} worker_id={:?}>",
            self.call_id, self.worker_id
        )
    }
}
