//! A value that is encoded once and sent any number of times: what can be read only once, such as a
//! reader of Arrow, is the same each time.

use pyo3::prelude::*;

/// An encoded value, which takes the place of the value in a request.
#[pyclass(frozen, module = "snakepit_bridge._native")]
#[derive(Debug)]
pub(crate) struct Packed(pub(crate) Vec<u8>);
