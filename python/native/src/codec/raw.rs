//! Calls of Python's C API that PyO3 does not offer in a suitable form.
#![expect(unsafe_code, reason = "calls of Python's C API")]

use std::ffi::{CStr, c_char, c_int, c_void};
use std::mem::MaybeUninit;

use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::sync::critical_section::with_critical_section;
use pyo3::types::PyDict;
use smallvec::SmallVec;

/// The entries of a dictionary, of which most are small.
pub(crate) type Entries<'py> = SmallVec<[(Bound<'py, PyAny>, Bound<'py, PyAny>); 8]>;

/// Returns all entries of a dictionary, as they are at one moment: no Python code runs meanwhile,
/// and without the GIL the dictionary is locked. Entries that are read one by one while the
/// dictionary changes may repeat a key.
pub(crate) fn entries<'py>(dict: &Bound<'py, PyDict>) -> Entries<'py> {
    with_critical_section(dict.as_any(), || {
        let py = dict.py();
        let mut entries = Entries::with_capacity(dict.len());
        let (mut key, mut value) = (std::ptr::null_mut(), std::ptr::null_mut());
        let mut position = 0;
        // SAFETY: the dictionary is alive, locked, and this thread is attached. Key and value are
        // borrowed, and get references of their own before anything else runs.
        unsafe {
            while ffi::PyDict_Next(
                dict.as_ptr(),
                &raw mut position,
                &raw mut key,
                &raw mut value,
            ) != 0
            {
                let key = Bound::from_borrowed_ptr(py, key);
                entries.push((key, Bound::from_borrowed_ptr(py, value)));
            }
        }
        entries
    })
}

/// A typed buffer in C order.
#[derive(Debug)]
pub(crate) struct View<'a> {
    /// Element format in the syntax of `struct`.
    pub(crate) format: &'a str,
    pub(crate) item_size: usize,
    pub(crate) shape: Vec<usize>,
    pub(crate) data: &'a [u8],
}

/// The struct of the buffer protocol: the same in every CPython, but part of the stable interface
/// only since 3.11.
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

/// Flags for a buffer in C order, with strides and format.
const C_CONTIGUOUS_FORMAT: c_int = 0x0020 | 0x0010 | 0x0008 | 0x0004;

unsafe extern "C" {
    fn PyObject_GetBuffer(object: *mut ffi::PyObject, view: *mut Buffer, flags: c_int) -> c_int;
    fn PyBuffer_Release(view: *mut Buffer);
}

/// Calls `look` with the buffer of an object.
///
/// # Errors
/// The object has no buffer, or none in C order.
pub(crate) fn with_buffer<T>(
    object: &Bound<'_, PyAny>,
    look: impl FnOnce(&View<'_>) -> T,
) -> PyResult<T> {
    /// A guard that releases the buffer, also if `look` panics.
    struct Held<'a, 'py>(Buffer, &'a Bound<'py, PyAny>);
    impl Drop for Held<'_, '_> {
        fn drop(&mut self) {
            with_critical_section(self.1, || {
                // SAFETY: the buffer was filled in by `PyObject_GetBuffer`, and is released once,
                // by an attached thread.
                unsafe { PyBuffer_Release(&raw mut self.0) }
            });
        }
    }
    let mut buffer = MaybeUninit::<Buffer>::uninit();
    // Without the GIL the object is locked: `array.array` counts its views in a plain number, and
    // two slots may send the same array. SAFETY: the object is alive and this thread is attached.
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
    // `ndim` numbers, and `buf` has `len` bytes without gaps. All of them live until the buffer is
    // released. If another thread writes to the data meanwhile, the data is only copied.
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
