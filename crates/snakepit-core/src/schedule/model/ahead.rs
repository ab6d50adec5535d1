//! Calls that are sent ahead, in lists that are searched each time.

use std::time::Duration;

use super::{Flow, Model, Waiting};
use crate::id::SessionId;
use crate::schedule::ahead::{BUDGET, MOST, STREAK};
use crate::schedule::estimator::Estimator;
use crate::schedule::{Acquire, Grant, Released, Scheduler, SlotRequest, WorkerKey};

/// One call that was sent ahead.
pub(super) struct Call {
    id: u32,
    pub(super) grant: Grant,
    session: Option<u8>,
    flow: Flow,
    weight: u16,
    place: u64,
}

/// All calls that were sent ahead; those of one slot are in their order.
#[derive(Default)]
pub(super) struct Calls {
    pub(super) list: Vec<Call>,
    /// Grants whose calls are in their worker.
    sent: Vec<Grant>,
    estimator: Estimator,
    streak: u32,
}

fn same_slot(one: Grant, other: Grant) -> bool {
    (one.worker, one.slot) == (other.worker, other.slot)
}

impl Calls {
    pub(super) fn held(&mut self, time: Option<Duration>) {
        let Some(time) = time else { return };
        self.estimator.held(time);
        self.streak = if time <= BUDGET { self.streak + 1 } else { 0 };
    }

    fn depth(&self) -> u64 {
        let budget = u64::try_from(BUDGET.as_nanos()).expect("short");
        match self.estimator.mean() {
            Some(mean) if self.streak >= STREAK => (budget / mean.max(1)).min(MOST as u64),
            _ => 0,
        }
    }

    fn of(&self, grant: Grant) -> impl Iterator<Item = &Call> {
        self.list
            .iter()
            .filter(move |call| same_slot(call.grant, grant))
    }

    /// Removes the calls of a worker that is gone. Returns their grants.
    pub(super) fn gone(&mut self, key: WorkerKey) -> Vec<Grant> {
        let gone = self.list.extract_if(.., |call| call.grant.worker == key);
        gone.map(|call| call.grant).collect()
    }
}

impl Model {
    /// Checks that the slot of a call that is over goes to the one that was sent ahead to it.
    pub(super) fn passed_on(&mut self, grant: Grant, released: &Released<u32>) -> bool {
        let place = self
            .ahead
            .list
            .iter()
            .position(|call| same_slot(call.grant, grant));
        assert_eq!(released.passed_on, place.is_some());
        let Some(place) = place else { return false };
        let call = self.ahead.list.remove(place);
        self.held.push(super::Held {
            grant: call.grant,
            claimed: false,
            ancestors: Vec::new(),
        });
        assert!(released.idle.is_none() && released.lost.is_empty());
        self.follows(call.grant, released.wake);
        true
    }

    /// Reports that a call is in its worker.
    pub(super) fn sent(&mut self, scheduler: &mut Scheduler<u32>, n: usize) {
        let held = self.held.iter().filter(|held| !held.claimed);
        let all: Vec<_> = held
            .map(|held| held.grant)
            .chain(self.ahead.list.iter().map(|call| call.grant))
            .collect();
        if all.is_empty() {
            return;
        }
        let grant = all[n % all.len()];
        let tail = self.ahead.of(grant).last().map_or(grant, |call| call.grant);
        let next = scheduler.sent(grant);
        if tail == grant {
            self.ahead.sent.push(grant);
            self.follows(grant, next);
        } else {
            assert!(next.is_none());
        }
    }

    /// Checks that the expected call follows in a slot.
    fn follows(&mut self, grant: Grant, actual: Option<(u32, Grant)>) {
        let expected = self.next_ahead(grant);
        assert_eq!(
            actual.map(|next| next.0),
            expected.map(|n| self.waiting[n].id)
        );
        let (Some((id, next)), Some(n)) = (actual, expected) else {
            return;
        };
        assert!(same_slot(next, grant) && next != grant);
        let waiting = self.waiting.remove(n);
        if let Some(turns) = &mut self.turns {
            turns.charge_turn(waiting.flow, None, next);
        }
        self.strands();
        self.ahead.list.push(Call {
            id,
            grant: next,
            session: waiting.session,
            flow: waiting.flow,
            weight: waiting.weight,
            place: 0,
        });
    }

    fn next_ahead(&mut self, grant: Grant) -> Option<usize> {
        let front = self.held.iter().map(|held| held.grant);
        let front = front.rev().find(|held| same_slot(*held, grant))?;
        let tail = self.ahead.of(grant).last().map_or(front, |call| call.grant);
        let worker = self.workers.iter().find(|it| it.key == grant.worker)?;
        let open = worker.ahead && !worker.retiring && !worker.paused && worker.claim.is_none();
        let active = self.workers.iter().filter(|worker| !worker.retiring);
        let slots: usize = active.map(|worker| usize::from(worker.capacity)).sum();
        let room = (self.ahead.of(grant).count() as u64) < self.ahead.depth();
        if !open || !room || !self.ahead.sent.contains(&tail) || self.waiting.len() < slots {
            return None;
        }
        let mut first = |line| match &mut self.turns {
            None => self.waiting.iter().position(|one| one.line == line),
            Some(turns) => turns.first(&self.waiting, line),
        };
        if first(Some(grant.worker)).is_some() {
            return None;
        }
        let n = first(None)?;
        let one = &self.waiting[n];
        (one.ahead && !one.strict && one.ancestors.is_empty()).then_some(n)
    }

    /// Returns a call that was sent ahead to its place in the queue, or to a free slot.
    pub(super) fn back(&mut self, scheduler: &mut Scheduler<u32>, n: usize) {
        if self.ahead.list.is_empty() {
            return;
        }
        let n = n % self.ahead.list.len();
        let (place, _) = scheduler
            .ahead(self.ahead.list[n].grant)
            .expect("it is ahead");
        let mut call = self.ahead.list.remove(n);
        call.place = place;
        self.release(scheduler, &call, None);
        let session = call
            .session
            .map(|session| SessionId::from(format!("s{session}")));
        let key = call.flow.0.map(|key| format!("k{key}").into());
        let request = SlotRequest {
            bounded: false,
            fair_key: key.as_ref(),
            weight: call.weight,
            ahead: true,
            place: Some(call.place),
            ..SlotRequest::new(session.as_ref())
        };
        match scheduler.request(&request, || call.id) {
            Acquire::Granted(grant) => {
                if let Some(turns) = &mut self.turns {
                    turns.charge_now(call.flow, call.weight, grant);
                }
                self.granted(grant, Vec::new(), false);
            }
            Acquire::Queued(ticket) => {
                assert!(self.free().next().is_none());
                if let Some(turns) = &mut self.turns {
                    turns.meet(call.flow, call.weight);
                }
                let later = self.waiting.iter().position(|one| one.id > call.id);
                let waiting = Waiting {
                    id: call.id,
                    ticket,
                    session: call.session,
                    strict: false,
                    ancestors: Vec::new(),
                    line: None,
                    flow: call.flow,
                    weight: call.weight,
                    ahead: true,
                };
                let at = later.unwrap_or(self.waiting.len());
                self.waiting.insert(at, waiting);
                self.strands();
            }
            other => panic!("unexpected answer {other:?}"),
        }
    }

    /// Reports a call that was sent ahead as over before the one in front of it is.
    pub(super) fn over(&mut self, scheduler: &mut Scheduler<u32>, n: usize, held: Option<u64>) {
        if !self.ahead.list.is_empty() {
            let call = self.ahead.list.remove(n % self.ahead.list.len());
            self.release(scheduler, &call, held.map(Duration::from_micros));
        }
    }

    fn release(&mut self, scheduler: &mut Scheduler<u32>, call: &Call, held: Option<Duration>) {
        self.ahead.held(held);
        let released = scheduler.release(call.grant, held);
        if let Some(turns) = &mut self.turns {
            turns.settle(call.grant, held);
        }
        assert!(released.wake.is_none() && released.idle.is_none() && !released.passed_on);
    }

    /// Checks that calls are only behind calls, in taken slots, and no more than allowed.
    pub(super) fn check_ahead(&self, scheduler: &Scheduler<u32>) {
        for call in &self.ahead.list {
            assert!(scheduler.ahead(call.grant).is_some() && !scheduler.has(call.grant));
            assert!(
                self.held
                    .iter()
                    .any(|held| same_slot(held.grant, call.grant))
            );
            assert!(self.ahead.of(call.grant).count() <= MOST);
        }
        for held in &self.held {
            assert!(scheduler.has(held.grant) && scheduler.ahead(held.grant).is_none());
        }
    }
}
