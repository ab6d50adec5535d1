//! Workers and their slots, in one list for each load: a least loaded one is found in O(1).

mod lists;

use super::ahead::Place;
use crate::id::{Slot, WorkerId};
use lists::Bucket;

/// Index that stands for "no entry".
const NONE: u32 = u32::MAX;

/// Identity of one worker of a scheduler; never valid for another worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct WorkerKey {
    index: u32,
    generation: u32,
}

impl WorkerKey {
    /// Place in a table; places of removed workers are reused.
    pub(crate) const fn index(self) -> usize {
        self.index as usize
    }
}

/// A slot that one call has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Grant {
    /// The worker.
    pub worker: WorkerKey,
    /// The slot.
    pub slot: Slot,
    /// Turn of the call; successive calls of a slot have different turns.
    pub(super) turn: u32,
}

#[derive(Debug)]
pub(super) struct Entry {
    generation: u32,
    state: EntryState,
    /// The worker gets no calls for now.
    paused: bool,
    capacity: u16,
    /// Free slots, last freed on top.
    free: Vec<u16>,
    /// The calls of each slot.
    pub(super) places: Vec<Place>,
    /// The slots may have calls ahead of their turn.
    pub(super) ahead: bool,
    name: WorkerId,
    in_use: u16,
    previous: u32,
    next: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum EntryState {
    Active,
    /// Reserved for one isolated call: only calls that are directed to the worker get a slot.
    Reserved,
    Retiring,
    Vacant,
}

impl Entry {
    /// Returns true if a call can have a slot now.
    const fn takes(&self) -> bool {
        self.is_open() && !self.free.is_empty()
    }

    /// Returns true if the worker takes calls, even if it is paused or reserved now.
    const fn is_active(&self) -> bool {
        matches!(self.state, EntryState::Active | EntryState::Reserved)
    }

    /// Returns true if the worker takes calls now.
    pub(super) const fn is_open(&self) -> bool {
        matches!(self.state, EntryState::Active) && !self.paused
    }
}

/// All workers. A worker that takes calls and has a free slot is in the bucket of its load; all
/// others are in none.
#[derive(Debug)]
pub(crate) struct Slots {
    entries: Vec<Entry>,
    vacant: Vec<u32>,
    buckets: Vec<Bucket>,
    /// One bit for each bucket that is not empty.
    occupied: Vec<u64>,
    in_use: usize,
    active: usize,
    capacity: usize,
}

impl Slots {
    pub(crate) const fn new() -> Self {
        Self {
            entries: Vec::new(),
            vacant: Vec::new(),
            buckets: Vec::new(),
            occupied: Vec::new(),
            in_use: 0,
            active: 0,
            capacity: 0,
        }
    }

    pub(crate) fn add(&mut self, capacity: u16, name: WorkerId) -> WorkerKey {
        let free = (0..capacity).rev().collect();
        let index = self.vacant.pop().unwrap_or_else(|| {
            let index = u32::try_from(self.entries.len()).expect("fewer than 2^32 workers");
            self.entries.push(Entry {
                generation: 0,
                state: EntryState::Vacant,
                paused: false,
                capacity: 0,
                free: Vec::new(),
                places: Vec::new(),
                ahead: false,
                name: name.clone(),
                in_use: 0,
                previous: NONE,
                next: NONE,
            });
            index
        });
        let entry = &mut self.entries[index as usize];
        (entry.state, entry.capacity, entry.free, entry.in_use) =
            (EntryState::Active, capacity, free, 0);
        // Turns of the previous worker are void by their key, so numbering may restart.
        (entry.places, entry.name) = (vec![Place::default(); usize::from(capacity)], name);
        (entry.paused, entry.ahead) = (false, false);
        let key = WorkerKey {
            index,
            generation: entry.generation,
        };
        self.active += 1;
        self.capacity += usize::from(capacity);
        self.link(index);
        key
    }

    /// Takes a slot of the least loaded worker.
    ///
    /// Among equals, the one idle for longest is first. Taking the most recently used one would
    /// keep its caches warm, but starve the others: their memory would be wasted, and a defective
    /// worker would be noticed late.
    pub(crate) fn take(&mut self) -> Option<Grant> {
        self.least_loaded().map(|index| self.grant(index))
    }

    /// Takes a slot of this worker, if it takes calls and has a free one.
    pub(crate) fn take_from(&mut self, key: WorkerKey) -> Option<Grant> {
        self.entry(key)?.takes().then(|| self.grant(key.index))
    }

    fn grant(&mut self, index: u32) -> Grant {
        self.unlink(index);
        let entry = &mut self.entries[index as usize];
        let slot = entry
            .free
            .pop()
            .expect("a worker in a bucket has a free slot");
        entry.in_use += 1;
        self.in_use += 1;
        let turn = entry.places[usize::from(slot)].take();
        let worker = WorkerKey {
            index,
            generation: entry.generation,
        };
        self.link(index);
        Grant {
            worker,
            slot: Slot(slot),
            turn,
        }
    }

    /// Gives a slot back. Returns `false` if the worker is gone.
    pub(crate) fn put(&mut self, grant: Grant) -> bool {
        if self.entry(grant.worker).is_none() {
            return false;
        }
        let index = grant.worker.index;
        self.unlink(index);
        let entry = &mut self.entries[index as usize];
        debug_assert!(
            !entry.free.contains(&grant.slot.0),
            "a slot is given back once"
        );
        entry.free.push(grant.slot.0);
        entry.places[usize::from(grant.slot.0)].take();
        entry.in_use -= 1;
        self.in_use -= 1;
        self.link(index);
        true
    }

    /// Reserves the least loaded worker, even one without a free slot; its calls continue. Paused
    /// ones come last: their resumption cannot be predicted.
    pub(crate) fn reserve(&mut self) -> Option<WorkerKey> {
        let active = (0_u32..).zip(&self.entries);
        let active = active.filter(|(_, entry)| entry.state == EntryState::Active);
        let (index, entry) = active.min_by_key(|(_, entry)| (entry.paused, entry.in_use))?;
        let generation = entry.generation;
        self.unlink(index);
        self.entries[index as usize].state = EntryState::Reserved;
        Some(WorkerKey { index, generation })
    }

    /// Ends the reservation of a worker.
    pub(crate) fn unreserve(&mut self, key: WorkerKey) {
        if self.is_reserved(key) {
            self.entries[key.index as usize].state = EntryState::Active;
            self.link(key.index);
        }
    }

    /// Returns true if another worker would be empty sooner than this reserved one.
    pub(crate) fn is_worse(&self, key: WorkerKey) -> bool {
        let Some(held) = self.entry(key) else {
            return false;
        };
        let mut active = self
            .entries
            .iter()
            .filter(|one| one.state == EntryState::Active);
        let waits = held.paused || held.in_use > 0;
        waits && active.any(|one| !one.paused && (held.paused || one.in_use == 0))
    }

    /// Takes a slot of a reserved worker.
    pub(crate) fn take_reserved(&mut self, key: WorkerKey) -> Option<Grant> {
        let free = self.is_reserved(key) && !self.entry(key)?.free.is_empty();
        free.then(|| self.grant(key.index))
    }

    pub(crate) fn is_reserved(&self, key: WorkerKey) -> bool {
        self.entry(key)
            .is_some_and(|entry| entry.state == EntryState::Reserved)
    }

    pub(crate) fn retire(&mut self, key: WorkerKey) {
        if self.is_active(key) {
            self.unlink(key.index);
            let entry = &mut self.entries[key.index as usize];
            entry.state = EntryState::Retiring;
            self.active -= 1;
            self.capacity -= usize::from(entry.capacity);
        }
    }

    /// Gives the worker no calls for now.
    pub(crate) fn pause(&mut self, key: WorkerKey) {
        if self.entry(key).is_some_and(|entry| !entry.paused) {
            self.unlink(key.index);
            self.entries[key.index()].paused = true;
        }
    }

    pub(crate) fn is_paused(&self, key: WorkerKey) -> bool {
        self.entry(key).is_some_and(|entry| entry.paused)
    }

    /// Ends the pause. Returns `false` if the worker was not paused.
    pub(crate) fn resume(&mut self, key: WorkerKey) -> bool {
        let paused = self.entry(key).is_some_and(|entry| entry.paused);
        if paused {
            self.entries[key.index()].paused = false;
            self.link(key.index);
        }
        paused
    }

    pub(crate) fn remove(&mut self, key: WorkerKey) -> bool {
        if self.entry(key).is_none() {
            return false;
        }
        self.retire(key);
        let entry = &mut self.entries[key.index as usize];
        self.in_use -= usize::from(entry.in_use);
        entry.state = EntryState::Vacant;
        entry.generation = entry.generation.wrapping_add(1);
        self.vacant.push(key.index);
        true
    }

    pub(super) fn entry(&self, key: WorkerKey) -> Option<&Entry> {
        let entry = &self.entries[key.index as usize];
        (entry.generation == key.generation).then_some(entry)
    }

    pub(super) fn entry_mut(&mut self, key: WorkerKey) -> Option<&mut Entry> {
        let entry = &mut self.entries[key.index as usize];
        (entry.generation == key.generation).then_some(entry)
    }

    pub(crate) fn is_retiring(&self, key: WorkerKey) -> bool {
        self.entry(key)
            .is_some_and(|entry| entry.state == EntryState::Retiring)
    }

    /// Returns true if the worker takes calls and has a free slot.
    pub(crate) fn has_free(&self, key: WorkerKey) -> bool {
        self.entry(key).is_some_and(Entry::takes)
    }

    /// Returns true if the worker takes calls, even if it is paused or reserved now.
    pub(crate) fn is_active(&self, key: WorkerKey) -> bool {
        self.entry(key).is_some_and(Entry::is_active)
    }

    /// Returns true if the worker takes calls now.
    pub(super) fn is_open(&self, key: WorkerKey) -> bool {
        self.entry(key).is_some_and(Entry::is_open)
    }

    pub(super) fn active_entries(&self) -> impl Iterator<Item = &Entry> {
        self.entries.iter().filter(|entry| entry.is_active())
    }

    /// Returns true if the call of this grant still has its slot, on a worker that takes calls.
    /// Calls that were sent ahead count: their worker may have begun them already.
    pub(crate) fn holds(&self, grant: &Grant) -> bool {
        self.is_active(grant.worker)
            && self
                .entry(grant.worker)
                .is_some_and(|entry| entry.places[usize::from(grant.slot.0)].knows(*grant))
    }

    pub(crate) fn capacity_of(&self, key: WorkerKey) -> Option<u16> {
        self.entry(key).map(|entry| entry.capacity)
    }

    pub(crate) fn name(&self, key: WorkerKey) -> Option<&WorkerId> {
        self.entry(key).map(|entry| &entry.name)
    }

    /// Name of the worker of a key, current or last, unless its place was reused.
    pub(crate) fn name_of_last(&self, key: WorkerKey) -> &WorkerId {
        &self.entries[key.index()].name
    }

    pub(crate) fn in_use_of(&self, key: WorkerKey) -> Option<u16> {
        self.entry(key).map(|entry| entry.in_use)
    }

    pub(crate) const fn in_use(&self) -> usize {
        self.in_use
    }

    pub(crate) const fn active(&self) -> usize {
        self.active
    }

    pub(crate) const fn capacity(&self) -> usize {
        self.capacity
    }
}
