//! Calls of Python's C API of which PyO3 has no form that suits.
#![expect(unsafe_code, reason = "calls of Python's C API")]

use std::ffi::{CStr, c_char, c_int, c_void};
use std::mem::MaybeUninit;

use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::sync::critical_section::with_critical_section;
use pyo3::types::PyDict;

/// The next entry of a dictionary from `position` on, which is 0 at first. PyO3's iterator panics
/// when the dictionary changes between two steps; this one goes on, and the caller counts. Without
/// the GIL the dictionary is locked for the step, since another thread may change it.
pub(crate) fn dict_next<'py>(
    dict: &Bound<'py, PyDict>,
    position: &mut ffi::Py_ssize_t,
) -> Option<(Bound<'py, PyAny>, Bound<'py, PyAny>)> {
    with_critical_section(dict.as_any(), || {
        let (mut key, mut value) = (std::ptr::null_mut(), std::ptr::null_mut());
        // SAFETY: the dictionary is alive, locked, and this thread is attached. Key and value are
        // borrowed, and get references of their own before anything else runs. The position is
        // checked by `PyDict_Next` against the entries that there are now.
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
    })
}

/// A typed buffer in C order.
#[derive(Debug)]
pub(crate) struct View<'a> {
    /// As `struct` writes it.
    pub(crate) format: &'a str,
    pub(crate) item_size: usize,
    pub(crate) shape: Vec<usize>,
    pub(crate) data: &'a [u8],
}

/// The struct of the buffer protocol: the same in every CPython, but only since 3.11 a part of the
/// stable interface.
#[repr(C)]
struct Buffer {
    buf: *mut c_void,
    obj: *mut ffi::PyObject,
    len: ffi::Py_ssize_t,
    itemsize: ffi::Py_ssize_t,
    readonly: c_int,
    ndim: c_int,
    format: *mut c_char,
    shape: *mut ffi::Py_ssize_t,
    strides: *mut ffi::Py_ssize_t,
    suboffsets: *mut ffi::Py_ssize_t,
    internal: *mut c_void,
}

/// In C order, with strides and format.
const C_CONTIGUOUS_FORMAT: c_int = 0x0020 | 0x0010 | 0x0008 | 0x0004;

unsafe extern "C" {
    fn PyObject_GetBuffer(object: *mut ffi::PyObject, view: *mut Buffer, flags: c_int) -> c_int;
    fn PyBuffer_Release(view: *mut Buffer);
}

/// Shows the buffer of an object to `look`.
///
/// # Errors
/// It has none, or not in C order.
pub(crate) fn with_buffer<T>(
    object: &Bound<'_, PyAny>,
    look: impl FnOnce(&View<'_>) -> T,
) -> PyResult<T> {
    /// Lets go of the buffer also when `look` panics.
    struct Held<'a, 'py>(Buffer, &'a Bound<'py, PyAny>);
    impl Drop for Held<'_, '_> {
        fn drop(&mut self) {
            with_critical_section(self.1, || {
                // SAFETY: the buffer was filled in by `PyObject_GetBuffer`, and is let go once, by
                // an attached thread.
                unsafe { PyBuffer_Release(&raw mut self.0) }
            });
        }
    }
    let mut buffer = MaybeUninit::<Buffer>::uninit();
    // Without the GIL the object is locked: `array.array` counts its views in a plain number, and
    // two slots may send the same one. SAFETY: the object is alive and this thread is attached.
    let failed = with_critical_section(object, || unsafe {
        PyObject_GetBuffer(object.as_ptr(), buffer.as_mut_ptr(), C_CONTIGUOUS_FORMAT) != 0
    });
    if failed {
        return Err(PyErr::fetch(object.py()));
    }
    // SAFETY: on success the buffer is filled in.
    let held = Held(unsafe { buffer.assume_init() }, object);
    let buffer = &held.0;
    let count = |number: ffi::Py_ssize_t| usize::try_from(number).unwrap_or(0);
    // SAFETY: as the protocol says for these flags: `format` is a C string or null, `shape` has
    // `ndim` numbers, and `buf` has `len` bytes without gaps. All live until the buffer is let go.
    // The data of a buffer that others write to meanwhile is only copied.
    let view = unsafe {
        let format = if buffer.format.is_null() {
            "B"
        } else {
            CStr::from_ptr(buffer.format).to_str().unwrap_or("")
        };
        let dimensions = usize::try_from(buffer.ndim).unwrap_or(0);
        let shape = (0..dimensions).map(|index| count(*buffer.shape.add(index)));
        let data = if buffer.len == 0 {
            &[]
        } else {
            std::slice::from_raw_parts(buffer.buf.cast::<u8>(), count(buffer.len))
        };
        View {
            format,
            item_size: count(buffer.itemsize),
            shape: shape.collect(),
            data,
        }
    };
    Ok(look(&view))
}
