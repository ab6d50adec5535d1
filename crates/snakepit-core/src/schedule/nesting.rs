//! Slots whose calls wait for calls in the queue.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};

use super::queue::Line;
use super::slots::Slots;
use super::{Grant, Scheduler, SlotRequest, Ticket, WorkerKey};

/// The number of waiting calls that the call in each slot waits for.
#[derive(Debug, Default)]
pub(crate) struct Nesting {
    blocked: HashMap<Grant, u32>,
}

impl Nesting {
    pub(crate) fn enter(&mut self, ancestors: &[Grant]) {
        for grant in ancestors {
            *self.blocked.entry(*grant).or_default() += 1;
        }
    }

    pub(crate) fn leave(&mut self, ancestors: &[Grant]) {
        for grant in ancestors {
            if let Entry::Occupied(mut entry) = self.blocked.entry(*grant) {
                *entry.get_mut() -= 1;
                if *entry.get() == 0 {
                    entry.remove();
                }
            }
        }
    }

    /// Returns true if all slots belong to calls that would wait for this one, or for others in the
    /// queue: none would ever become free.
    pub(crate) fn closes_circle(&self, ancestors: &[Grant], slots: &Slots) -> bool {
        let new = ancestors
            .iter()
            .filter(|grant| !self.blocked.contains_key(grant));
        let held = self.blocked.keys().chain(new);
        let held = held.filter(|grant| slots.holds(grant));
        // A slot counts once, even if its next call has begun already.
        let waiting: HashSet<_> = held.map(|grant| (grant.worker, grant.slot)).collect();
        !waiting.is_empty() && waiting.len() == slots.capacity()
    }
}

impl<W> Scheduler<W> {
    /// Returns the worker that a queued call waits for; the inner `None` means any worker. `None`
    /// if the call is no longer in the queue.
    pub(crate) fn waits_for(&self, ticket: Ticket) -> Option<Option<WorkerKey>> {
        let waiting = self.queue.get(ticket)?;
        let session = waiting.session.as_ref().filter(|_| waiting.strict);
        let home = session.and_then(|session| self.strict.get(session));
        Some(home.filter(|key| self.slots.is_active(*key)))
    }

    /// Returns true if the call of this grant still has its slot, on a worker that takes calls.
    pub(crate) fn holds(&self, grant: &Grant) -> bool {
        self.slots.holds(grant)
    }

    /// Number of slots of one worker, or of all workers that take calls.
    pub(crate) fn slots_of(&self, worker: Option<WorkerKey>) -> usize {
        match worker {
            Some(key) => self.slots.capacity_of(key).map_or(0, usize::from),
            None => self.slots.capacity(),
        }
    }

    /// Returns true if every slot that the call could ever get belongs to a call that would wait
    /// for it.
    pub(super) fn would_deadlock(&self, request: &SlotRequest<'_>, line: Line) -> bool {
        if let Line::Of(key) = line {
            let own = request
                .ancestors
                .iter()
                .filter(|grant| grant.worker == key && self.slots.holds(grant));
            let own: HashSet<_> = own.map(|grant| grant.slot).collect();
            if Some(own.len()) == self.slots.capacity_of(key).map(usize::from) {
                return true;
            }
        }
        !request.growing && self.nesting.closes_circle(request.ancestors, &self.slots)
    }
}
