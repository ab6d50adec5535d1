//! The waiting calls: one line for those that take any worker and one for each worker, with removal from the middle in O(1).

use std::mem::replace;

use super::{Grant, WorkerKey};
use crate::SessionId;

/// No entry.
const NONE: u32 = u32::MAX;

/// A place in the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Ticket {
    index: u32,
    generation: u32,
}

/// One waiting call.
#[derive(Debug)]
pub(crate) struct Waiting<W> {
    pub(crate) waiter: W,
    pub(crate) session: Option<SessionId>,
    /// It takes no worker but its session's.
    pub(crate) strict: bool,
    /// Slots of this pool that wait for it: those of the calls it is nested in.
    pub(crate) ancestors: Box<[Grant]>,
}

/// Whose line a call is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Line {
    Any,
    Of(WorkerKey),
}

impl Line {
    const fn index(self) -> usize {
        match self {
            Self::Any => 0,
            Self::Of(key) => key.index() + 1,
        }
    }
}

#[derive(Debug)]
struct Entry<W> {
    generation: u32,
    previous: u32,
    next: u32,
    /// Order of arrival.
    number: u64,
    line: usize,
    waiting: Option<Waiting<W>>,
}

#[derive(Clone, Copy, Debug)]
struct Ends {
    head: u32,
    tail: u32,
}

const EMPTY: Ends = Ends {
    head: NONE,
    tail: NONE,
};

/// Doubly linked lists in a vector; vacant entries are reused, so a busy queue does not allocate.
#[derive(Debug)]
pub(crate) struct Queue<W> {
    entries: Vec<Entry<W>>,
    vacant: Vec<u32>,
    lines: Vec<Ends>,
    next_number: u64,
    len: usize,
    limit: usize,
}

impl<W> Queue<W> {
    pub(crate) fn new(limit: usize) -> Self {
        Self {
            entries: Vec::new(),
            vacant: Vec::new(),
            lines: vec![EMPTY],
            next_number: 0,
            len: 0,
            limit,
        }
    }

    pub(crate) const fn len(&self) -> usize {
        self.len
    }

    pub(crate) const fn is_full(&self) -> bool {
        self.len >= self.limit
    }

    /// Appends, whether or not the queue is full: the caller asks before.
    pub(crate) fn push(&mut self, line: Line, waiting: Waiting<W>) -> Ticket {
        let index = self.vacant.pop().unwrap_or_else(|| {
            let index = u32::try_from(self.entries.len()).expect("fewer than 2^32 waiting calls");
            self.entries.push(Entry {
                generation: 0,
                previous: NONE,
                next: NONE,
                number: 0,
                line: 0,
                waiting: None,
            });
            index
        });
        let entry = &mut self.entries[index as usize];
        entry.number = self.next_number;
        self.next_number += 1;
        entry.waiting = Some(waiting);
        let generation = entry.generation;
        self.link(index, line);
        self.len += 1;
        Ticket { index, generation }
    }

    /// The oldest of a line, and when it came.
    pub(crate) fn first(&self, line: Line) -> Option<(u64, &Waiting<W>)> {
        let index = self.head(line)?;
        let entry = &self.entries[index as usize];
        let waiting = entry.waiting.as_ref().expect("entries in a line wait");
        Some((entry.number, waiting))
    }

    /// Takes the oldest of a line.
    pub(crate) fn pop(&mut self, line: Line) -> Option<Waiting<W>> {
        self.head(line).map(|index| self.take(index))
    }

    /// Moves the oldest of a line to its place by age in another one.
    pub(crate) fn transfer(&mut self, from: Line, to: Line) {
        if let Some(index) = self.head(from) {
            self.unlink(index);
            self.link(index, to);
        }
    }

    /// Takes this one, if it is still there.
    pub(crate) fn cancel(&mut self, ticket: Ticket) -> Option<Waiting<W>> {
        let entry = &self.entries[ticket.index as usize];
        let waits = entry.generation == ticket.generation && entry.waiting.is_some();
        waits.then(|| self.take(ticket.index))
    }

    /// Takes all, oldest first.
    pub(crate) fn drain(&mut self) -> Vec<Waiting<W>> {
        let mut order: Vec<_> = (0_u32..)
            .zip(&self.entries)
            .filter(|(_, entry)| entry.waiting.is_some())
            .map(|(index, entry)| (entry.number, index))
            .collect();
        order.sort_unstable();
        order
            .into_iter()
            .map(|(_, index)| self.take(index))
            .collect()
    }

    fn head(&self, line: Line) -> Option<u32> {
        let ends = self.lines.get(line.index())?;
        (ends.head != NONE).then_some(ends.head)
    }

    fn take(&mut self, index: u32) -> Waiting<W> {
        self.unlink(index);
        let entry = &mut self.entries[index as usize];
        let waiting = entry
            .waiting
            .take()
            .expect("only entries in a line are taken");
        entry.generation = entry.generation.wrapping_add(1);
        self.vacant.push(index);
        self.len -= 1;
        waiting
    }

    /// Puts an entry behind all that came before it: nearly always at the end.
    fn link(&mut self, index: u32, line: Line) {
        let line = line.index();
        if line >= self.lines.len() {
            self.lines.resize(line + 1, EMPTY);
        }
        let number = self.entries[index as usize].number;
        let mut previous = self.lines[line].tail;
        while previous != NONE && self.entries[previous as usize].number > number {
            previous = self.entries[previous as usize].previous;
        }
        let next = match previous {
            NONE => replace(&mut self.lines[line].head, index),
            _ => replace(&mut self.entries[previous as usize].next, index),
        };
        match next {
            NONE => self.lines[line].tail = index,
            _ => self.entries[next as usize].previous = index,
        }
        let entry = &mut self.entries[index as usize];
        (entry.previous, entry.next, entry.line) = (previous, next, line);
    }

    fn unlink(&mut self, index: u32) {
        let entry = &self.entries[index as usize];
        let (previous, next, line) = (entry.previous, entry.next, entry.line);
        match previous {
            NONE => self.lines[line].head = next,
            _ => self.entries[previous as usize].next = next,
        }
        match next {
            NONE => self.lines[line].tail = previous,
            _ => self.entries[next as usize].previous = previous,
        }
    }
}
