//! The worker runtime: the extension module `snakepit_bridge._native`.
//!
//! A worker connects to its host, describes its tools and serves calls. A slot is a Python thread
//! and a connection: it reads a frame, runs the tool and writes the answer, with no other thread in
//! between. A single slot is the main thread; several have threads of their own. One native thread
//! serves the control connection and never takes the GIL. Another one takes the GIL for an instant
//! when the host pings, so that the answer can say how long the GIL was held. `proto/README.md`
//! specifies the protocol, `docs/values.md` the mapping of values.

mod binding;
mod cancel;
mod codec;
mod known;
mod link;
mod observe;
mod process;
mod serve;

use std::borrow::Cow;

use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyString};

/// The worker runtime of snakepit.
#[pymodule(gil_used = false)]
mod _native {
    #[pymodule_export]
    use super::known::mask_secret;
    #[pymodule_export]
    use super::observe::telemetry::{
        telemetry_flush, telemetry_put, telemetry_settings, telemetry_trace, telemetry_trace_state,
        telemetry_version,
    };
    #[pymodule_export]
    use super::process::fork::end_copy;
    #[pymodule_export]
    use super::serve::context::Context;
    #[pymodule_export]
    use super::serve::port::Port;
    #[pymodule_export]
    use super::{pack, redact, run, unpack};
    use pyo3::prelude::*;

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        module.add(
            "telemetry_span",
            super::serve::current::span_variable(module.py())?,
        )
    }
}

/// Serve calls until the host ends the worker; return the exit status of the process.
#[pyfunction]
fn run(py: Python<'_>, load: &Bound<'_, PyAny>) -> PyResult<i32> {
    serve::worker::run(py, load)
}

/// Returns the text with `<redacted>` in place of what looks like a secret.
///
/// The GIL is held: a copy of the process must not begin while a pattern is compiled.
#[pyfunction]
fn redact<'py>(py: Python<'py>, text: &Bound<'py, PyString>) -> PyResult<Bound<'py, PyString>> {
    match known::redact(text.to_str()?) {
        Cow::Borrowed(_) => Ok(text.clone()),
        Cow::Owned(masked) => Ok(PyString::new(py, &masked)),
    }
}

/// Encode a value as a payload.
#[pyfunction]
fn pack<'py>(py: Python<'py>, value: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyBytes>> {
    let mut out = Vec::new();
    codec::encode::encode(value, &mut out)
        .map_err(|error| PyTypeError::new_err(error.with_way_out()))?;
    Ok(PyBytes::new(py, &out))
}

/// Decode a payload.
#[pyfunction]
fn unpack<'py>(py: Python<'py>, data: &[u8]) -> PyResult<Bound<'py, PyAny>> {
    codec::decode::decode(py, data).map_err(|error| PyValueError::new_err(error.to_string()))
}
