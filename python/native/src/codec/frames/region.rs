//! Data frames that stay in the memory of the received body.

use std::cell::RefCell;
use std::sync::Arc;

use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::link::reader::Body;

/// Smallest body that is kept for the frames in it instead of copying them.
pub(crate) const LARGE: usize = 1 << 20;

/// Alignment that readers of Arrow require.
const ALIGNMENT: usize = 8;

thread_local! {
    static BODY: RefCell<Option<Arc<Body>>> = const { RefCell::new(None) };
}

/// Runs `serve` with the bytes of a body, which large frames in it may keep. Returns the body if
/// none of them does.
pub(crate) fn lending<T>(body: Body, serve: impl FnOnce(&[u8]) -> T) -> (T, Option<Body>) {
    /// Restores the previous body, also after a panic.
    struct Restore(Option<Arc<Body>>);
    impl Drop for Restore {
        fn drop(&mut self) {
            BODY.set(self.0.take());
        }
    }
    if body.bytes().len() < LARGE {
        return (serve(body.bytes()), Some(body));
    }
    let body = Arc::new(body);
    let done = {
        let _restore = Restore(BODY.replace(Some(Arc::clone(&body))));
        serve(body.bytes())
    };
    (done, Arc::try_unwrap(body).ok())
}

/// A part of a body that Python code can read; the object keeps the body alive.
#[pyclass(frozen, module = "snakepit_bridge._native")]
#[derive(Debug)]
pub(crate) struct Region {
    body: Arc<Body>,
    begin: usize,
    length: usize,
}

/// Returns the stream as a part of the body that is being served. `None` if the stream lies
/// elsewhere, is small, or is not aligned.
pub(super) fn of<'py>(py: Python<'py>, stream: &[u8]) -> PyResult<Option<Bound<'py, Region>>> {
    if stream.len() < LARGE || !(stream.as_ptr() as usize).is_multiple_of(ALIGNMENT) {
        return Ok(None);
    }
    let body = BODY.with_borrow(Clone::clone);
    let within = |body: &Arc<Body>| {
        let (whole, part) = (body.bytes().as_ptr_range(), stream.as_ptr_range());
        whole.start <= part.start && part.end <= whole.end
    };
    let Some(body) = body.filter(within) else {
        return Ok(None);
    };
    let begin = stream.as_ptr() as usize - body.bytes().as_ptr() as usize;
    let length = stream.len();
    Bound::new(
        py,
        Region {
            body,
            begin,
            length,
        },
    )
    .map(Some)
}

impl Region {
    fn bytes(&self) -> &[u8] {
        &self.body.bytes()[self.begin..self.begin + self.length]
    }
}

#[pymethods]
impl Region {
    /// Return the address and the number of the bytes, which stay valid as long as this object
    /// lives.
    fn region(&self) -> (usize, usize) {
        (self.bytes().as_ptr() as usize, self.length)
    }

    /// Return a copy of the bytes.
    fn tobytes<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, self.bytes())
    }
}
