//! The chunks of one batch: the small ones lie in one block of memory.

use std::vec;

use bytes::Bytes;

/// A chunk up to this size in bytes is copied, so that it does not keep the memory of others alive.
pub(super) const SMALL: usize = 16 << 10;

/// Chunks in the order in which they arrived.
#[derive(Debug, Default)]
pub(super) struct Gathered {
    lengths: Vec<usize>,
    /// The bytes of the chunks up to [`SMALL`].
    small: Vec<u8>,
    large: Vec<Bytes>,
}

/// The chunks of a batch that are still to be taken.
#[derive(Debug, Default)]
pub(super) struct Rest {
    lengths: vec::IntoIter<usize>,
    small: Vec<u8>,
    /// Bytes of `small` that are taken.
    taken: usize,
    large: vec::IntoIter<Bytes>,
}

impl Gathered {
    /// Adds a chunk up to [`SMALL`].
    pub(super) fn push_small(&mut self, chunk: &[u8]) {
        self.lengths.push(chunk.len());
        self.small.extend_from_slice(chunk);
    }

    /// Adds a chunk of any size.
    pub(super) fn push(&mut self, chunk: Bytes) {
        if chunk.len() <= SMALL {
            return self.push_small(&chunk);
        }
        self.lengths.push(chunk.len());
        self.large.push(chunk);
    }

    /// Returns the lengths of the chunks.
    pub(super) fn lengths(&self) -> &[usize] {
        &self.lengths
    }
}

impl IntoIterator for Gathered {
    type Item = Bytes;
    type IntoIter = Rest;

    fn into_iter(self) -> Rest {
        Rest {
            lengths: self.lengths.into_iter(),
            small: self.small,
            taken: 0,
            large: self.large.into_iter(),
        }
    }
}

impl Iterator for Rest {
    type Item = Bytes;

    fn next(&mut self) -> Option<Bytes> {
        let length = self.lengths.next()?;
        if length > SMALL {
            return self.large.next();
        }
        let chunk = &self.small[self.taken..self.taken + length];
        self.taken += length;
        Some(Bytes::copy_from_slice(chunk))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_of_all_sizes_keep_their_order() {
        let sizes = [0, 3, SMALL, SMALL + 1, 1, SMALL + 2, 0];
        let chunk = |index: usize| Bytes::from(vec![index as u8; sizes[index]]);
        let mut gathered = Gathered::default();
        (0..sizes.len()).for_each(|index| gathered.push(chunk(index)));
        assert_eq!(gathered.lengths(), sizes);
        let mut rest = gathered.into_iter();
        for index in 0..sizes.len() {
            assert_eq!(rest.next(), Some(chunk(index)));
        }
        assert_eq!(rest.next(), None);
    }
}
