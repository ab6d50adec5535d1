//! Streams that can be read only once, for values that hold one twice or are encoded a second time.

use std::cell::RefCell;

use pyo3::prelude::*;

/// A data frame, its kind, and its stream.
type Read = (Py<PyAny>, u8, Py<PyAny>);

thread_local! {
    static READ: RefCell<Option<Vec<Read>>> = const { RefCell::new(None) };
}

/// Runs `encode`, which may encode a data frame more than once: a stream is read once, and kept
/// until the outermost of these functions returns.
pub(crate) fn reading_once<T>(encode: impl FnOnce() -> T) -> T {
    /// Drops the streams, also after a panic.
    struct End;
    impl Drop for End {
        fn drop(&mut self) {
            READ.take();
        }
    }
    let is_outermost = READ.with_borrow_mut(|read| {
        let is_outermost = read.is_none();
        read.get_or_insert_default();
        is_outermost
    });
    let _end = is_outermost.then(|| End);
    encode()
}

/// Returns kind and stream of a data frame that has been read.
pub(super) fn find<'py>(value: &Bound<'py, PyAny>) -> Option<(u8, Bound<'py, PyAny>)> {
    READ.with_borrow(|read| {
        let mut read = read.as_ref()?.iter();
        let (_, kind, stream) = read.find(|(frame, ..)| frame.is(value))?;
        Some((*kind, stream.bind(value.py()).clone()))
    })
}

/// Keeps the stream of a data frame that cannot be read again.
pub(super) fn keep(value: &Bound<'_, PyAny>, kind: u8, stream: &Bound<'_, PyAny>) {
    READ.with_borrow_mut(|read| {
        if let Some(read) = read {
            read.push((value.clone().unbind(), kind, stream.clone().unbind()));
        }
    });
}
