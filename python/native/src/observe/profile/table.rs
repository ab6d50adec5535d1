//! Counts of stacks, bounded: samples beyond the bounds are only counted.

use std::collections::HashMap;

use super::marks::Marks;

/// Largest number of frames of all stacks together.
const MAX_FRAMES: usize = 1 << 21;

/// A function's number, and the offset of the instruction in the function.
pub(crate) type Place = (u32, i32);

/// The result of looking at a thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Seen {
    /// The thread runs no Python code.
    Nothing,
    /// The thread has a stack for which the table has no room.
    NoRoom,
    /// The thread has the stack with this number.
    Stack(u32),
}

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
    /// Number of samples for which the table had no room.
    pub(crate) truncated: u64,
}

impl Table {
    /// Creates a table of at most this many different stacks.
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

    /// Numbers a stack, if the table has room for it.
    pub(crate) fn keep(&mut self, stack: &[Place]) -> Seen {
        if let Some(number) = self.numbers.get(stack) {
            return Seen::Stack(*number);
        }
        let room = self.stacks.len() < self.most && self.frames + stack.len() <= MAX_FRAMES;
        let (true, Ok(number)) = (room, u32::try_from(self.stacks.len())) else {
            return Seen::NoRoom;
        };
        self.frames += stack.len();
        self.stacks.push(stack.into());
        self.numbers.insert(stack.into(), number);
        Seen::Stack(number)
    }

    /// Counts one sample; `thread` is `None` if there was no room for the thread's title.
    pub(crate) fn sample(&mut self, seen: Seen, thread: Option<u32>, marks: Marks) {
        match (seen, thread) {
            (Seen::Nothing, _) => {}
            (Seen::Stack(stack), Some(thread)) => self.count(Key {
                thread,
                marks,
                stack,
            }),
            (Seen::NoRoom, _) | (_, None) => self.truncated += 1,
        }
    }

    fn count(&mut self, key: Key) {
        // A stack may be seen in any number of threads.
        if self.counts.len() >= 4 * self.most && !self.counts.contains_key(&key) {
            self.truncated += 1;
            return;
        }
        *self.counts.entry(key).or_default() += 1;
    }

    /// Returns all counts, the most frequent first.
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
        let first = table.keep(&[(1, 2), (3, 4)]);
        let second = table.keep(&[(1, 2)]);
        assert_eq!((first, second), (Seen::Stack(0), Seen::Stack(1)));
        assert_eq!(table.keep(&[(1, 2), (3, 4)]), first);
        let third = table.keep(&[(9, 9)]);
        assert_eq!((third, table.truncated), (Seen::NoRoom, 0));
        // The stack of a thread that stands still is looked up once, and counted each time.
        for seen in [first, second, second, third, third, Seen::Nothing] {
            table.sample(seen, Some(0), Marks::default());
        }
        let counts: Vec<_> = table.counts().iter().map(|(_, count, _)| *count).collect();
        assert_eq!((counts, table.truncated), (vec![2, 1], 2));
        table.sample(first, None, Marks::default());
        table.sample(Seen::Nothing, None, Marks::default());
        assert_eq!(table.truncated, 3);
    }
}
