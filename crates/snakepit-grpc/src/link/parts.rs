//! A body that arrives in parts, each in a frame of its own.

use bytes::{Bytes, BytesMut};

use super::parser::ProtocolError;
use crate::frame::{FLAG_PART, Header, Kind};

/// Largest total size of all parts that is counted, in bytes. As for a single frame, no correct
/// sender exceeds it.
const MAX_COUNTED: u64 = 4 << 30;

/// Smallest length in bytes of a body for which memory is allocated in large steps.
const SMALL: usize = 1 << 20;

/// Size of such a step in bytes.
const STEP: usize = 32 << 20;

/// A body of which some parts have arrived. A connection has at most one, so it needs no more
/// memory than a single frame would.
#[derive(Debug)]
pub(super) struct Parts {
    kind: Kind,
    call: u64,
    /// The bytes so far. Empty once the body exceeds its limit.
    bytes: BytesMut,
    size: u64,
}

/// A complete body.
pub(super) enum Whole {
    Body(Bytes),
    /// The body exceeds its limit; its bytes were discarded.
    TooLarge,
}

impl Parts {
    /// Returns `true` if frames of this kind may be parts.
    pub(super) const fn allowed(kind: Kind) -> bool {
        matches!(
            kind,
            Kind::Reply | Kind::Chunk | Kind::ManyReply | Kind::HostCall
        )
    }

    /// Returns `true` if the frame is the next part of this body.
    pub(super) fn is_continued_by(&self, header: &Header) -> bool {
        (self.kind, self.call) == (header.kind, header.call)
    }

    /// Adds a frame that is, or may be, a part. `None` if the body is incomplete, or if the frame
    /// belongs to no body in parts; the two differ by [`FLAG_PART`], which only a part has. With
    /// the last part, `header` becomes the header of the whole body. `spare` may hold the memory of
    /// the previous body.
    ///
    /// # Errors
    /// [`ProtocolError`] if two bodies arrive at the same time, or if a body is too long to be
    /// valid.
    pub(super) fn take(
        open: &mut Option<Self>,
        spare: &mut BytesMut,
        header: &mut Header,
        body: &[u8],
        limit: u64,
    ) -> Result<Option<Whole>, ProtocolError> {
        let is_part = header.flags & FLAG_PART != 0;
        let parts = match open {
            Some(parts) if parts.is_continued_by(header) => parts,
            Some(_) if is_part => return Err(ProtocolError::Unexpected(header.kind)),
            None if is_part => open.insert(Self {
                kind: header.kind,
                call: header.call,
                bytes: BytesMut::new(),
                size: 0,
            }),
            _ => return Ok(None),
        };
        parts.size += body.len() as u64;
        if parts.size > MAX_COUNTED {
            return Err(ProtocolError::Length(parts.size));
        }
        if parts.size <= limit {
            parts.make_room(spare, body.len(), limit);
            parts.bytes.extend_from_slice(body);
        } else {
            parts.bytes = BytesMut::new();
        }
        if is_part {
            return Ok(None);
        }
        let parts = open.take();
        Ok(parts.map(|mut parts| {
            header.body_len = parts.size;
            if parts.size > limit {
                return Whole::TooLarge;
            }
            let whole = parts.bytes.split().freeze();
            *spare = parts.bytes;
            Whole::Body(whole)
        }))
    }

    /// Makes room for `additional` bytes. A large body grows in few large steps, so memory is not
    /// touched before it is needed. It reuses the memory of the previous body if its reader has
    /// dropped it.
    fn make_room(&mut self, spare: &mut BytesMut, additional: usize, limit: u64) {
        let length = self.bytes.len();
        if length < SMALL || self.bytes.capacity() - length >= additional {
            return;
        }
        let left = usize::try_from(limit - self.size).unwrap_or(usize::MAX);
        let wanted = additional + left.min(STEP);
        if spare.try_reclaim(length + wanted) {
            let small = std::mem::replace(&mut self.bytes, std::mem::take(spare));
            self.bytes.extend_from_slice(&small);
        } else {
            self.bytes.reserve(wanted);
        }
    }
}
