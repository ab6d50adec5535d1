//! From bytes to frames, without I/O.

use std::fmt;

use bytes::{Buf as _, Bytes, BytesMut};

use crate::frame::{BadFrame, HEADER_LEN, Header, Kind};

/// Size of the read buffer in bytes.
pub(super) const BUFFER: usize = 64 * 1024;

/// A body up to this size is copied out, so that a small result does not keep the buffer alive.
const COPY_LIMIT: usize = 16 * 1024;

/// What a `MANY_REPLY` may be larger than the limit: its items are limited, their frame is not.
const MANY_SLACK: u64 = 1 << 20;

/// One step of the parser.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Parsed {
    /// A whole frame.
    Frame {
        /// The fixed part.
        header: Header,
        /// The head.
        head: Bytes,
        /// The body.
        body: Bytes,
    },
    /// A frame whose body is over the limit; the body is being skipped.
    TooLarge {
        /// The fixed part.
        header: Header,
    },
    /// More bytes are needed.
    Incomplete,
}

/// Collects bytes and cuts them into frames.
#[derive(Debug)]
pub struct Parser {
    buffer: BytesMut,
    max_payload: u64,
    /// Bytes of an oversized frame that are still to come.
    skip: u64,
}

impl Parser {
    /// A parser for bodies up to `max_payload` bytes.
    pub fn new(max_payload: usize) -> Self {
        Self {
            buffer: BytesMut::new(),
            max_payload: max_payload as u64,
            skip: 0,
        }
    }

    /// The buffer to read into, with room for what is needed next.
    pub fn buffer(&mut self) -> &mut BytesMut {
        let wanted = self.missing().unwrap_or(0).max(1);
        if self.buffer.capacity() - self.buffer.len() < wanted || self.buffer.is_empty() {
            self.buffer
                .reserve(wanted.max(BUFFER - self.buffer.len().min(BUFFER - 1)));
        }
        &mut self.buffer
    }

    /// It is between two frames: the end of the connection is no protocol error here.
    pub fn at_boundary(&self) -> bool {
        self.buffer.is_empty() && self.skip == 0
    }

    /// Bytes that the current frame still lacks, once its header is there.
    fn missing(&self) -> Option<usize> {
        let header = Header::decode(self.buffer.first_chunk()?).ok()?;
        let total = HEADER_LEN as u64 + u64::from(header.head_len) + header.body_len;
        if header.body_len > self.limit(header.kind) {
            return None;
        }
        usize::try_from(total).ok()?.checked_sub(self.buffer.len())
    }

    fn limit(&self, kind: Kind) -> u64 {
        match kind {
            Kind::ManyReply => self.max_payload.saturating_add(MANY_SLACK),
            _ => self.max_payload,
        }
    }

    /// Cuts the next frame.
    ///
    /// # Errors
    /// [`ProtocolError`] when the bytes are no frame: nothing more can be read then.
    pub fn next_frame(&mut self) -> Result<Parsed, ProtocolError> {
        if self.skip > 0 {
            let now = self
                .buffer
                .len()
                .min(usize::try_from(self.skip).unwrap_or(usize::MAX));
            self.buffer.advance(now);
            self.skip -= now as u64;
            if self.skip > 0 {
                return Ok(Parsed::Incomplete);
            }
        }
        let Some(bytes) = self.buffer.first_chunk::<HEADER_LEN>() else {
            return Ok(Parsed::Incomplete);
        };
        let header = Header::decode(bytes)?;
        let head_len = header.head_len as usize;
        if header.body_len > self.limit(header.kind) {
            if header.kind == Kind::ManyReply {
                return Err(ProtocolError::ManyTooLarge(header.body_len));
            }
            // The lengths of a header add up to less than 2^64 only when the peer is sane.
            let rest = u64::from(header.head_len).checked_add(header.body_len);
            self.skip = rest.ok_or(ProtocolError::Length)?;
            self.buffer.advance(HEADER_LEN);
            return Ok(Parsed::TooLarge { header });
        }
        let body_len = usize::try_from(header.body_len).map_err(|_| ProtocolError::Length)?;
        let total = HEADER_LEN + head_len + body_len;
        if self.buffer.len() < total {
            return Ok(Parsed::Incomplete);
        }
        self.buffer.advance(HEADER_LEN);
        let head = self.cut(head_len);
        let body = self.cut(body_len);
        Ok(Parsed::Frame { header, head, body })
    }

    fn cut(&mut self, len: usize) -> Bytes {
        if len <= COPY_LIMIT {
            let bytes = Bytes::copy_from_slice(&self.buffer[..len]);
            self.buffer.advance(len);
            return bytes;
        }
        self.buffer.split_to(len).freeze()
    }
}

/// How the peer broke the protocol. The connection cannot be used any further.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ProtocolError {
    /// Bytes that are not a frame.
    Frame(BadFrame),
    /// A length that no memory can hold.
    Length,
    /// A `MANY_REPLY` far beyond the limit.
    ManyTooLarge(u64),
    /// A frame of a kind that does not fit here.
    Unexpected(Kind),
    /// An answer to a call that is not running.
    UnknownCall(u64),
    /// A head or a body that cannot be decoded.
    Malformed(Kind),
    /// The connection ended within a frame.
    Truncated,
    /// Requests without end, while the answers are not read.
    Unread,
}

impl From<BadFrame> for ProtocolError {
    fn from(error: BadFrame) -> Self {
        Self::Frame(error)
    }
}

impl fmt::Display for ProtocolError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Frame(error) => error.fmt(f),
            Self::Length => f.write_str("a frame of impossible length"),
            Self::ManyTooLarge(len) => write!(f, "a batch of results of {len} bytes"),
            Self::Unexpected(kind) => write!(f, "an unexpected frame of kind {kind:?}"),
            Self::UnknownCall(call) => write!(f, "an answer to call {call}, which is not running"),
            Self::Malformed(kind) => write!(f, "a malformed frame of kind {kind:?}"),
            Self::Unread => f.write_str("requests without reading the answers"),
            Self::Truncated => f.write_str("the connection ended within a frame"),
        }
    }
}

impl std::error::Error for ProtocolError {}
