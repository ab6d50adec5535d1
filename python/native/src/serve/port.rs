//! `Port`: the Python class through which an event loop receives the outcomes of its requests.

use std::sync::Arc;

use pyo3::prelude::*;

use crate::link::{self, Link};
use crate::serve::request::value;

/// The requests of one event loop.
#[pyclass(frozen, module = "snakepit_bridge._native")]
#[derive(Debug)]
pub(crate) struct Port {
    link: Arc<Link>,
    port: Arc<link::Port>,
}

/// Number, value and exception of a request; one of the latter two is set.
type Done<'py> = (u64, Option<Bound<'py, PyAny>>, Option<Bound<'py, PyAny>>);

impl Port {
    pub(crate) fn new(link: Arc<Link>) -> PyResult<Self> {
        let port = Arc::new(link::Port::new()?);
        Ok(Self { link, port })
    }

    pub(crate) fn inner(&self) -> Arc<link::Port> {
        Arc::clone(&self.port)
    }
}

#[pymethods]
impl Port {
    /// Return the descriptors to watch: call `pump` when the first one, which may be None, is
    /// readable, and `take` when the second one is.
    fn descriptors(&self) -> (Option<i32>, i32) {
        (self.link.socket(), self.port.wake.fd())
    }

    /// Read the frames that are there unless another thread reads, then return the outcomes as
    /// `take` does.
    fn pump<'py>(&self, py: Python<'py>) -> PyResult<Vec<Done<'py>>> {
        py.detach(|| self.link.pump());
        self.take(py)
    }

    /// Return the outcomes since the last call of this method.
    fn take<'py>(&self, py: Python<'py>) -> PyResult<Vec<Done<'py>>> {
        let mut all = Vec::new();
        for (number, outcome) in self.port.take() {
            all.push(match value(py, outcome, None) {
                Ok(value) => (number, Some(value), None),
                Err(error) => (
                    number,
                    None,
                    Some(error.into_value(py).into_bound(py).into_any()),
                ),
            });
        }
        Ok(all)
    }
}
