//! The waiting calls: one line for those that accept any worker and one for each worker, with
//! removal from the middle in O(1).
//!
//! A line is one list, first come, first served. With fair turns it is one list for each flow, and
//! [`Fair`] decides whose turn it is.

use std::mem::replace;

use super::bounds::Bounds;
use super::entries::Entries;
use super::fair::Fair;
use super::{Grant, QueueBound, SlotRequest, WorkerKey};
use crate::id::SessionId;

/// Index that stands for "no entry".
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
    /// The call accepts only its session's worker.
    pub(crate) strict: bool,
    /// Slots of this pool that wait for the call: those of the calls in which it is nested.
    pub(crate) ancestors: Box<[Grant]>,
    /// Bytes of its arguments.
    pub(crate) bytes: usize,
    /// The call can be sent ahead of its turn.
    pub(crate) ahead: bool,
}

/// Order of two lines: the earlier round goes first, and then the earlier call.
pub(crate) type Rank = (u64, u64);

/// The line in which a call waits.
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
    list: usize,
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

/// Doubly linked lists in a vector; vacant entries are reused, so that a busy queue does not
/// allocate.
#[derive(Debug)]
pub(crate) struct Queue<W> {
    entries: Entries<Entry<W>>,
    vacant: Vec<u32>,
    lists: Vec<Ends>,
    next_number: u64,
    /// Number of waiting calls, including those that were sent ahead.
    len: usize,
    /// Number of calls that were sent ahead; they are in no list.
    ahead: usize,
    bounds: Bounds,
    fair: Option<Box<Fair>>,
}

impl<W> Queue<W> {
    pub(crate) fn new(bounds: Bounds, fair: bool) -> Self {
        Self {
            entries: Entries::new(),
            vacant: Vec::new(),
            lists: vec![EMPTY],
            next_number: 0,
            len: 0,
            ahead: 0,
            bounds,
            fair: fair.then(Box::default),
        }
    }

    /// Number of accesses to entries so far.
    #[cfg(test)]
    pub(crate) const fn looks(&self) -> u64 {
        self.entries.looks()
    }

    /// Returns the bound that one more call would exceed.
    pub(crate) fn broken(&self, request: &SlotRequest<'_>) -> Option<QueueBound> {
        self.bounds.broken(request, self.len)
    }

    pub(crate) const fn bytes(&self) -> usize {
        self.bounds.queued_bytes()
    }

    /// The fair turns. `None` if calls are served in order of arrival.
    pub(crate) fn fair(&mut self) -> Option<&mut Fair> {
        self.fair.as_deref_mut()
    }

    /// Returns the number of calls that would have their turn before a new one.
    pub(crate) fn ahead(&self, request: &SlotRequest<'_>) -> usize {
        let fair = self.fair.as_ref();
        fair.map_or(self.len, |fair| fair.ahead(request, self.len))
    }

    pub(crate) const fn len(&self) -> usize {
        self.len
    }

    /// Returns the session of each waiting call, of at most `most` calls. Visits all entries.
    pub(crate) fn sessions(&self, most: usize) -> Vec<Option<SessionId>> {
        let waiting = self.entries.iter().filter_map(|it| it.waiting.as_ref());
        waiting.take(most).map(|it| it.session.clone()).collect()
    }

    /// Number of calls that wait here, not in the connection of a slot.
    pub(crate) const fn here(&self) -> usize {
        self.len - self.ahead
    }

    /// Appends a call even if the queue is full: the caller checks the bounds first. A call that
    /// was sent ahead gets its old place.
    pub(crate) fn push(
        &mut self,
        line: Line,
        request: &SlotRequest<'_>,
        waiting: Waiting<W>,
    ) -> Ticket {
        let index = self.vacant.pop().unwrap_or_else(|| {
            let index = u32::try_from(self.entries.len()).expect("fewer than 2^32 waiting calls");
            self.entries.push(Entry {
                generation: 0,
                previous: NONE,
                next: NONE,
                number: 0,
                list: 0,
                waiting: None,
            });
            index
        });
        let entry = &mut self.entries[index as usize];
        entry.number = request.place.unwrap_or(self.next_number);
        self.next_number += u64::from(request.place.is_none());
        self.bounds.enter(waiting.session.as_ref(), waiting.bytes);
        entry.waiting = Some(waiting);
        let generation = entry.generation;
        let list = match &mut self.fair {
            None => line.index(),
            Some(fair) => {
                let flow = fair.flow(request);
                fair.wait(flow, line.index()) as usize
            }
        };
        self.link(index, list, request.place.is_some());
        self.len += 1;
        Ticket { index, generation }
    }

    /// Finds the next call of a line.
    pub(crate) fn rank(&mut self, line: Line) -> Option<Rank> {
        let (round, list) = match &mut self.fair {
            None => (0, line.index()),
            Some(fair) => {
                let (round, strand) = fair.turn(line.index())?;
                (round, strand as usize)
            }
        };
        let head = self.lists.get(list)?.head;
        (head != NONE).then(|| (round, self.entries[head as usize].number))
    }

    /// Returns the next call of a line, after [`rank`](Self::rank) has found it.
    pub(crate) fn first(&self, line: Line) -> &Waiting<W> {
        let index = self.head(line).expect("the line has a rank");
        let waiting = self.entries[index as usize].waiting.as_ref();
        waiting.expect("entries in a line wait")
    }

    /// Removes the next call of a line.
    pub(crate) fn pop(&mut self, line: Line) -> Option<Waiting<W>> {
        self.head(line).map(|index| self.take(index))
    }

    /// Removes the next call of a line, which gets a slot.
    pub(crate) fn grant(&mut self, line: Line, grant: Grant) -> Option<Waiting<W>> {
        if let Some(fair) = &mut self.fair {
            fair.charge_turn(fair.front(line.index())?, grant);
        }
        self.pop(line)
    }

    /// Removes the next call of a line, which is sent ahead to a slot. Returns it with its place in
    /// the queue. The call counts as waiting until [`left`](Self::left).
    pub(crate) fn send_ahead(&mut self, line: Line, grant: Grant) -> Option<(Waiting<W>, u64)> {
        if let Some(fair) = &mut self.fair {
            fair.charge_turn(fair.front(line.index())?, grant);
        }
        let index = self.head(line)?;
        let number = self.entries[index as usize].number;
        self.ahead += 1;
        Some((self.detach(index), number))
    }

    /// Ends the waiting of a call that was sent ahead.
    pub(crate) fn left(&mut self, session: Option<&SessionId>, bytes: usize) {
        self.ahead -= 1;
        self.len -= 1;
        self.bounds.leave(session, bytes);
    }

    /// Moves the next call of a line to its place by age in another one.
    pub(crate) fn transfer(&mut self, from: Line, to: Line) {
        if let Some(index) = self.head(from) {
            let list = match &mut self.fair {
                None => to.index(),
                Some(fair) => {
                    let strand = self.entries[index as usize].list;
                    let flow = fair.flow_of(index_of(strand));
                    fair.strand(flow, to.index()) as usize
                }
            };
            self.unlink(index);
            self.link(index, list, false);
        }
    }

    /// Returns the call of a ticket. `None` if it is no longer here.
    pub(crate) fn get(&self, ticket: Ticket) -> Option<&Waiting<W>> {
        let entry = self.entries.get(ticket.index as usize)?;
        let waiting = entry.waiting.as_ref();
        waiting.filter(|_| entry.generation == ticket.generation)
    }

    /// Removes the call of a ticket. `None` if it is no longer here.
    pub(crate) fn cancel(&mut self, ticket: Ticket) -> Option<Waiting<W>> {
        let entry = &self.entries[ticket.index as usize];
        let waits = entry.generation == ticket.generation && entry.waiting.is_some();
        waits.then(|| self.take(ticket.index))
    }

    /// Removes all calls, oldest first.
    pub(crate) fn drain(&mut self) -> Vec<Waiting<W>> {
        let mut order: Vec<_> = (0_u32..)
            .zip(self.entries.iter())
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
        let list = match &self.fair {
            None => line.index(),
            Some(fair) => fair.front(line.index())? as usize,
        };
        let ends = self.lists.get(list)?;
        (ends.head != NONE).then_some(ends.head)
    }

    fn take(&mut self, index: u32) -> Waiting<W> {
        let waiting = self.detach(index);
        self.len -= 1;
        self.bounds.leave(waiting.session.as_ref(), waiting.bytes);
        waiting
    }

    /// Removes an entry from its line.
    fn detach(&mut self, index: u32) -> Waiting<W> {
        let list = self.entries[index as usize].list;
        let flow = self.fair.as_ref().map(|fair| fair.flow_of(index_of(list)));
        self.unlink(index);
        let entry = &mut self.entries[index as usize];
        let waiting = entry
            .waiting
            .take()
            .expect("only entries in a line are taken");
        entry.generation = entry.generation.wrapping_add(1);
        self.vacant.push(index);
        if let (Some(fair), Some(flow)) = (&mut self.fair, flow) {
            fair.leave(flow);
        }
        waiting
    }

    /// Puts an entry behind all that arrived before it. The search begins at the end, or, if it is
    /// `old`, at the beginning, where its place nearly always is.
    fn link(&mut self, index: u32, list: usize, old: bool) {
        if list >= self.lists.len() {
            self.lists.resize(list + 1, EMPTY);
        }
        let number = self.entries[index as usize].number;
        let mut previous = self.lists[list].tail;
        if old {
            let (mut next, mut before) = (self.lists[list].head, NONE);
            while next != NONE && self.entries[next as usize].number < number {
                (before, next) = (next, self.entries[next as usize].next);
            }
            previous = before;
        }
        while previous != NONE && self.entries[previous as usize].number > number {
            previous = self.entries[previous as usize].previous;
        }
        let next = match previous {
            NONE => replace(&mut self.lists[list].head, index),
            _ => replace(&mut self.entries[previous as usize].next, index),
        };
        match next {
            NONE => self.lists[list].tail = index,
            _ => self.entries[next as usize].previous = index,
        }
        let entry = &mut self.entries[index as usize];
        (entry.previous, entry.next, entry.list) = (previous, next, list);
    }

    fn unlink(&mut self, index: u32) {
        let entry = &self.entries[index as usize];
        let (previous, next, list) = (entry.previous, entry.next, entry.list);
        match previous {
            NONE => self.lists[list].head = next,
            _ => self.entries[previous as usize].next = next,
        }
        match next {
            NONE => self.lists[list].tail = previous,
            _ => self.entries[next as usize].previous = previous,
        }
        if let Some(fair) = self.fair.as_mut().filter(|_| self.lists[list].head == NONE) {
            fair.close(index_of(list));
        }
    }
}

/// Lists of fair turns have the numbers of their strands.
fn index_of(list: usize) -> u32 {
    u32::try_from(list).expect("a strand's number fits")
}
