//! Streams that can be read only once, for values that hold one twice or are encoded a second time.

use std::cell::{Cell, RefCell};

use pyo3::prelude::*;

/// A data frame, its kind, and its stream.
type Read = (Py<PyAny>, u8, Py<PyAny>);

thread_local! {
    /// The state of the values that are being encoded. Apart from the streams, because it is looked
    /// at for each value.
    static STATE: Cell<State> = const { Cell::new(State::Idle) };
    static READ: RefCell<Vec<Read>> = const { RefCell::new(Vec::new()) };
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    /// No value is being encoded.
    Idle,
    /// A value is being encoded, and no stream is kept.
    Encoding,
    /// Streams are kept.
    Kept,
}

/// Runs `encode`, which may encode a data frame more than once: a stream is read once, and kept
/// until the outermost of these functions returns.
pub(crate) fn reading_once<T>(encode: impl FnOnce() -> T) -> T {
    /// Drops the streams, also after a panic.
    struct End;
    impl Drop for End {
        fn drop(&mut self) {
            if STATE.replace(State::Idle) == State::Kept {
                READ.take();
            }
        }
    }
    let is_outermost = STATE.get() == State::Idle;
    let _end = is_outermost.then(|| {
        STATE.set(State::Encoding);
        End
    });
    encode()
}

/// Returns kind and stream of a data frame that has been read.
pub(super) fn find<'py>(value: &Bound<'py, PyAny>) -> Option<(u8, Bound<'py, PyAny>)> {
    READ.with_borrow(|read| {
        let (_, kind, stream) = read.iter().find(|(frame, ..)| frame.is(value))?;
        Some((*kind, stream.bind(value.py()).clone()))
    })
}

/// Keeps the stream of a data frame that cannot be read again.
pub(super) fn keep(value: &Bound<'_, PyAny>, kind: u8, stream: &Bound<'_, PyAny>) {
    if STATE.get() != State::Idle {
        STATE.set(State::Kept);
        let read = (value.clone().unbind(), kind, stream.clone().unbind());
        READ.with_borrow_mut(|kept| kept.push(read));
    }
}
