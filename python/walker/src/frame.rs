//! Frames of a stack.

use crate::layout::{Layout, MAX_FRAME};
use crate::memory::{half_of, word_of};

/// Owners of frames from 3.11 on. From `FIRST_SHIM` on, a frame is the bottom of a call from C
/// code.
pub(crate) const OWNED_BY_THREAD: u8 = 0;
pub(crate) const FIRST_SHIM: u8 = 3;

/// A frame as read from memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Frame {
    pub(crate) address: u64,
    /// Address of its code object.
    pub(crate) code: u64,
    /// Address of the next outer frame; 0 for the outermost one.
    pub(crate) previous: u64,
    /// Address of the instruction; in 3.10 its number.
    pub(crate) instruction: u64,
    pub(crate) owner: u8,
    /// Index of the thread's own copy of the code; 0 if it uses the shared one.
    pub(crate) copy_index: u32,
}

/// The bytes of a frame.
pub(crate) type Bytes = [u8; MAX_FRAME];

impl Frame {
    /// Decodes the fields of a copied frame.
    pub(crate) fn decode(layout: &Layout, address: u64, bytes: &Bytes) -> Self {
        let places = &layout.frame;
        let instruction = match places.owner {
            Some(_) => word_of(bytes, places.instruction),
            None => half_of(bytes, places.instruction).into(),
        };
        let owner = places.owner.and_then(|at| bytes.get(at)).copied();
        let mut code = word_of(bytes, places.code);
        if layout.minor >= 14 {
            // References carry tags in their lowest bits.
            code &= !3;
        }
        Self {
            address,
            code,
            previous: word_of(bytes, places.previous),
            instruction,
            owner: owner.unwrap_or(OWNED_BY_THREAD),
            copy_index: places.copy_index.map_or(0, |at| half_of(bytes, at)),
        }
    }

    /// Returns whether a call from C code begins here; such a frame runs no Python code.
    pub(crate) const fn is_shim(&self) -> bool {
        self.owner >= FIRST_SHIM
    }

    /// Returns the address of its code object.
    pub const fn code(&self) -> u64 {
        self.code
    }
}
