//! How often each stack was seen. Bounded: stacks beyond the bounds are counted, and nothing more.

use std::collections::HashMap;

use super::marks::Marks;

/// Frames of all stacks together.
const MAX_FRAMES: usize = 1 << 21;

/// A function by its number, and the offset of the instruction in it.
pub(crate) type Place = (u32, i32);

/// One stack of one thread with its marks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Key {
    pub(crate) thread: u32,
    pub(crate) marks: Marks,
    pub(crate) stack: u32,
}

/// The stacks of a profile.
#[derive(Debug)]
pub(crate) struct Table {
    most: usize,
    stacks: Vec<Box<[Place]>>,
    numbers: HashMap<Box<[Place]>, u32>,
    frames: usize,
    counts: HashMap<Key, u64>,
    /// Samples that found no room.
    pub(crate) truncated: u64,
}

impl Table {
    /// A table of at most so many different stacks.
    pub(crate) fn new(most: usize) -> Self {
        Self {
            most,
            stacks: Vec::new(),
            numbers: HashMap::new(),
            frames: 0,
            counts: HashMap::new(),
            truncated: 0,
        }
    }

    /// The number of a stack. `None` if there is no room for another one.
    pub(crate) fn number(&mut self, stack: &[Place]) -> Option<u32> {
        if let Some(number) = self.numbers.get(stack) {
            return Some(*number);
        }
        if self.stacks.len() >= self.most || self.frames + stack.len() > MAX_FRAMES {
            self.truncated += 1;
            return None;
        }
        let number = u32::try_from(self.stacks.len()).ok()?;
        self.frames += stack.len();
        self.stacks.push(stack.into());
        self.numbers.insert(stack.into(), number);
        Some(number)
    }

    /// Counts one sample.
    pub(crate) fn count(&mut self, key: Key) {
        // A stack may be seen in any number of threads.
        if self.counts.len() >= 4 * self.most && !self.counts.contains_key(&key) {
            self.truncated += 1;
            return;
        }
        *self.counts.entry(key).or_default() += 1;
    }

    /// All that was counted, the most frequent first.
    pub(crate) fn counts(&self) -> Vec<(Key, u64, &[Place])> {
        let counts = self.counts.iter().filter_map(|(key, count)| {
            let stack = self.stacks.get(usize::try_from(key.stack).ok()?)?;
            Some((*key, *count, &**stack))
        });
        let mut counts: Vec<_> = counts.collect();
        counts.sort_by_key(|(key, count, _)| (std::cmp::Reverse(*count), key.thread, key.stack));
        counts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stacks_are_counted_within_bounds() {
        let mut table = Table::new(2);
        let key = |stack| Key {
            thread: 0,
            marks: Marks::default(),
            stack,
        };
        let first = table.number(&[(1, 2), (3, 4)]).unwrap();
        let second = table.number(&[(1, 2)]).unwrap();
        assert_eq!(table.number(&[(1, 2), (3, 4)]), Some(first));
        assert_eq!(table.number(&[(9, 9)]), None);
        table.count(key(first));
        table.count(key(second));
        table.count(key(second));
        let counts: Vec<_> = table.counts().iter().map(|(_, count, _)| *count).collect();
        assert_eq!((counts, table.truncated), (vec![2, 1], 1));
    }
}
