//! The waiting calls: first in, first out, with removal from the middle in O(1).

use crate::SessionId;

/// No entry.
const NONE: u32 = u32::MAX;

/// A place in the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Ticket {
    index: u32,
    generation: u32,
}

#[derive(Debug)]
struct Entry<W> {
    generation: u32,
    previous: u32,
    next: u32,
    waiting: Option<(W, Option<SessionId>)>,
}

/// A doubly linked list in a vector; vacant entries are reused, so a busy queue does not allocate.
#[derive(Debug)]
pub(crate) struct Queue<W> {
    entries: Vec<Entry<W>>,
    vacant: Vec<u32>,
    head: u32,
    tail: u32,
    len: usize,
    limit: usize,
}

impl<W> Queue<W> {
    pub(crate) const fn new(limit: usize) -> Self {
        Self {
            entries: Vec::new(),
            vacant: Vec::new(),
            head: NONE,
            tail: NONE,
            len: 0,
            limit,
        }
    }

    pub(crate) const fn len(&self) -> usize {
        self.len
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.len == 0
    }

    pub(crate) const fn is_full(&self) -> bool {
        self.len >= self.limit
    }

    /// Appends, whether or not the queue is full: the caller asks before.
    pub(crate) fn push(&mut self, waiter: W, session: Option<SessionId>) -> Ticket {
        let index = self.vacant.pop().unwrap_or_else(|| {
            let index = u32::try_from(self.entries.len()).expect("fewer than 2^32 waiting calls");
            self.entries.push(Entry {
                generation: 0,
                previous: NONE,
                next: NONE,
                waiting: None,
            });
            index
        });
        let last = std::mem::replace(&mut self.tail, index);
        match last {
            NONE => self.head = index,
            _ => self.entries[last as usize].next = index,
        }
        let entry = &mut self.entries[index as usize];
        (entry.previous, entry.next) = (last, NONE);
        entry.waiting = Some((waiter, session));
        self.len += 1;
        Ticket {
            index,
            generation: entry.generation,
        }
    }

    /// Takes the oldest.
    pub(crate) fn pop(&mut self) -> Option<(W, Option<SessionId>)> {
        (self.head != NONE).then(|| self.take(self.head))
    }

    /// Takes this one, if it is still there.
    pub(crate) fn cancel(&mut self, ticket: Ticket) -> Option<W> {
        let entry = &self.entries[ticket.index as usize];
        let waits = entry.generation == ticket.generation && entry.waiting.is_some();
        waits.then(|| self.take(ticket.index).0)
    }

    fn take(&mut self, index: u32) -> (W, Option<SessionId>) {
        let entry = &mut self.entries[index as usize];
        let waiting = entry
            .waiting
            .take()
            .expect("only entries in the list are taken");
        entry.generation = entry.generation.wrapping_add(1);
        let (previous, next) = (entry.previous, entry.next);
        match previous {
            NONE => self.head = next,
            _ => self.entries[previous as usize].next = next,
        }
        match next {
            NONE => self.tail = previous,
            _ => self.entries[next as usize].previous = previous,
        }
        self.vacant.push(index);
        self.len -= 1;
        waiting
    }
}
