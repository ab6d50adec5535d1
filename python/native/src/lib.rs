//! The worker runtime: the extension module `snakepit_bridge._native`.
//!
//! A worker dials home, describes its tools and serves calls. The main Python thread is slot 0: it reads a frame, runs the tool and
//! writes the answer, with no other thread in between. One native thread serves the control connection and never takes the GIL.
//! `proto/README.md` is the protocol, `docs/values.md` the mapping of values.

mod array;
mod bind;
mod cancels;
mod check;
mod clock;
mod context;
mod control;
mod decode;
mod describe;
mod encode;
mod fault;
mod fork;
mod host;
mod kinds;
mod ladder;
mod link;
mod many;
mod memory;
mod msgpack;
mod outbox;
mod port;
mod raw;
mod reader;
mod reply;
mod request;
mod serve;
mod settings;
mod signal;
mod socket;
mod spec;
mod stream;
mod suggest;
mod tool;
mod wake;
mod worker;

use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyBytes;

/// The worker runtime of snakepit.
#[pymodule(gil_used = false)]
mod _native {
    #[pymodule_export]
    use super::context::Context;
    #[pymodule_export]
    use super::port::Port;
    #[pymodule_export]
    use super::{pack, run, unpack};
}

/// Serve calls until the host says stop; returns the exit status of the process.
#[pyfunction]
fn run(py: Python<'_>, load: &Bound<'_, PyAny>) -> PyResult<i32> {
    worker::run(py, load)
}

/// Encode a value as a payload.
#[pyfunction]
fn pack<'py>(py: Python<'py>, value: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyBytes>> {
    let mut out = Vec::new();
    encode::encode(value, &mut out).map_err(|error| PyTypeError::new_err(error.to_string()))?;
    Ok(PyBytes::new(py, &out))
}

/// Decode a payload.
#[pyfunction]
fn unpack<'py>(py: Python<'py>, data: &[u8]) -> PyResult<Bound<'py, PyAny>> {
    decode::decode(py, data).map_err(|error| PyValueError::new_err(error.to_string()))
}
