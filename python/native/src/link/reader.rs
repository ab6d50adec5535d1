//! Reading of frames from a blocking connection.

use std::io;
use std::ops::Range;
use std::os::fd::OwnedFd;

use pyo3::prelude::*;
use snakepit_grpc::frame::{HEADER_LEN, Header};

use crate::process::fork;
use crate::process::socket;

/// Bytes read at once, and the size to which an idle buffer shrinks.
const CHUNK: usize = 64 << 10;

/// Smallest number of missing bytes for which a frame gets a buffer of its own.
const LARGE: usize = 1 << 20;

/// Alignment of the body of a large frame.
const ALIGNMENT: usize = 64;

/// Offset from a multiple of [`ALIGNMENT`] at which glibc begins a large block, after its header.
/// With another allocator the body is not aligned, and code that needs alignment copies it.
const BLOCK: usize = 16;

/// Largest capacity that is kept for the next payload.
const KEEP: usize = 1 << 20;

/// A reader of one connection's frames. It may stop in the middle of a frame and continue later, on
/// another thread.
#[derive(Debug)]
pub(crate) struct Reader {
    fd: OwnedFd,
    buffer: Vec<u8>,
    /// Bytes of `buffer` that were consumed.
    start: usize,
    /// Bytes from `start` on that the next frame needs, as far as known.
    wanted: usize,
    /// Bytes of that frame before its body.
    before: usize,
    /// A frame over the size limit, and how many of its bytes are still to be discarded.
    skipping: Option<(Header, u64)>,
    /// Frames over the size limit that were discarded earlier.
    refused: Vec<Header>,
    max_body: usize,
}

/// The result of reading.
#[derive(Debug)]
pub(crate) enum Incoming {
    /// A complete frame; its parts stay in the buffer until the next call.
    Frame(Frame),
    /// A frame whose body exceeded the limit and was discarded.
    TooLarge(Header),
    /// The connection ended between two frames.
    End,
}

/// A frame by its place in the buffer.
#[derive(Clone, Debug)]
pub(crate) struct Frame {
    pub(crate) header: Header,
    head: Range<usize>,
    body: Range<usize>,
}

/// The body of a frame, taken out of the buffer.
#[derive(Debug)]
pub(crate) struct Body {
    bytes: Vec<u8>,
    range: Range<usize>,
}

impl Body {
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes[self.range.clone()]
    }
}

impl Reader {
    pub(crate) fn new(fd: OwnedFd, max_body: usize) -> Self {
        Self {
            fd,
            buffer: Vec::with_capacity(CHUNK),
            start: 0,
            wanted: HEADER_LEN,
            before: 0,
            skipping: None,
            refused: Vec::new(),
            max_body,
        }
    }

    /// Returns the connection, to wait for it.
    pub(crate) const fn fd(&self) -> &OwnedFd {
        &self.fd
    }

    /// Returns the head of the frame that was just read.
    pub(crate) fn head(&self, frame: &Frame) -> &[u8] {
        &self.buffer[frame.head.clone()]
    }

    /// Returns the body of the frame that was just read.
    pub(crate) fn body(&self, frame: &Frame) -> &[u8] {
        &self.buffer[frame.body.clone()]
    }

    /// Takes the body of the frame that was just read, so that the next frame can be read. A large
    /// body is usually not copied.
    pub(crate) fn take_body(&mut self, frame: &Frame) -> Body {
        let range = frame.body.clone();
        if range.len() < CHUNK || self.start < self.buffer.len() {
            let bytes = self.buffer[range].to_vec();
            let range = 0..bytes.len();
            return Body { bytes, range };
        }
        self.start = 0;
        let bytes = std::mem::take(&mut self.buffer);
        Body { bytes, range }
    }

    /// Takes back the memory of a body for the next large one.
    pub(crate) fn reuse(&mut self, body: Body) {
        if self.buffer.is_empty() && body.bytes.capacity() > self.buffer.capacity() {
            self.buffer = body.bytes;
            self.buffer.clear();
            self.start = 0;
        }
    }

    /// Inserts complete frames before the bytes that are still to be read.
    pub(crate) fn unread(&mut self, frames: &[u8]) {
        self.buffer.splice(..self.start, frames.iter().copied());
        self.start = 0;
    }

    /// Adds frames over the size limit that arrived while the reader was lent out.
    pub(crate) fn refuse(&mut self, headers: Vec<Header>) {
        self.refused.extend(headers);
    }

    /// Waits for the next frame, without the GIL while it waits. Handles signals.
    pub(crate) fn next(&mut self, py: Python<'_>) -> PyResult<Incoming> {
        fork::end_child();
        loop {
            if let Some(incoming) = self.parse()? {
                return Ok(incoming);
            }
            match py.detach(|| self.fill()) {
                Ok(true) => {}
                Ok(false) => return Ok(self.end()?),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => py.check_signals()?,
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Returns the next frame if it is complete. Overwrites the frame that was returned before.
    pub(crate) fn parse(&mut self) -> io::Result<Option<Incoming>> {
        if let Some(header) = self.refused.pop() {
            return Ok(Some(Incoming::TooLarge(header)));
        }
        loop {
            if self.start == self.buffer.len() {
                self.buffer.clear();
                self.start = 0;
                if self.buffer.capacity() > KEEP {
                    self.buffer.shrink_to(CHUNK);
                }
            }
            let there = self.buffer.len() - self.start;
            if let Some((header, left)) = self.skipping {
                let now = left.min(there as u64);
                self.start += now as usize;
                if now < left {
                    self.skipping = Some((header, left - now));
                    self.wanted = 1;
                    return Ok(None);
                }
                self.skipping = None;
                self.wanted = HEADER_LEN;
                return Ok(Some(Incoming::TooLarge(header)));
            }
            let Some(bytes) = self.buffer[self.start..].first_chunk::<HEADER_LEN>() else {
                self.wanted = HEADER_LEN;
                return Ok(None);
            };
            let header = Header::decode(bytes)
                .map_err(|bad| io::Error::new(io::ErrorKind::InvalidData, bad))?;
            let head_len = header.head_len as usize;
            if header.body_len > self.max_body as u64 {
                let rest = (HEADER_LEN + head_len) as u64;
                self.skipping = Some((header, rest.saturating_add(header.body_len)));
                continue;
            }
            let length = HEADER_LEN + head_len + header.body_len as usize;
            if there < length {
                self.wanted = length;
                self.before = HEADER_LEN + head_len;
                return Ok(None);
            }
            let head = self.start + HEADER_LEN..self.start + HEADER_LEN + head_len;
            let body = head.end..self.start + length;
            self.start += length;
            return Ok(Some(Incoming::Frame(Frame { header, head, body })));
        }
    }

    /// Reads once, blocking. Returns `false` at the end of the connection.
    pub(crate) fn fill(&mut self) -> io::Result<bool> {
        let missing = self
            .wanted
            .saturating_sub(self.buffer.len() - self.start)
            .max(1);
        if self.buffer.capacity() - self.buffer.len() < missing {
            if missing >= LARGE {
                self.align(missing);
                return self.read();
            }
            self.buffer.drain(..self.start);
            self.start = 0;
            self.buffer
                .reserve_exact(missing.max(CHUNK - self.buffer.len().min(CHUNK)));
        }
        self.read()
    }

    /// Moves a partly read large frame to a buffer of its own, in which its body is aligned for
    /// arrays.
    fn align(&mut self, missing: usize) {
        let there = self.buffer.len() - self.start;
        let padding = (BLOCK + self.before).next_multiple_of(ALIGNMENT) - BLOCK - self.before;
        let mut buffer = Vec::with_capacity(padding + there + missing);
        buffer.resize(padding, 0);
        buffer.extend_from_slice(&self.buffer[self.start..]);
        self.buffer = buffer;
        self.start = padding;
    }

    fn read(&mut self) -> io::Result<bool> {
        match socket::read(&self.fd, &mut self.buffer) {
            Ok(count) => Ok(count > 0),
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Returns `End` if the connection ended between two frames.
    ///
    /// # Errors
    /// The connection ended within a frame.
    pub(crate) fn end(&self) -> io::Result<Incoming> {
        if self.start == self.buffer.len() && self.skipping.is_none() {
            Ok(Incoming::End)
        } else {
            Err(io::Error::new(
                io::ErrorKind::ConnectionReset,
                "the host's connection ended within a frame",
            ))
        }
    }
}
