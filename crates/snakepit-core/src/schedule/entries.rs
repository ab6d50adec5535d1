//! The entries of the queue by their index. Tests count the accesses.

use std::ops::{Index, IndexMut};

/// A vector that is accessed only by index, or as a whole.
#[derive(Debug)]
pub(super) struct Entries<T> {
    all: Vec<T>,
    #[cfg(test)]
    looks: std::cell::Cell<u64>,
}

impl<T> Entries<T> {
    pub(super) const fn new() -> Self {
        Self {
            all: Vec::new(),
            #[cfg(test)]
            looks: std::cell::Cell::new(0),
        }
    }

    pub(super) const fn len(&self) -> usize {
        self.all.len()
    }

    pub(super) fn push(&mut self, entry: T) {
        self.all.push(entry);
    }

    pub(super) fn get(&self, index: usize) -> Option<&T> {
        self.look(1);
        self.all.get(index)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &T> {
        self.look(self.all.len());
        self.all.iter()
    }

    #[cfg(test)]
    fn look(&self, entries: usize) {
        self.looks.set(self.looks.get() + entries as u64);
    }

    #[cfg(not(test))]
    #[expect(clippy::unused_self, reason = "it counts in tests")]
    const fn look(&self, _: usize) {}

    /// Number of accesses so far.
    #[cfg(test)]
    pub(super) const fn looks(&self) -> u64 {
        self.looks.get()
    }
}

impl<T> Index<usize> for Entries<T> {
    type Output = T;

    fn index(&self, index: usize) -> &T {
        self.look(1);
        &self.all[index]
    }
}

impl<T> IndexMut<usize> for Entries<T> {
    fn index_mut(&mut self, index: usize) -> &mut T {
        self.look(1);
        &mut self.all[index]
    }
}
