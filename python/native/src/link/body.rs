//! Large bodies of answers, which stay in place until the socket has taken them.
#![expect(
    unsafe_code,
    reason = "the bytes of a Python object are read by a thread that does not hold the interpreter's lock"
)]

use std::sync::Arc;

use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyString};
use snakepit_grpc::frame::Header;

use crate::codec::raw;

/// Largest body that is sent in one frame, in bytes.
pub(crate) const WHOLE: usize = 256 << 10;

/// Length of the parts of larger bodies. A small frame waits for the rest of one part. The socket
/// has room for several, so that it never runs empty between two of them.
const PART: usize = 64 << 10;

/// A frame with a large body.
#[derive(Debug)]
pub(crate) struct Large {
    pub(crate) header: Header,
    /// Head, sent with the last part.
    pub(crate) head: Vec<u8>,
    pub(crate) body: Arc<Body>,
    /// Number of bytes of the body that are written.
    pub(crate) at: usize,
    /// Further frames of the same call, sent after this one.
    pub(crate) behind: Vec<u8>,
}

impl Large {
    /// Returns the largest number of bytes that one frame carries.
    pub(crate) fn step(&self) -> usize {
        if self.body.len() > WHOLE { PART } else { WHOLE }
    }
}

/// Encoded bytes, optionally followed by those of a Python object.
#[derive(Debug, Default)]
pub(crate) struct Body {
    front: Vec<u8>,
    tail: Option<Tail>,
}

/// The bytes of an immutable Python object.
#[derive(Debug)]
pub(crate) struct Tail {
    /// Keeps the bytes alive.
    _object: Py<PyAny>,
    bytes: *const u8,
    length: usize,
}

// SAFETY: the object is a `bytes`, a `str`, or a buffer of pyarrow that is no longer written to.
// Its bytes neither change nor move as long as there is a reference to it, which this is.
unsafe impl Send for Tail {}
// SAFETY: the same; only the bytes are accessed.
unsafe impl Sync for Tail {}

impl Tail {
    pub(crate) fn of_bytes(object: &Bound<'_, PyBytes>) -> Self {
        Self::new(object.as_any(), object.as_bytes())
    }

    /// Returns the UTF-8 bytes of a text; `None` if it cannot be encoded.
    pub(crate) fn of_text(object: &Bound<'_, PyString>) -> Option<Self> {
        let text = object.to_str().ok()?;
        Some(Self::new(object.as_any(), text.as_bytes()))
    }

    /// Returns the bytes of a finished pyarrow buffer; `None` if the object has no buffer.
    pub(crate) fn of_buffer(object: &Bound<'_, PyAny>) -> Option<Self> {
        raw::with_buffer(object, |view| Self::new(object, view.data)).ok()
    }

    fn new(object: &Bound<'_, PyAny>, bytes: &[u8]) -> Self {
        Self {
            _object: object.clone().unbind(),
            bytes: bytes.as_ptr(),
            length: bytes.len(),
        }
    }

    pub(crate) const fn bytes(&self) -> &[u8] {
        // SAFETY: the object owns this many bytes there, and lives as long as `self`.
        unsafe { std::slice::from_raw_parts(self.bytes, self.length) }
    }
}

impl Body {
    pub(crate) const fn new(front: Vec<u8>, tail: Option<Tail>) -> Self {
        Self { front, tail }
    }

    pub(crate) fn len(&self) -> usize {
        self.front.len() + self.tail().len()
    }

    /// Returns all bytes, without a copy if there is no object.
    pub(crate) fn into_bytes(mut self) -> Vec<u8> {
        let tail = self.tail.take();
        self.front
            .extend_from_slice(tail.as_ref().map_or(&[], Tail::bytes));
        self.front
    }

    /// Returns at most `length` bytes from `at` on, in up to two pieces.
    pub(crate) fn part(&self, at: usize, length: usize) -> [&[u8]; 2] {
        part(&self.front, self.tail(), at, length)
    }

    /// Returns whether the body holds an object, which must be dropped with the interpreter's lock.
    pub(crate) const fn has_object(&self) -> bool {
        self.tail.is_some()
    }

    fn tail(&self) -> &[u8] {
        self.tail.as_ref().map_or(&[], Tail::bytes)
    }
}

/// Returns at most `length` bytes from `at` on of two consecutive pieces.
fn part<'a>(front: &'a [u8], tail: &'a [u8], at: usize, length: usize) -> [&'a [u8]; 2] {
    let middle = front.len();
    let end = at.saturating_add(length).min(middle + tail.len());
    let at = at.min(end);
    [
        &front[at.min(middle)..end.min(middle)],
        &tail[at.saturating_sub(middle)..end.saturating_sub(middle)],
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_make_up_the_whole() {
        let whole: Vec<u8> = (0..100).collect();
        for (middle, size) in (0..=100).flat_map(|middle| (1..=101).map(move |size| (middle, size)))
        {
            let (front, tail) = whole.split_at(middle);
            let parts = (0..100)
                .step_by(size)
                .flat_map(|at| part(front, tail, at, size).concat());
            assert_eq!(parts.collect::<Vec<_>>(), whole, "{middle} {size}");
            assert!(part(front, tail, 105, size).concat().is_empty());
        }
    }
}
