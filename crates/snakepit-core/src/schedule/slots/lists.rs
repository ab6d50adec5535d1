//! The lists of workers with free slots, one for each load.

use super::{NONE, Slots};

/// A list of workers of equal load: oldest release first.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bucket {
    head: u32,
    tail: u32,
}

impl Slots {
    /// Returns the first worker of the lowest load that can take calls.
    pub(super) fn least_loaded(&self) -> Option<u32> {
        let word = self.occupied.iter().position(|word| *word != 0)?;
        let bucket = word * 64 + self.occupied[word].trailing_zeros() as usize;
        Some(self.buckets[bucket].head)
    }

    /// Puts a worker at the end of the bucket of its load, if it can take calls.
    #[inline]
    pub(super) fn link(&mut self, index: u32) {
        if self.entries[index as usize].takes() {
            self.link_taking(index);
        }
    }

    fn link_taking(&mut self, index: u32) {
        let entry = &mut self.entries[index as usize];
        let load = usize::from(entry.in_use);
        if load >= self.buckets.len() {
            self.buckets.resize(
                load + 1,
                Bucket {
                    head: NONE,
                    tail: NONE,
                },
            );
            self.occupied.resize(load / 64 + 1, 0);
        }
        let bucket = &mut self.buckets[load];
        entry.previous = bucket.tail;
        entry.next = NONE;
        let last = std::mem::replace(&mut bucket.tail, index);
        if last == NONE {
            bucket.head = index;
            self.occupied[load / 64] |= 1 << (load % 64);
        } else {
            self.entries[last as usize].next = index;
        }
    }

    /// Removes a worker from the bucket of its load, if it is in one.
    #[inline]
    pub(super) fn unlink(&mut self, index: u32) {
        if self.entries[index as usize].takes() {
            self.unlink_taking(index);
        }
    }

    fn unlink_taking(&mut self, index: u32) {
        let entry = &self.entries[index as usize];
        let (load, previous, next) = (usize::from(entry.in_use), entry.previous, entry.next);
        match previous {
            NONE => self.buckets[load].head = next,
            _ => self.entries[previous as usize].next = next,
        }
        match next {
            NONE => self.buckets[load].tail = previous,
            _ => self.entries[next as usize].previous = previous,
        }
        if self.buckets[load].head == NONE {
            self.occupied[load / 64] &= !(1 << (load % 64));
        }
    }
}
