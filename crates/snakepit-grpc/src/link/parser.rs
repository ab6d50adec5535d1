//! From bytes to frames, without I/O.

use std::fmt;

use bytes::{Buf as _, Bytes, BytesMut};

use super::parts::{Parts, Whole};
use crate::frame::{BadFrame, FLAG_PART, HEADER_LEN, Header, Kind};

/// Size of the read buffer in bytes.
pub(super) const BUFFER: usize = 64 * 1024;

/// A body up to this size is copied out, so that a small result does not keep the buffer alive.
const COPY_LIMIT: usize = 16 * 1024;

/// Bytes by which a `MANY_REPLY` may be larger than the limit: its items are limited, their frame is not.
const MANY_SLACK: u64 = 1 << 20;

/// Longest frame in bytes that is read and discarded because its body is over the limit. A longer one has no honest sender, and the slot
/// of its call would wait for its end: it breaks the protocol.
const MAX_SKIPPED: u64 = 4 << 30;

/// Bytes of a frame for which memory is reserved before they have come. A length is a claim; beyond this, memory is taken as bytes come.
const CLAIMED: usize = 32 << 20;

/// Room for what a socket holds while a body comes in parts: several of them are read at once.
const BETWEEN_PARTS: usize = 256 << 10;

/// One step of the parser.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Parsed {
    /// A whole frame. One whose body comes in parts is returned with its last part.
    Frame {
        /// The fixed part.
        header: Header,
        /// The head.
        head: Bytes,
        /// The body.
        body: Bytes,
    },
    /// A frame whose body is over the limit, nothing of which is kept. It has come to its end, except for a `HOST_CALL` in one frame, which
    /// is told at its header: its call goes on in any case.
    TooLarge {
        /// The fixed part.
        header: Header,
    },
    /// More bytes are needed.
    Incomplete,
}

/// The next step of the parser.
enum Next {
    /// A frame.
    Header(Header),
    /// A step that needs no more of the frame.
    Parsed(Parsed),
}

/// Collects bytes and cuts them into frames.
#[derive(Debug)]
pub struct Parser {
    buffer: BytesMut,
    max_payload: u64,
    /// An oversized frame of which bytes are still to come.
    skipped: Option<Skipped>,
    /// A body that comes in parts.
    parts: Option<Parts>,
    /// Memory of the last one, until a frame without parts comes.
    spare: BytesMut,
}

#[derive(Clone, Copy, Debug)]
struct Skipped {
    header: Header,
    left: u64,
    /// It was told at its header.
    told: bool,
}

impl Parser {
    /// A parser for bodies up to `max_payload` bytes. Where no body is allowed at all, one that comes is an error.
    pub fn new(max_payload: usize) -> Self {
        Self {
            buffer: BytesMut::new(),
            max_payload: max_payload as u64,
            skipped: None,
            parts: None,
            spare: BytesMut::new(),
        }
    }

    /// The buffer to read into, with room for what is needed next.
    pub fn buffer(&mut self) -> &mut BytesMut {
        let least = if self.parts.is_some() {
            BETWEEN_PARTS
        } else {
            1
        };
        let wanted = self.missing().unwrap_or(0).clamp(least, CLAIMED);
        if self.buffer.capacity() - self.buffer.len() < wanted || self.buffer.is_empty() {
            self.buffer
                .reserve(wanted.max(BUFFER - self.buffer.len().min(BUFFER - 1)));
        }
        &mut self.buffer
    }

    /// It is between two frames: the end of the connection is no protocol error here.
    pub fn at_boundary(&self) -> bool {
        self.buffer.is_empty() && self.skipped.is_none() && self.parts.is_none()
    }

    /// Bytes that the current frame still lacks, once its header is there.
    fn missing(&self) -> Option<usize> {
        let header = Header::decode(self.buffer.first_chunk()?).ok()?;
        if header.body_len > self.limit(header.kind) {
            return None;
        }
        let total = HEADER_LEN as u64 + u64::from(header.head_len) + header.body_len;
        usize::try_from(total).ok()?.checked_sub(self.buffer.len())
    }

    /// Returns whether a frame is the last part of the body that comes in parts.
    fn continues(&self, header: Header) -> bool {
        let parts = self.parts.as_ref();
        parts.is_some_and(|parts| parts.is_continued_by(&header))
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
        loop {
            let mut header = match self.next_header()? {
                Next::Header(header) => header,
                Next::Parsed(parsed) => return Ok(parsed),
            };
            let head_len = header.head_len as usize;
            let body_len = usize::try_from(header.body_len)
                .map_err(|_| ProtocolError::Length(header.body_len))?;
            let total = HEADER_LEN + head_len + body_len;
            if self.buffer.len() < total {
                return Ok(Parsed::Incomplete);
            }
            self.buffer.advance(HEADER_LEN);
            let head = self.cut(head_len);
            if self.max_payload > 0 && Parts::allowed(header.kind) {
                let limit = self.limit(header.kind);
                let body = &self.buffer[..body_len];
                let (parts, spare) = (&mut self.parts, &mut self.spare);
                let whole = Parts::take(parts, spare, &mut header, body, limit)?;
                match whole {
                    Some(Whole::Body(body)) => {
                        self.buffer.advance(body_len);
                        return Ok(Parsed::Frame { header, head, body });
                    }
                    Some(Whole::TooLarge) if header.kind == Kind::ManyReply => {
                        return Err(ProtocolError::ManyTooLarge(header.body_len));
                    }
                    Some(Whole::TooLarge) => {
                        self.buffer.advance(body_len);
                        return Ok(Parsed::TooLarge { header });
                    }
                    None if header.flags & FLAG_PART != 0 => {
                        self.buffer.advance(body_len);
                        continue;
                    }
                    None => {}
                }
            }
            let body = self.cut(body_len);
            if self.parts.is_none() {
                self.spare = BytesMut::new();
            }
            return Ok(Parsed::Frame { header, head, body });
        }
    }

    /// Finds the header of the next frame that is not skipped; the frame itself may not have come yet.
    fn next_header(&mut self) -> Result<Next, ProtocolError> {
        loop {
            if let Some(skipped) = &mut self.skipped {
                let now = skipped.left.min(self.buffer.len() as u64);
                self.buffer.advance(now as usize);
                skipped.left -= now;
                if skipped.left > 0 {
                    return Ok(Next::Parsed(Parsed::Incomplete));
                }
                let Skipped { header, told, .. } = *skipped;
                self.skipped = None;
                if !told {
                    return Ok(Next::Parsed(Parsed::TooLarge { header }));
                }
            }
            let Some(bytes) = self.buffer.first_chunk::<HEADER_LEN>() else {
                return Ok(Next::Parsed(Parsed::Incomplete));
            };
            let header = Header::decode(bytes)?;
            if header.body_len <= self.limit(header.kind) {
                return Ok(Next::Header(header));
            }
            self.buffer.advance(HEADER_LEN);
            self.skipped = Some(self.oversized(header)?);
            if header.kind == Kind::HostCall {
                return Ok(Next::Parsed(Parsed::TooLarge { header }));
            }
        }
    }

    /// What to do with a frame whose body is over the limit.
    fn oversized(&self, header: Header) -> Result<Skipped, ProtocolError> {
        if matches!(header.kind, Kind::ManyReply) {
            return Err(ProtocolError::ManyTooLarge(header.body_len));
        }
        if self.max_payload == 0 {
            return Err(ProtocolError::Unexpected(header.kind));
        }
        let left = header.body_len.saturating_add(header.head_len as u64);
        // A part is smaller than the whole, which is within the limit.
        let part = Parts::allowed(header.kind) && header.flags & FLAG_PART != 0;
        if left > MAX_SKIPPED || part || self.continues(header) {
            return Err(ProtocolError::Length(header.body_len));
        }
        let told = matches!(header.kind, Kind::HostCall);
        Ok(Skipped { header, left, told })
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
    /// A body of a length that no honest peer sends.
    Length(u64),
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
    /// Chunks of this call beyond what its consumer has taken.
    Window(u64),
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
            Self::Length(len) => write!(f, "a frame of impossible length, {len} bytes"),
            Self::ManyTooLarge(len) => write!(f, "a batch of results of {len} bytes"),
            Self::Unexpected(kind) => write!(f, "an unexpected frame of kind {kind:?}"),
            Self::UnknownCall(call) => write!(f, "an answer to call {call}, which is not running"),
            Self::Malformed(kind) => write!(f, "a malformed frame of kind {kind:?}"),
            Self::Unread => f.write_str("requests without reading the answers"),
            Self::Window(call) => {
                write!(
                    f,
                    "chunks of call {call} beyond what its consumer has taken"
                )
            }
            Self::Truncated => f.write_str("the connection ended within a frame"),
        }
    }
}

impl std::error::Error for ProtocolError {}
