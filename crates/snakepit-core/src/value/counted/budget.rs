//! The memory that the values of one input may take.

use std::cell::Cell;

use serde::de::Error;

use crate::value::shared;

/// Memory that the values of an input may take, in bytes: this much, and [`PER_BYTE`] for each byte
/// of the input. A byte of MessagePack may be an item of a list, and an item of a tree takes 32
/// bytes and more: without a limit, 64 MiB could become several gigabytes.
const ALLOWED: usize = 64 << 20;

/// Memory for each byte of the input, in bytes. See [`ALLOWED`].
const PER_BYTE: usize = 4;

/// Memory that the values of any input may take at most, in bytes. A list that grows reserves up to
/// twice its size.
const MOST: usize = 256 << 20;

/// Largest size of values that are counted separately, against [`NUMBERS`] alone. Numbers take at
/// most eight times their input, and lists of them are common.
pub(super) const NUMBER: usize = 8;

/// Memory that the numbers of an input may take, in bytes.
const NUMBERS: usize = 256 << 20;

/// Memory of an allocation besides its content, in bytes.
pub(super) const ALLOCATION: usize = 16;

/// Minimum number of places of a container with items: lists grow in steps, and a node of a tree or
/// a table has room for several items.
pub(super) const PLACES: usize = 5;

/// The memory that the values of one input may still take.
#[derive(Debug)]
pub(crate) struct Budget {
    left: Cell<usize>,
    numbers: Cell<usize>,
    input: usize,
}

impl Budget {
    /// Creates the budget of an input of this many bytes.
    pub(crate) fn of(input: usize) -> Self {
        Self {
            left: Cell::new(allowed(input)),
            numbers: Cell::new(NUMBERS),
            input,
        }
    }

    /// Returns the size of the input in bytes.
    pub(super) const fn input(&self) -> usize {
        self.input
    }

    /// Deducts the memory of `items` numbers of a size, before they are read.
    pub(super) fn take_numbers<E: Error>(&self, items: usize, size: usize) -> Result<(), E> {
        let left = self.numbers.get();
        let left = left.checked_sub(items.saturating_mul(size));
        self.numbers
            .set(left.ok_or_else(|| too_large(items, NUMBERS))?);
        Ok(())
    }

    /// Deducts the allocation of a text, or of bytes.
    pub(super) fn take_text<E: Error>(&self, length: usize) -> Result<(), E> {
        match length {
            0 => Ok(()),
            _ => self.take(1, ALLOCATION),
        }
    }

    /// Deducts the memory of `items` values of a size, before they are read.
    pub(super) fn take<E: Error>(&self, items: usize, size: usize) -> Result<(), E> {
        if size <= NUMBER {
            return Ok(());
        }
        let left = self.left.get();
        let left = left.checked_sub(items.saturating_mul(size));
        self.left
            .set(left.ok_or_else(|| too_large(items, allowed(self.input)))?);
        Ok(())
    }
}

/// Returns the memory that the values of an input of this many bytes may take.
fn allowed(input: usize) -> usize {
    ALLOWED
        .saturating_add(input.saturating_mul(PER_BYTE))
        .min(MOST)
}

#[cold]
fn too_large<E: Error>(items: usize, allowed: usize) -> E {
    shared::refuse();
    E::custom(format_args!(
        "{items} more items would take more memory than the {} MiB that the values of this payload may take: send less at a time, \
         or an array of numbers",
        allowed >> 20,
    ))
}
