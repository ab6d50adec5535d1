//! Copies of the memory of a process.

/// The memory of a process. Copies may be torn: the process continues while they are made.
pub trait Memory {
    /// Copies the bytes at an address. Returns `false` if some of them cannot be read.
    fn read(&self, address: u64, into: &mut [u8]) -> bool;

    /// Copies several pieces, as close together in time as possible. Returns `false` if some bytes
    /// cannot be read.
    fn read_each(&self, pieces: &mut [Piece<'_>]) -> bool {
        pieces
            .iter_mut()
            .all(|piece| self.read(piece.address, piece.into))
    }
}

/// A part of the memory, and the buffer for its copy.
#[derive(Debug)]
pub struct Piece<'a> {
    /// Address in the process.
    pub address: u64,
    /// Buffer that receives the copy.
    pub into: &'a mut [u8],
}

/// Reads the word at `base + offset`.
pub(crate) fn word(memory: &impl Memory, base: u64, offset: usize) -> Option<u64> {
    let mut bytes = [0; 8];
    let read = memory.read(at(base, offset)?, &mut bytes);
    read.then(|| u64::from_le_bytes(bytes))
}

/// Reads the 32-bit number at `base + offset`.
pub(crate) fn half(memory: &impl Memory, base: u64, offset: usize) -> Option<u32> {
    let mut bytes = [0; 4];
    let read = memory.read(at(base, offset)?, &mut bytes);
    read.then(|| u32::from_le_bytes(bytes))
}

/// Returns the address `offset` bytes after `base`; `None` on overflow.
pub(crate) fn at(base: u64, offset: usize) -> Option<u64> {
    base.checked_add(u64::try_from(offset).ok()?)
}

/// Returns the word at this offset of a copy; 0 beyond its end.
pub(crate) fn word_of(copy: &[u8], offset: usize) -> u64 {
    let bytes = copy.get(offset..).and_then(|rest| rest.first_chunk());
    bytes.map_or(0, |bytes| u64::from_le_bytes(*bytes))
}

/// Returns the 32-bit number at this offset of a copy; 0 beyond its end.
pub(crate) fn half_of(copy: &[u8], offset: usize) -> u32 {
    let bytes = copy.get(offset..).and_then(|rest| rest.first_chunk());
    bytes.map_or(0, |bytes| u32::from_le_bytes(*bytes))
}

/// Returns whether an object can be at this address.
pub(crate) const fn is_aligned(address: u64) -> bool {
    address != 0 && address.is_multiple_of(8)
}
