//! Copies of the memory chunks that hold a thread's frames.

use crate::frame::Bytes;
use crate::memory::{Memory, Piece, is_aligned, word_of};

/// Largest chunk that is copied, in bytes. CPython allocates chunks of 16 KiB, and larger ones for
/// large frames.
const MAX_CHUNK: u64 = 256 << 10;

/// Largest number of chunks that are copied; frames in older ones are read one by one.
const MAX_CHUNKS: usize = 8;

/// Bytes copied beyond the used part: room for frames that are pushed while the copy is made.
const AHEAD: u64 = 2048;

/// Bytes before the first frame of a chunk: the previous chunk, the size, and the end of the used
/// part when the chunk was left.
const HEAD: usize = 24;

/// Copies of chunks, the newest first.
#[derive(Debug, Default)]
pub(crate) struct Chunks {
    kept: Vec<Chunk>,
    count: usize,
}

#[derive(Debug, Default)]
struct Chunk {
    address: u64,
    bytes: Vec<u8>,
}

impl Chunks {
    /// Drops all copies.
    pub(crate) const fn clear(&mut self) {
        self.count = 0;
    }

    /// Allocates the copy of the newest chunk, which is used up to `top` and ends at `limit`, and
    /// returns it to be filled. `None` if these addresses are impossible.
    pub(crate) fn newest(&mut self, address: u64, top: u64, limit: u64) -> Option<Piece<'_>> {
        if !is_aligned(address) || top < address || top > limit {
            return None;
        }
        let end = top.checked_add(AHEAD)?.min(limit);
        self.push(address, end.checked_sub(address)?)
    }

    /// Copies the chunks before the newest one.
    pub(crate) fn read_older(&mut self, memory: &impl Memory) {
        while self.count > 0 && self.count < MAX_CHUNKS {
            let before = word_of(&self.kept[self.count - 1].bytes, 0);
            let mut head = [0; HEAD];
            if !is_aligned(before) || !memory.read(before, &mut head) {
                return;
            }
            let used = word_of(&head, 16).checked_mul(8);
            let length = used.and_then(|used| used.checked_add(HEAD as u64));
            let size = word_of(&head, 8);
            let length = length.filter(|length| *length <= size);
            let Some(piece) = length.and_then(|length| self.push(before, length)) else {
                return;
            };
            if !memory.read(piece.address, piece.into) {
                self.count -= 1;
                return;
            }
        }
    }

    /// Copies all chunks again. Returns `false` if one of them cannot be read any more.
    pub(crate) fn read_again(&mut self, memory: &impl Memory) -> bool {
        let kept = self.kept[..self.count].iter_mut();
        let pieces = kept.map(|chunk| Piece {
            address: chunk.address,
            into: &mut chunk.bytes,
        });
        let mut pieces: Vec<_> = pieces.collect();
        pieces.is_empty() || memory.read_each(&mut pieces)
    }

    /// Copies a frame, from the copy of its chunk if there is one. Returns `false` if the frame
    /// cannot be read.
    pub(crate) fn frame(
        &self,
        memory: &impl Memory,
        address: u64,
        reach: usize,
        into: &mut Bytes,
    ) -> bool {
        let Some(into) = into.get_mut(..reach) else {
            return false;
        };
        for chunk in &self.kept[..self.count] {
            let Some(at) = address.checked_sub(chunk.address) else {
                continue;
            };
            let at = usize::try_from(at).ok();
            let end = at.and_then(|at| at.checked_add(reach));
            if let (Some(at), Some(end)) = (at, end)
                && let Some(bytes) = chunk.bytes.get(at..end)
            {
                into.copy_from_slice(bytes);
                return true;
            }
        }
        memory.read(address, into)
    }

    fn push(&mut self, address: u64, length: u64) -> Option<Piece<'_>> {
        if length > MAX_CHUNK || length < HEAD as u64 || self.count >= MAX_CHUNKS {
            return None;
        }
        let length = usize::try_from(length).ok()?;
        if self.kept.len() == self.count {
            self.kept.push(Chunk::default());
        }
        let chunk = &mut self.kept[self.count];
        self.count += 1;
        chunk.address = address;
        chunk.bytes.resize(length, 0);
        Some(Piece {
            address,
            into: &mut chunk.bytes,
        })
    }
}
