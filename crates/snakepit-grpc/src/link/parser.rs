//! Converts bytes into frames, without I/O.

use std::fmt;

use bytes::{Buf as _, Bytes, BytesMut};

use super::gathered::SMALL;
use super::parts::{Parts, Whole};
use crate::frame::{BadFrame, FLAG_PART, HEADER_LEN, Header, Kind};

/// Size of the read buffer in bytes.
pub(super) const BUFFER: usize = 64 * 1024;

/// Bytes by which a `MANY_REPLY` may exceed the limit, which applies to its items and not to their
/// frame.
const MANY_SLACK: u64 = 1 << 20;

/// Largest frame in bytes that is read and discarded because its body exceeds the limit. No correct
/// sender exceeds it, and the slot of its call would wait for its end, so a longer frame is a
/// protocol error.
const MAX_SKIPPED: u64 = 4 << 30;

/// Bytes of a frame for which memory is reserved before they arrive. A claimed length is not
/// trusted: beyond this, memory grows with the bytes that arrive.
const CLAIMED: usize = 32 << 20;

/// Free space in the buffer while a body arrives in parts, so that several parts are read at once.
const BETWEEN_PARTS: usize = 256 << 10;

/// One step of the parser.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Parsed {
    /// A complete frame. A frame whose body arrives in parts is returned with its last part.
    Frame {
        /// The fixed part.
        header: Header,
        /// The head.
        head: Bytes,
        /// The body.
        body: Bytes,
    },
    /// A frame whose body exceeds the limit and was discarded. It is returned at its end; a
    /// `HOST_CALL` in one frame is returned at its header, because its call continues in any case.
    TooLarge {
        /// The fixed part.
        header: Header,
    },
    /// More bytes are needed.
    Incomplete,
}

/// The result of looking for the next header.
enum Next {
    /// A frame within the limit.
    Header(Header),
    /// A step that needs no further bytes of the frame.
    Parsed(Parsed),
}

/// Collects bytes and cuts them into frames.
#[derive(Debug)]
pub struct Parser {
    buffer: BytesMut,
    max_payload: u64,
    /// An oversized frame of which bytes are still to arrive.
    skipped: Option<Skipped>,
    /// A body that arrives in parts.
    parts: Option<Parts>,
    /// Memory of the last body in parts, until a frame without parts arrives.
    spare: BytesMut,
}

#[derive(Clone, Copy, Debug)]
struct Skipped {
    header: Header,
    left: u64,
    /// `true` if the frame was already returned at its header.
    reported: bool,
}

impl Parser {
    /// Creates a parser for bodies of up to `max_payload` bytes. If that is 0, every body is a
    /// protocol error.
    pub fn new(max_payload: usize) -> Self {
        Self {
            buffer: BytesMut::new(),
            max_payload: max_payload as u64,
            skipped: None,
            parts: None,
            spare: BytesMut::new(),
        }
    }

    /// Returns the buffer to read into, with space for the bytes that are needed next.
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

    /// Returns `true` between two frames, where the end of the connection is no protocol error.
    pub fn at_boundary(&self) -> bool {
        self.buffer.is_empty() && self.skipped.is_none() && self.parts.is_none()
    }

    /// Returns the number of bytes that the current frame still lacks. `None` if its header is
    /// incomplete or its body is over the limit.
    fn missing(&self) -> Option<usize> {
        let header = Header::decode(self.buffer.first_chunk()?).ok()?;
        if header.body_len > self.limit(header.kind) {
            return None;
        }
        let total = HEADER_LEN as u64 + u64::from(header.head_len) + header.body_len;
        usize::try_from(total).ok()?.checked_sub(self.buffer.len())
    }

    /// Returns `true` if a frame is the last part of the body that arrives in parts.
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

    /// Returns the next frame.
    ///
    /// # Errors
    /// [`ProtocolError`] if the bytes are no valid frame. Nothing more can be read then.
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
                self.drop_spare();
            }
            return Ok(Parsed::Frame { header, head, body });
        }
    }

    /// Passes the bodies of the next frames to `each` while they are small chunks of this call and
    /// have neither head nor flags. Nearly all chunks of a stream are such.
    ///
    /// # Errors
    /// The first error of `each`.
    pub(super) fn small_chunks(
        &mut self,
        call: u64,
        mut each: impl FnMut(&[u8]) -> Result<(), ProtocolError>,
    ) -> Result<(), ProtocolError> {
        if self.parts.is_some() || self.skipped.is_some() {
            return Ok(());
        }
        let plain = Header::new(Kind::Chunk, call).encode();
        let limit = self.max_payload.min(SMALL as u64);
        let mut rest = &self.buffer[..];
        while let Some((header, after)) = rest.split_first_chunk::<HEADER_LEN>() {
            // Only the length of the body, in between, may differ.
            if header[..8] != plain[..8] || header[16..] != plain[16..] {
                break;
            }
            let length = header[8..16]
                .try_into()
                .map_or(u64::MAX, u64::from_le_bytes);
            if length > limit {
                break;
            }
            let Some((body, after)) = after.split_at_checked(length as usize) else {
                break;
            };
            each(body)?;
            rest = after;
        }
        let taken = self.buffer.len() - rest.len();
        if taken > 0 {
            self.buffer.advance(taken);
            self.drop_spare();
        }
        Ok(())
    }

    fn drop_spare(&mut self) {
        if self.spare.capacity() > 0 {
            self.spare = BytesMut::new();
        }
    }

    /// Finds the header of the next frame that is not skipped. The frame itself may be incomplete.
    fn next_header(&mut self) -> Result<Next, ProtocolError> {
        loop {
            if let Some(skipped) = &mut self.skipped {
                let now = skipped.left.min(self.buffer.len() as u64);
                self.buffer.advance(now as usize);
                skipped.left -= now;
                if skipped.left > 0 {
                    return Ok(Next::Parsed(Parsed::Incomplete));
                }
                let Skipped {
                    header, reported, ..
                } = *skipped;
                self.skipped = None;
                if !reported {
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

    /// Decides about a frame whose body exceeds the limit: skips it or rejects it.
    fn oversized(&self, header: Header) -> Result<Skipped, ProtocolError> {
        if matches!(header.kind, Kind::ManyReply) {
            return Err(ProtocolError::ManyTooLarge(header.body_len));
        }
        if self.max_payload == 0 {
            return Err(ProtocolError::Unexpected(header.kind));
        }
        let left = header.body_len.saturating_add(header.head_len as u64);
        // A part is smaller than its body, which is within the limit.
        let part = Parts::allowed(header.kind) && header.flags & FLAG_PART != 0;
        if left > MAX_SKIPPED || part || self.continues(header) {
            return Err(ProtocolError::Length(header.body_len));
        }
        let reported = matches!(header.kind, Kind::HostCall);
        Ok(Skipped {
            header,
            left,
            reported,
        })
    }

    fn cut(&mut self, len: usize) -> Bytes {
        if len == 0 {
            return Bytes::new();
        }
        if len <= SMALL {
            let bytes = Bytes::copy_from_slice(&self.buffer[..len]);
            self.buffer.advance(len);
            return bytes;
        }
        self.buffer.split_to(len).freeze()
    }
}

/// The way in which the peer broke the protocol. The connection cannot be used any further.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ProtocolError {
    /// The bytes are not a frame.
    Frame(BadFrame),
    /// A body is longer than a correct peer would send.
    Length(u64),
    /// A `MANY_REPLY` exceeds the limit by too much.
    ManyTooLarge(u64),
    /// A frame's kind is not allowed here.
    Unexpected(Kind),
    /// An answer belongs to no running call.
    UnknownCall(u64),
    /// A head or a body cannot be decoded.
    Malformed(Kind),
    /// The connection ended within a frame.
    Truncated,
    /// The worker sends requests without reading the answers.
    Unread,
    /// A stream sent more chunks than its window allows.
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
