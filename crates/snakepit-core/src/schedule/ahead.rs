//! Calls that are sent ahead of their turn: they wait in the connection of a slot while the call
//! before them runs.
//!
//! A worker whose next call has already arrived does not fall asleep between two calls. Until its
//! turn such a call counts as waiting. It gets the slot when all calls before it have given it
//! back; until then it can return to its place in the queue. Calls are sent ahead only if calls are
//! short, under load, and in the order of the queue: a call that could run on another worker at
//! once never waits behind another call.

#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

use super::queue::Line;
use super::slots::{Grant, Slots, WorkerKey};
use super::{Released, Scheduler};
use crate::id::{CallId, SessionId, Slot};

/// Largest number of calls ahead in one slot.
pub(crate) const MOST: usize = 4;

/// Time that all calls ahead in one slot may take together, by the mean duration of calls. Nothing
/// is sent ahead if calls take longer.
pub(crate) const BUDGET: Duration = Duration::from_micros(500);

/// Number of short calls in a row before one is sent ahead.
pub(crate) const STREAK: u32 = 16;

/// Largest arguments in bytes of a call that is sent ahead. This bounds the data in connections.
pub(crate) const LARGEST: usize = 16 << 10;

/// Detects that calls are short.
#[derive(Debug, Default)]
pub(super) struct Haste {
    /// Short calls since the last long one.
    streak: u32,
}

impl Haste {
    pub(super) fn held(&mut self, time: Duration) {
        self.streak = if time <= BUDGET {
            self.streak.saturating_add(1)
        } else {
            0
        };
    }

    /// Returns the number of calls that may be ahead in one slot, for a mean duration in
    /// nanoseconds.
    fn depth(&self, mean: Option<u64>) -> usize {
        let Some(mean) = mean.filter(|_| self.streak >= STREAK) else {
            return 0;
        };
        let fitting = BUDGET.as_nanos() / u128::from(mean.max(1));
        usize::try_from(fitting).map_or(MOST, |fitting| fitting.min(MOST))
    }
}

/// One slot: the call that has it, and the calls that were sent ahead to it.
#[derive(Clone, Debug, Default)]
pub(super) struct Place {
    /// Turn of the call that has the slot; successive calls have different turns.
    turn: u32,
    /// The last turn that was assigned.
    last: u32,
    /// Time at which that call got the slot. `None` if there is no call, or if its time does not
    /// count.
    pub(super) since: Option<Instant>,
    /// The last call here is known to be in the connection, so that another one may follow.
    sent: bool,
    /// The call that has the slot was recalled while it was ahead of its turn.
    recalled: bool,
    /// Turns of cancelled calls that are not over: nothing is sent behind them.
    cancelled: Vec<u32>,
    ahead: VecDeque<Ahead>,
}

/// A call that was sent ahead, with the data that it needs to wait again or to stop waiting.
#[derive(Clone, Debug)]
pub(super) struct Ahead {
    turn: u32,
    number: u64,
    call: CallId,
    recalled: bool,
    session: Option<SessionId>,
    bytes: usize,
}

impl Place {
    /// Starts the next turn: the slot is taken, or given back.
    pub(super) fn take(&mut self) -> u32 {
        self.turn = self.next();
        (self.since, self.sent, self.recalled) = (None, false, false);
        self.cancelled.clear();
        self.turn
    }

    fn next(&mut self) -> u32 {
        self.last = self.last.wrapping_add(1);
        self.last
    }

    pub(super) const fn has(&self, grant: Grant) -> bool {
        self.turn == grant.turn
    }

    /// Returns true if the call of this grant has the slot, and no call is behind it.
    fn is_alone(&self, grant: Grant) -> bool {
        self.has(grant) && self.ahead.is_empty()
    }

    /// Returns true if the call of this grant is in the slot, perhaps behind others.
    pub(super) fn knows(&self, grant: Grant) -> bool {
        self.has(grant) || self.position(grant).is_some()
    }

    fn position(&self, grant: Grant) -> Option<usize> {
        self.ahead.iter().position(|one| one.turn == grant.turn)
    }

    /// Returns the turn of the last call here.
    fn tail(&self) -> u32 {
        self.ahead.back().map_or(self.turn, |one| one.turn)
    }
}

impl Ahead {
    const fn recall(&mut self, slot: Slot) -> (Slot, CallId) {
        self.recalled = true;
        (slot, self.call)
    }
}

impl Slots {
    fn place(&self, grant: Grant) -> Option<&Place> {
        let entry = self.entry(grant.worker)?;
        entry.places.get(usize::from(grant.slot.0))
    }

    pub(super) fn place_mut(&mut self, key: WorkerKey, slot: Slot) -> Option<&mut Place> {
        let entry = self.entry_mut(key)?;
        entry.places.get_mut(usize::from(slot.0))
    }

    /// Returns true if one more call may follow those in the slot.
    fn has_room(&self, key: WorkerKey, slot: Slot, depth: usize) -> bool {
        self.entry(key).is_some_and(|entry| {
            let place = &entry.places[usize::from(slot.0)];
            let open = entry.ahead && entry.is_open() && place.cancelled.is_empty();
            open && place.sent && place.ahead.len() < depth
        })
    }
}

impl<W> Scheduler<W> {
    /// Allows calls ahead of their turn in the slots of this worker.
    pub fn let_ahead(&mut self, key: WorkerKey) {
        if let Some(entry) = self.slots.entry_mut(key) {
            entry.ahead = true;
        }
    }

    /// Notes that a call is in the connection of its slot. Returns the call that may follow it,
    /// with its grant.
    pub fn sent(&mut self, grant: Grant) -> Option<(W, Grant)> {
        let place = self.slots.place_mut(grant.worker, grant.slot)?;
        if place.tail() != grant.turn {
            return None;
        }
        place.sent = true;
        self.send_ahead(grant.worker, grant.slot)
    }

    /// Returns the place in the queue of a call that was sent ahead, and the id of its attempt
    /// there. `None` if the call has its slot, or the grant is void.
    pub fn ahead(&self, grant: Grant) -> Option<(u64, CallId)> {
        let place = self.slots.place(grant)?;
        let one = &place.ahead[place.position(grant)?];
        Some((one.number, one.call))
    }

    /// Returns true if the call of this grant has its slot, even if its worker takes no further
    /// calls.
    pub fn has(&self, grant: Grant) -> bool {
        self.slots
            .place(grant)
            .is_some_and(|place| place.has(grant))
    }

    /// Recalls the calls behind a call that is to be cancelled. Nothing more is sent there
    /// before that call is over.
    pub fn recall_behind(&mut self, grant: Grant) -> Vec<(Slot, CallId)> {
        let Some(place) = self.slots.place_mut(grant.worker, grant.slot) else {
            return Vec::new();
        };
        let first = match place.position(grant) {
            Some(at) => at + 1,
            None if place.has(grant) => 0,
            None => return Vec::new(),
        };
        place.cancelled.push(grant.turn);
        let behind = place.ahead.range_mut(first..);
        behind.map(|one| one.recall(grant.slot)).collect()
    }

    /// Recalls all calls ahead of their turn in the slots of a worker, except those that were
    /// called back before. The caller must have ensured that no more are sent.
    pub fn recall(&mut self, key: WorkerKey) -> Vec<(Slot, CallId)> {
        let Some(entry) = self.slots.entry_mut(key) else {
            return Vec::new();
        };
        let mut calls = Vec::new();
        for (slot, place) in (0..).map(Slot).zip(&mut entry.places) {
            let ahead = place.ahead.iter_mut().filter(|one| !one.recalled);
            calls.extend(ahead.map(|one| one.recall(slot)));
        }
        calls
    }

    /// Returns true if the call of this grant was recalled while it was ahead of its turn.
    pub fn is_recalled(&self, grant: Grant) -> bool {
        self.slots.place(grant).is_some_and(|place| {
            let at = place.position(grant);
            let behind = at.is_some_and(|at| place.ahead[at].recalled);
            behind || (place.has(grant) && place.recalled)
        })
    }

    /// Notes that a call took so long that one behind it is recalled: calls are not short any more.
    pub fn slow(&mut self) {
        self.haste.streak = 0;
    }

    /// Sends the next waiting call ahead to a slot, if that is allowed.
    fn send_ahead(&mut self, key: WorkerKey, slot: Slot) -> Option<(W, Grant)> {
        let depth = self.haste.depth(self.estimator.mean());
        // With a waiting call for each slot, none waits here that could run elsewhere.
        let enough = self.queue.here() >= self.slots.capacity();
        if depth == 0 || !enough || !self.slots.has_room(key, slot, depth) || self.claims.waits(key)
        {
            return None;
        }
        if self.queue.rank(Line::Of(key)).is_some() {
            return None;
        }
        self.queue.rank(Line::Any)?;
        let first = self.queue.first(Line::Any);
        let may = first.ahead && !first.strict && first.ancestors.is_empty();
        if !may || first.bytes > LARGEST {
            return None;
        }
        let place = self.slots.place_mut(key, slot)?;
        let turn = place.next();
        place.sent = false;
        let grant = Grant {
            worker: key,
            slot,
            turn,
        };
        let (waiting, number) = self.queue.send_ahead(Line::Any, grant)?;
        self.remember(waiting.session.as_ref(), false, key);
        let ahead = Ahead {
            turn,
            number,
            call: CallId::next(),
            recalled: false,
            session: waiting.session,
            bytes: waiting.bytes,
        };
        self.slots.place_mut(key, slot)?.ahead.push_back(ahead);
        Some((waiting.waiter, grant))
    }

    /// Ends a call: gives its slot to the next call that was sent ahead to it, or removes the call
    /// itself if it was ahead of its turn. Returns `false` if there is neither: the slot has to be
    /// put back.
    pub(super) fn pass_on(&mut self, grant: Grant, released: &mut Released<W>) -> bool {
        let Some(place) = self.slots.place_mut(grant.worker, grant.slot) else {
            return false;
        };
        if place.is_alone(grant) {
            return false;
        }
        place.cancelled.retain(|turn| *turn != grant.turn);
        let gone = if place.has(grant) {
            let next = place.ahead.pop_front();
            if let Some(next) = &next {
                (place.turn, place.recalled) = (next.turn, next.recalled);
                released.passed_on = true;
            }
            next
        } else {
            let at = place.position(grant);
            // The call before it was sent, otherwise this one would not be here.
            place.sent |= at.is_some_and(|at| at + 1 == place.ahead.len());
            at.and_then(|at| place.ahead.remove(at))
        };
        let Some(gone) = gone else {
            return false;
        };
        self.queue.left(gone.session.as_ref(), gone.bytes);
        if released.passed_on {
            released.wake = self.send_ahead(grant.worker, grant.slot);
        }
        true
    }

    /// Ends the waiting of calls that were sent ahead to a worker that is gone.
    pub(super) fn forget_ahead(&mut self, key: WorkerKey) {
        let Some(entry) = self.slots.entry_mut(key) else {
            return;
        };
        let gone: Vec<_> = entry
            .places
            .iter_mut()
            .flat_map(|place| place.ahead.drain(..))
            .collect();
        for ahead in gone {
            self.queue.left(ahead.session.as_ref(), ahead.bytes);
        }
    }
}
