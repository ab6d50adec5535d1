//! The scheduler compared with a model that is slow and evidently correct.

mod ahead;
mod run;
mod turns;

use std::collections::HashMap;

use proptest::prelude::*;

use super::{Grant, Scheduler, Ticket, WorkerKey};
use crate::schedule::Affinity;

#[derive(Clone, Debug)]
enum Step {
    SlotRequest {
        session: Option<u8>,
        affinity: Affinity,
        /// The call from which this one is made, among those that have a slot.
        parent: Option<usize>,
        growing: bool,
        fair_key: Option<u8>,
        weight: u16,
        /// The call may be sent ahead.
        ahead: bool,
    },
    /// A call with a slot, or one that was sent ahead, is in its worker.
    Sent(usize),
    /// A call that was sent ahead comes back.
    Back(usize),
    Cancel(usize),
    /// The call is over after so many microseconds. `None` if it did not use its slot.
    Release(usize, Option<u64>),
    /// A call that was sent ahead is reported as over while the one before it still has the slot.
    ReleaseAhead(usize, Option<u64>),
    Add(u16, bool),
    Retire(usize),
    Remove(usize),
    Pause(usize),
    Resume(usize),
    Claim(usize),
}

fn step() -> impl Strategy<Value = Step> {
    let affinity = prop_oneof![
        Just(Affinity::Hint),
        Just(Affinity::StrictQueue),
        Just(Affinity::StrictFailFast)
    ];
    let parent = prop::option::weighted(0.3, any::<usize>());
    let ask = (
        prop::option::of(0_u8..4),
        affinity,
        parent,
        prop::bool::weighted(0.1),
        prop::option::weighted(0.2, 0_u8..2),
        1_u16..4,
        prop::bool::weighted(0.9),
    );
    let held = prop::option::weighted(0.95, prop_oneof![40 => 0_u64..300, 1 => 0_u64..100_000]);
    prop_oneof![
        8 => ask.prop_map(|(session, affinity, parent, growing, fair_key, weight, ahead)| {
            Step::SlotRequest { session, affinity, parent, growing, fair_key, weight, ahead }
        }),
        1 => any::<usize>().prop_map(Step::Cancel),
        6 => (any::<usize>(), held.clone()).prop_map(|(n, held)| Step::Release(n, held)),
        1 => (any::<usize>(), held).prop_map(|(n, held)| Step::ReleaseAhead(n, held)),
        6 => any::<usize>().prop_map(Step::Sent),
        1 => any::<usize>().prop_map(Step::Back),
        2 => (1_u16..4, any::<bool>()).prop_map(|(slots, ahead)| Step::Add(slots, ahead)),
        1 => any::<usize>().prop_map(Step::Retire),
        1 => any::<usize>().prop_map(Step::Remove),
        1 => any::<usize>().prop_map(Step::Pause),
        2 => any::<usize>().prop_map(Step::Resume),
        1 => any::<usize>().prop_map(Step::Claim),
    ]
}

struct ModelWorker {
    key: WorkerKey,
    capacity: u16,
    retiring: bool,
    paused: bool,
    /// The worker takes calls ahead.
    ahead: bool,
    /// The claimant of its next slot.
    claim: Option<u32>,
}

struct Held {
    grant: Grant,
    /// The slot was claimed: there is no call.
    claimed: bool,
    ancestors: Vec<Grant>,
}

struct Waiting {
    id: u32,
    ticket: Ticket,
    session: Option<u8>,
    strict: bool,
    ancestors: Vec<Grant>,
    /// The worker that the call is known to wait for.
    line: Option<WorkerKey>,
    flow: Flow,
    weight: u16,
    ahead: bool,
}

/// The flow in which a call takes turns: key or session.
type Flow = (Option<u8>, Option<u8>);

#[derive(Default)]
struct Model {
    workers: Vec<ModelWorker>,
    held: Vec<Held>,
    waiting: Vec<Waiting>,
    /// Worker and number of workers so far.
    bindings: HashMap<u8, (Option<WorkerKey>, u64)>,
    turns: Option<turns::Turns>,
    ahead: ahead::Calls,
}

impl Model {
    fn load(&self, key: WorkerKey) -> u16 {
        let on = self.held.iter().filter(|held| held.grant.worker == key);
        u16::try_from(on.count()).expect("small")
    }

    fn free(&self) -> impl Iterator<Item = &ModelWorker> {
        self.workers
            .iter()
            .filter(|worker| !worker.retiring && !worker.paused)
            .filter(|worker| self.load(worker.key) < worker.capacity)
    }

    fn is_free(&self, key: WorkerKey) -> bool {
        self.free().any(|worker| worker.key == key)
    }

    fn is_active(&self, key: WorkerKey) -> bool {
        self.workers
            .iter()
            .any(|worker| worker.key == key && !worker.retiring)
    }

    fn bound(&self, session: Option<u8>) -> Option<WorkerKey> {
        self.bindings.get(&session?)?.0
    }

    fn bind(&mut self, session: u8, key: WorkerKey) {
        let bound = self.bindings.entry(session).or_insert((None, 0));
        *bound = (Some(key), bound.1 + 1);
    }

    /// Checks that a grant is of a free slot of a worker that takes calls; without a preference, of
    /// the least loaded one.
    fn granted(&mut self, grant: Grant, ancestors: Vec<Grant>, least: bool) {
        let same = |held: &Held| (held.grant.worker, held.grant.slot) == (grant.worker, grant.slot);
        assert!(!self.held.iter().any(same), "a slot is granted twice");
        assert!(self.is_free(grant.worker));
        if least {
            let lightest = self.free().map(|worker| self.load(worker.key)).min();
            assert_eq!(Some(self.load(grant.worker)), lightest);
        }
        self.held.push(Held {
            grant,
            claimed: false,
            ancestors,
        });
    }

    fn granted_claim(&mut self, grant: Grant) {
        self.granted(grant, Vec::new(), false);
        self.held.last_mut().expect("it was just there").claimed = true;
    }

    fn deadlock(&self, ancestors: &[Grant], line: Option<WorkerKey>, growing: bool) -> bool {
        if ancestors.is_empty() {
            return false;
        }
        let active = |held: &&Held| self.is_active(held.grant.worker);
        // A paused worker may have free slots, which calls will get.
        let taken = |worker: &ModelWorker| self.load(worker.key) == worker.capacity;
        if let Some(key) = line {
            let mut workers = self.workers.iter();
            let worker = workers.find(|worker| worker.key == key).expect("known");
            let mut own = self.held.iter().filter(|held| held.grant.worker == key);
            if taken(worker) && own.all(|held| ancestors.contains(&held.grant)) {
                return true;
            }
        }
        let blocked = |held: &Held| {
            let mut waiting = self.waiting.iter();
            ancestors.contains(&held.grant)
                || waiting.any(|waiting| waiting.ancestors.contains(&held.grant))
        };
        let any = self.held.iter().any(|held| active(&held));
        !growing
            && any
            && self
                .workers
                .iter()
                .all(|worker| worker.retiring || taken(worker))
            && self.held.iter().filter(active).all(blocked)
    }

    /// Returns the expected consequences of a free slot of `key`: the calls that are lost on the
    /// way, and the one that gets the slot.
    fn next(&mut self, key: WorkerKey) -> (Vec<(u32, u8, u64)>, Option<Waiting>) {
        let mut lost = Vec::new();
        while self.is_free(key)
            && let Some(n) = self.pick(key)
        {
            let (strict, line) = (self.waiting[n].strict, self.waiting[n].line);
            let bound = self.bound(self.waiting[n].session);
            if let Some(session) = self.waiting[n].session.filter(|_| strict && line.is_none())
                && let Some(bound) = bound
            {
                if !self.is_active(bound) {
                    let waiting = self.remove(n);
                    lost.push((waiting.id, session, self.lose(session)));
                    continue;
                }
                if bound != key {
                    self.waiting[n].line = Some(bound);
                    self.strands();
                    continue;
                }
            }
            let waiting = self.waiting.remove(n);
            if let Some(session) = waiting.session.filter(|_| strict && bound.is_none()) {
                self.bind(session, key);
            }
            return (lost, Some(waiting));
        }
        (lost, None)
    }

    /// Returns the next call for a worker: the oldest one, or the oldest one of the flow that has
    /// the next turn.
    fn pick(&mut self, key: WorkerKey) -> Option<usize> {
        let usable = |waiting: &Waiting| waiting.line.is_none_or(|line| line == key);
        match &mut self.turns {
            None => self.waiting.iter().position(usable),
            Some(turns) => turns.pick(&self.waiting, key),
        }
    }

    fn worker(&mut self, key: WorkerKey) -> &mut ModelWorker {
        let mut workers = self.workers.iter_mut();
        workers.find(|worker| worker.key == key).expect("known")
    }

    /// Returns the claimant of a slot of this worker that is free now.
    fn claimed(&mut self, key: WorkerKey) -> Option<u32> {
        if !self.is_free(key) {
            return None;
        }
        self.worker(key).claim.take()
    }

    fn remove(&mut self, n: usize) -> Waiting {
        let waiting = self.waiting.remove(n);
        self.strands();
        waiting
    }

    /// Gives turns to the flows that wait, and removes those of others.
    fn strands(&mut self) {
        if let Some(turns) = &mut self.turns {
            turns.strands(&self.waiting);
        }
    }

    /// Moves a call that waited to the slot that it got.
    fn woken(&mut self, next: Waiting, grant: Grant) {
        if let Some(turns) = &mut self.turns {
            turns.charge_turn(next.flow, next.line, grant);
        }
        self.strands();
        self.granted(grant, next.ancestors, false);
    }

    fn lose(&mut self, session: u8) -> u64 {
        let bound = self.bindings.get_mut(&session).expect("it has a bound");
        bound.0 = None;
        bound.1
    }

    /// Removes the calls that wait for a worker which takes no more calls.
    fn lose_line(&mut self, key: WorkerKey) -> Vec<(u32, u8, u64)> {
        let mut lost = Vec::new();
        let (gone, rest): (Vec<_>, Vec<_>) = std::mem::take(&mut self.waiting)
            .into_iter()
            .partition(|waiting| waiting.line == Some(key));
        self.waiting = rest;
        self.strands();
        for waiting in gone {
            let session = waiting.session.expect("strict calls have a session");
            lost.push((waiting.id, session, self.lose(session)));
        }
        lost
    }

    fn check(&self, scheduler: &Scheduler<u32>) {
        assert_eq!(scheduler.in_use(), self.held.len());
        let ahead = self.ahead.list.len();
        assert_eq!(scheduler.queued(), self.waiting.len() + ahead);
        self.check_ahead(scheduler);
        let active = self.workers.iter().filter(|worker| !worker.retiring);
        assert_eq!(scheduler.active(), active.count());
        for worker in self.free() {
            assert_eq!(worker.claim, None, "a claim waits beside its free slot");
        }
        for waiting in &self.waiting {
            match waiting.line {
                Some(key) => assert!(!self.is_free(key), "a call waits beside its free worker"),
                None => assert!(
                    self.free().next().is_none(),
                    "a call waits beside a free slot"
                ),
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]
    #[test]
    fn behaves_like_the_model(
        steps in prop::collection::vec(step(), 0..200),
        limit in 0_usize..6,
        fair: bool,
    ) {
        run::run(steps, limit, fair);
    }
}
