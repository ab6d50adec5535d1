//! A body that comes in parts, each in a frame of its own.

use bytes::{Bytes, BytesMut};

use super::parser::ProtocolError;
use crate::frame::{FLAG_PART, Header, Kind};

/// Most bytes of all parts together that are counted. As for a single frame, more has no honest sender.
const MAX_COUNTED: u64 = 4 << 30;

/// Length of a body from which memory is taken in large steps.
const SMALL: usize = 1 << 20;

/// Memory that is taken at once for a large body, in bytes.
const STEP: usize = 32 << 20;

/// The body of which parts have come. There is one at a time on a connection, so that it needs no more memory than a single frame would.
#[derive(Debug)]
pub(super) struct Parts {
    kind: Kind,
    call: u64,
    /// Empty once the body is over its limit.
    bytes: BytesMut,
    size: u64,
}

/// A body that is complete.
pub(super) enum Whole {
    Body(Bytes),
    /// It is over its limit, and nothing of it is kept.
    TooLarge,
}

impl Parts {
    /// Returns whether frames of this kind may be parts.
    pub(super) const fn allowed(kind: Kind) -> bool {
        matches!(
            kind,
            Kind::Reply | Kind::Chunk | Kind::ManyReply | Kind::HostCall
        )
    }

    /// Returns whether the frame is the next part of this body.
    pub(super) fn is_continued_by(&self, header: &Header) -> bool {
        (self.kind, self.call) == (header.kind, header.call)
    }

    /// Takes a frame that is, or may be, a part. `None` if the body is not complete, or if the frame belongs to no body in parts; the
    /// header says which: only that of a part has [`FLAG_PART`]. With the last part, the header becomes that of the whole. The memory of
    /// the body before may be in `spare`.
    ///
    /// # Errors
    /// [`ProtocolError`] when two bodies come at a time, or one has an impossible length.
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

    /// Makes room for further bytes: for a large body in few large steps, of memory that is not touched before it is needed, or in that
    /// of the body before, once its reader has dropped it.
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
