//! `Context`: what a tool may know of the call that it runs for.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use pyo3::prelude::*;

use crate::clock;

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
}

impl Context {
    pub(crate) const fn new(
        call_id: u64,
        session_id: Option<String>,
        worker_id: Arc<str>,
        deadline: Option<Instant>,
        cancelled: Arc<AtomicBool>,
    ) -> Self {
        Self {
            call_id,
            session_id,
            worker_id,
            deadline,
            cancelled,
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

    /// When the caller stops waiting, on the clock of `time.monotonic()`; None without a deadline.
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

    /// Whether the caller has given up.
    #[getter]
    fn cancelled(&self) -> bool {
        self.cancelled.load(Ordering::Acquire)
    }

    /// Raise `snakepit_bridge.Cancelled` if the caller has given up.
    fn raise_if_cancelled(&self, py: Python<'_>) -> PyResult<()> {
        if !self.cancelled() {
            return Ok(());
        }
        let class = py.import("snakepit_bridge")?.getattr("Cancelled")?;
        Err(PyErr::from_value(
            class.call1((format!("call {} was cancelled", self.call_id),))?,
        ))
    }

    fn __repr__(&self) -> String {
        format!(
            "<Context call_id={} worker_id={:?}>",
            self.call_id, self.worker_id
        )
    }
}
