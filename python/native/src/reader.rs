//! Frames out of a blocking connection.

use std::io;
use std::ops::Range;
use std::os::fd::OwnedFd;

use pyo3::prelude::*;
use snakepit_grpc::frame::{HEADER_LEN, Header};

use crate::socket;

/// Bytes read at once, and the size that the buffer shrinks to when it is idle.
const CHUNK: usize = 64 << 10;

/// Capacity that is kept for the next large payload.
const KEEP: usize = 1 << 20;

/// Reads frames of one connection.
#[derive(Debug)]
pub(crate) struct Reader {
    fd: OwnedFd,
    buffer: Vec<u8>,
    /// Bytes of `buffer` that are used up.
    start: usize,
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

impl Reader {
    pub(crate) fn new(fd: OwnedFd, max_body: usize) -> Self {
        Self {
            fd,
            buffer: Vec::with_capacity(CHUNK),
            start: 0,
            max_body,
        }
    }

    /// Head of a frame that was just read.
    pub(crate) fn head(&self, frame: &Frame) -> &[u8] {
        &self.buffer[frame.head.clone()]
    }

    /// Body of a frame that was just read.
    pub(crate) fn body(&self, frame: &Frame) -> &[u8] {
        &self.buffer[frame.body.clone()]
    }

    /// Waits for the next frame, without the GIL while it waits. Signals are handled.
    pub(crate) fn next(&mut self, py: Python<'_>) -> PyResult<Incoming> {
        if self.start == self.buffer.len() {
            self.buffer.clear();
            self.start = 0;
            if self.buffer.capacity() > KEEP {
                self.buffer.shrink_to(CHUNK);
            }
        }
        if !self.ensure(py, HEADER_LEN)? {
            return if self.buffer.len() == self.start {
                Ok(Incoming::End)
            } else {
                Err(truncated().into())
            };
        }
        let mut bytes = [0; HEADER_LEN];
        bytes.copy_from_slice(&self.buffer[self.start..self.start + HEADER_LEN]);
        let header = Header::decode(&bytes)
            .map_err(|bad| io::Error::new(io::ErrorKind::InvalidData, bad))?;
        let head_len = header.head_len as usize;
        if header.body_len > self.max_body as u64 {
            self.discard(py, HEADER_LEN as u64 + head_len as u64 + header.body_len)?;
            return Ok(Incoming::TooLarge(header));
        }
        let length = HEADER_LEN + head_len + header.body_len as usize;
        if !self.ensure(py, length)? {
            return Err(truncated().into());
        }
        let head = self.start + HEADER_LEN..self.start + HEADER_LEN + head_len;
        let body = head.end..self.start + length;
        self.start += length;
        Ok(Incoming::Frame(Frame { header, head, body }))
    }

    /// Makes sure that so many bytes are there; false at the end of the connection.
    fn ensure(&mut self, py: Python<'_>, wanted: usize) -> PyResult<bool> {
        while self.buffer.len() - self.start < wanted {
            let missing = wanted - (self.buffer.len() - self.start);
            if self.buffer.capacity() - self.buffer.len() < missing {
                self.buffer.drain(..self.start);
                self.start = 0;
                self.buffer
                    .reserve_exact(missing.max(CHUNK - self.buffer.len().min(CHUNK)));
            }
            if self.fill(py)? == 0 {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn fill(&mut self, py: Python<'_>) -> PyResult<usize> {
        loop {
            let (fd, buffer) = (&self.fd, &mut self.buffer);
            match py.detach(|| socket::read(fd, buffer)) {
                Ok(count) => return Ok(count),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => py.check_signals()?,
                Err(error) if error.kind() == io::ErrorKind::ConnectionReset => return Ok(0),
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Reads past so many bytes, some of which may be in the buffer.
    fn discard(&mut self, py: Python<'_>, length: u64) -> PyResult<()> {
        let mut left = length;
        loop {
            let there = (self.buffer.len() - self.start) as u64;
            if there >= left {
                self.start += left as usize;
                return Ok(());
            }
            left -= there;
            self.buffer.clear();
            self.start = 0;
            if self.fill(py)? == 0 {
                return Err(truncated().into());
            }
        }
    }
}

fn truncated() -> io::Error {
    io::Error::new(
        io::ErrorKind::ConnectionReset,
        "the host's connection ended within a frame",
    )
}
