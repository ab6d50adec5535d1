//! Calls of Python's C API of which PyO3 has no form that suits.
#![expect(unsafe_code, reason = "calls of Python's C API")]

use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::PyDict;

/// The next entry of a dictionary from `position` on, which is 0 at first. PyO3's iterator panics when the dictionary changes between two
/// steps; this one goes on, and the caller counts.
pub(crate) fn dict_next<'py>(
    dict: &Bound<'py, PyDict>,
    position: &mut ffi::Py_ssize_t,
) -> Option<(Bound<'py, PyAny>, Bound<'py, PyAny>)> {
    let (mut key, mut value) = (std::ptr::null_mut(), std::ptr::null_mut());
    // SAFETY: the dictionary is alive and this thread is attached. Key and value are borrowed, and get references of their own before
    // anything else runs. The position is checked by `PyDict_Next` against the entries that there are now.
    unsafe {
        if ffi::PyDict_Next(dict.as_ptr(), position, &raw mut key, &raw mut value) == 0 {
            return None;
        }
        let py = dict.py();
        Some((
            Bound::from_borrowed_ptr(py, key),
            Bound::from_borrowed_ptr(py, value),
        ))
    }
}
