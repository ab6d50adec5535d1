//! Frames out of a blocking connection.

use std::io;
use std::ops::Range;
use std::os::fd::OwnedFd;

use pyo3::prelude::*;
use snakepit_grpc::frame::{HEADER_LEN, Header};

use crate::{fork, socket};

/// Bytes read at once, and the size that the buffer shrinks to when it is idle.
const CHUNK: usize = 64 << 10;

/// A frame of this size gets memory of its own.
const LARGE: usize = 1 << 20;

/// Alignment of the body of a large frame.
const ALIGNMENT: usize = 64;

/// Where the allocator begins a large block, beyond a multiple of [`ALIGNMENT`]: behind a header.
/// Elsewhere the body is not aligned, and who needs that makes a copy.
const BLOCK: usize = 16;

/// Capacity that is kept for the next large payload.
const KEEP: usize = 1 << 20;

/// Reads frames of one connection. It may be left in the middle of a frame and go on later, on
/// another thread.
#[derive(Debug)]
pub(crate) struct Reader {
    fd: OwnedFd,
    buffer: Vec<u8>,
    /// Bytes of `buffer` that are used up.
    start: usize,
    /// Bytes from `start` on that the next frame needs, as far as is known.
    wanted: usize,
    /// Bytes in front of its body.
    before: usize,
    /// A frame over the limit, and how many of its bytes are still to be thrown away.
    skipping: Option<(Header, u64)>,
    /// Frames over the limit that were thrown away earlier.
    refused: Vec<Header>,
    max_body: usize,
}

/// What came.
#[derive(Debug)]
pub(crate) enum Incoming {
    /// A whole frame; its parts are in the buffer until the next call.
    Frame(Frame),
    /// A frame whose body was over the limit, and is thrown away.
    TooLarge(Header),
    /// The connection ended between two frames.
    End,
}

/// Where a frame lies in the buffer.
#[derive(Clone, Debug)]
pub(crate) struct Frame {
    pub(crate) header: Header,
    head: Range<usize>,
    body: Range<usize>,
}

/// The body of a frame, outside of the buffer.
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

    /// The connection, to wait for it.
    pub(crate) const fn fd(&self) -> &OwnedFd {
        &self.fd
    }

    /// Head of a frame that was just read.
    pub(crate) fn head(&self, frame: &Frame) -> &[u8] {
        &self.buffer[frame.head.clone()]
    }

    /// Body of a frame that was just read.
    pub(crate) fn body(&self, frame: &Frame) -> &[u8] {
        &self.buffer[frame.body.clone()]
    }

    /// Takes the body of a frame that was just read, so that the next frame can be read. A large
    /// one is not copied as a rule.
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

    /// Takes the memory of a body back, for the next large one.
    pub(crate) fn reuse(&mut self, body: Body) {
        if self.buffer.is_empty() && body.bytes.capacity() > self.buffer.capacity() {
            self.buffer = body.bytes;
            self.buffer.clear();
            self.start = 0;
        }
    }

    /// Puts whole frames in front of what is still to be read.
    pub(crate) fn unread(&mut self, frames: &[u8]) {
        self.buffer.splice(..self.start, frames.iter().copied());
        self.start = 0;
    }

    /// Frames over the limit that were met while the reader was lent out.
    pub(crate) fn refuse(&mut self, headers: Vec<Header>) {
        self.refused.extend(headers);
    }

    /// Waits for the next frame, without the GIL while it waits. Signals are handled.
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

    /// The next frame, if all of it is there. What it returned before is overwritten from now on.
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

    /// Reads once, blocking; false at the end of the connection.
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

    /// Moves what is there of a large frame to memory of its own, where its body is aligned as
    /// arrays want it.
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

    /// What the end of the connection means here.
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
