//! Settings of the current thread for data frames: the libraries of an annotation, and large bytes
//! that are returned beside the encoded value.

use std::cell::{Cell, RefCell};

use crate::link::body::Tail;

thread_local! {
    static WANTED: Cell<Libraries> = const { Cell::new(Libraries::NONE) };
    static TAIL: Cell<bool> = const { Cell::new(false) };
    static GIVEN: RefCell<Option<Tail>> = const { RefCell::new(None) };
}

/// A set of data frame libraries, with the bits of `snakepit_bridge._frames.streams`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Libraries(u8);

impl Libraries {
    pub(crate) const NONE: Self = Self(0);

    /// Returns the set with these bits.
    pub(crate) const fn of(bits: u8) -> Self {
        Self(bits)
    }

    pub(crate) const fn bits(self) -> u8 {
        self.0
    }

    pub(crate) const fn is_empty(self) -> bool {
        self.0 == 0
    }

    pub(crate) const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// A guard that sets a cell and restores it, also after a panic.
struct Set<T: Copy + 'static>(&'static std::thread::LocalKey<Cell<T>>, T);

impl<T: Copy> Set<T> {
    fn new(cell: &'static std::thread::LocalKey<Cell<T>>, value: T) -> Self {
        Self(cell, cell.replace(value))
    }
}

impl<T: Copy> Drop for Set<T> {
    fn drop(&mut self) {
        self.0.set(self.1);
    }
}

/// Runs `decode` so that it creates data frames of one of these libraries.
pub(crate) fn wanting<T>(libraries: Libraries, decode: impl FnOnce() -> T) -> T {
    if libraries.is_empty() {
        return decode();
    }
    let _set = Set::new(&WANTED, libraries);
    decode()
}

pub(super) fn current() -> Libraries {
    WANTED.get()
}

/// Runs `encode` so that a data frame may return its bytes beside the encoded value.
pub(super) fn with_tail<T>(encode: impl FnOnce() -> T) -> (T, Option<Tail>) {
    let _set = Set::new(&TAIL, true);
    let done = encode();
    // A tail was given if none is accepted any more.
    let tail = if TAIL.get() { None } else { GIVEN.take() };
    (done, tail)
}

pub(super) fn takes_tail() -> bool {
    TAIL.get()
}

pub(super) fn give_tail(tail: Tail) {
    TAIL.set(false);
    GIVEN.set(Some(tail));
}
