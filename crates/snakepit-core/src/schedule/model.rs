//! The scheduler against a model that is slow and plainly right.

use std::collections::HashMap;

use proptest::prelude::*;

use super::{Acquire, Ask, Grant, Lost, Scheduler, Ticket, WorkerKey};
use crate::{Affinity, SessionId};

#[derive(Clone, Debug)]
enum Step {
    Ask {
        session: Option<u8>,
        affinity: Affinity,
        /// The call that this one is made from, among those that have a slot.
        parent: Option<usize>,
        growing: bool,
    },
    Cancel(usize),
    Release(usize),
    Add(u16),
    Retire(usize),
    Remove(usize),
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
    );
    prop_oneof![
        8 => ask.prop_map(|(session, affinity, parent, growing)| Step::Ask { session, affinity, parent, growing }),
        1 => any::<usize>().prop_map(Step::Cancel),
        6 => any::<usize>().prop_map(Step::Release),
        2 => (1_u16..4).prop_map(Step::Add),
        1 => any::<usize>().prop_map(Step::Retire),
        1 => any::<usize>().prop_map(Step::Remove),
    ]
}

struct ModelWorker {
    key: WorkerKey,
    capacity: u16,
    retiring: bool,
}

struct Held {
    grant: Grant,
    ancestors: Vec<Grant>,
}

struct Waiting {
    id: u32,
    ticket: Ticket,
    session: Option<u8>,
    strict: bool,
    ancestors: Vec<Grant>,
    /// It is known to wait for this worker.
    line: Option<WorkerKey>,
}

#[derive(Default)]
struct Model {
    workers: Vec<ModelWorker>,
    held: Vec<Held>,
    waiting: Vec<Waiting>,
    /// Worker and number of workers so far.
    homes: HashMap<u8, (Option<WorkerKey>, u64)>,
}

impl Model {
    fn load(&self, key: WorkerKey) -> u16 {
        let on = self.held.iter().filter(|held| held.grant.worker == key);
        u16::try_from(on.count()).expect("small")
    }

    fn free(&self) -> impl Iterator<Item = &ModelWorker> {
        self.workers
            .iter()
            .filter(|worker| !worker.retiring && self.load(worker.key) < worker.capacity)
    }

    fn is_free(&self, key: WorkerKey) -> bool {
        self.free().any(|worker| worker.key == key)
    }

    fn is_active(&self, key: WorkerKey) -> bool {
        self.workers
            .iter()
            .any(|worker| worker.key == key && !worker.retiring)
    }

    fn home(&self, session: Option<u8>) -> Option<WorkerKey> {
        self.homes.get(&session?)?.0
    }

    fn bind(&mut self, session: u8, key: WorkerKey) {
        let home = self.homes.entry(session).or_insert((None, 0));
        *home = (Some(key), home.1 + 1);
    }

    /// A grant must be of a free slot of a worker that takes calls; where nothing is preferred, of the least loaded one.
    fn granted(&mut self, grant: Grant, ancestors: Vec<Grant>, least: bool) {
        let same = |held: &Held| (held.grant.worker, held.grant.slot) == (grant.worker, grant.slot);
        assert!(!self.held.iter().any(same), "a slot is granted twice");
        assert!(self.is_free(grant.worker));
        if least {
            let lightest = self.free().map(|worker| self.load(worker.key)).min();
            assert_eq!(Some(self.load(grant.worker)), lightest);
        }
        self.held.push(Held { grant, ancestors });
    }

    fn deadlock(&self, ancestors: &[Grant], line: Option<WorkerKey>, growing: bool) -> bool {
        if ancestors.is_empty() {
            return false;
        }
        let active = |held: &&Held| self.is_active(held.grant.worker);
        if let Some(key) = line {
            let own = self.held.iter().filter(|held| held.grant.worker == key);
            if own.clone().all(|held| ancestors.contains(&held.grant)) {
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
            && self.free().next().is_none()
            && self.held.iter().filter(active).all(blocked)
    }

    /// What must happen when `key` has a free slot: calls that are lost on the way, and the one that gets the slot.
    fn next(&mut self, key: WorkerKey) -> (Vec<(u32, u8, u64)>, Option<Waiting>) {
        let mut lost = Vec::new();
        let mut n = 0;
        while self.is_free(key) && n < self.waiting.len() {
            let (strict, line) = (self.waiting[n].strict, self.waiting[n].line);
            let home = self.home(self.waiting[n].session);
            if let Some(session) = self.waiting[n].session.filter(|_| strict && line.is_none())
                && let Some(home) = home
            {
                if !self.is_active(home) {
                    let waiting = self.waiting.remove(n);
                    lost.push((waiting.id, session, self.lose(session)));
                    continue;
                }
                self.waiting[n].line = Some(home);
            }
            if self.waiting[n].line.is_none_or(|line| line == key) {
                let waiting = self.waiting.remove(n);
                if let Some(session) = waiting.session.filter(|_| strict && home.is_none()) {
                    self.bind(session, key);
                }
                return (lost, Some(waiting));
            }
            n += 1;
        }
        (lost, None)
    }

    fn lose(&mut self, session: u8) -> u64 {
        let home = self.homes.get_mut(&session).expect("it has a home");
        home.0 = None;
        home.1
    }

    /// The calls that wait for a worker which takes no calls any more.
    fn lose_line(&mut self, key: WorkerKey) -> Vec<(u32, u8, u64)> {
        let mut lost = Vec::new();
        let (gone, rest): (Vec<_>, Vec<_>) = std::mem::take(&mut self.waiting)
            .into_iter()
            .partition(|waiting| waiting.line == Some(key));
        self.waiting = rest;
        for waiting in gone {
            let session = waiting.session.expect("strict calls have a session");
            lost.push((waiting.id, session, self.lose(session)));
        }
        lost
    }

    fn check(&self, scheduler: &Scheduler<u32>) {
        assert_eq!(scheduler.in_use(), self.held.len());
        assert_eq!(scheduler.queued(), self.waiting.len());
        let active = self.workers.iter().filter(|worker| !worker.retiring);
        assert_eq!(scheduler.active(), active.count());
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

fn same_losses(actual: Vec<(u32, Lost)>, expected: &[(u32, u8, u64)]) {
    let actual: Vec<_> = actual
        .into_iter()
        .map(|(id, lost)| (id, lost.session, lost.generation))
        .collect();
    let expected: Vec<_> = expected
        .iter()
        .map(|(id, session, generation)| (*id, name(*session), *generation))
        .collect();
    assert_eq!(actual, expected);
}

fn name(session: u8) -> SessionId {
    format!("s{session}").into()
}

fn run(steps: Vec<Step>, limit: usize) {
    let mut scheduler = Scheduler::new(limit);
    let mut model = Model::default();
    for (id, step) in (0_u32..).zip(steps) {
        match step {
            Step::Ask {
                session,
                affinity,
                parent,
                growing,
            } => {
                let parent = parent.filter(|_| !model.held.is_empty());
                let ancestors = parent.map_or(Vec::new(), |n| {
                    let held = &model.held[n % model.held.len()];
                    [&held.ancestors[..], &[held.grant]].concat()
                });
                let id_of = session.map(name);
                let ask = Ask {
                    affinity,
                    ancestors: &ancestors,
                    growing,
                    ..Ask::new(id_of.as_ref())
                };
                let answer = scheduler.ask(&ask, || id);
                asked(
                    &mut model, id, session, affinity, ancestors, growing, limit, answer,
                );
            }
            Step::Cancel(n) if !model.waiting.is_empty() => {
                let waiting = model.waiting.remove(n % model.waiting.len());
                assert!(scheduler.cancel(waiting.ticket));
                assert!(!scheduler.cancel(waiting.ticket), "a ticket is good once");
            }
            Step::Release(n) if !model.held.is_empty() => {
                let grant = model.held.swap_remove(n % model.held.len()).grant;
                let released = scheduler.release(grant);
                let idle = !model.is_active(grant.worker) && model.load(grant.worker) == 0;
                assert_eq!(released.idle.is_some(), idle);
                let (lost, next) = model.next(grant.worker);
                same_losses(released.lost, &lost);
                assert_eq!(
                    released.wake.map(|wake| wake.0),
                    next.as_ref().map(|next| next.id)
                );
                if let (Some((_, granted)), Some(next)) = (released.wake, next) {
                    assert_eq!(granted.worker, grant.worker);
                    model.granted(granted, next.ancestors, false);
                }
            }
            Step::Add(capacity) => {
                let added = scheduler.add_named(capacity, "w".into());
                model.workers.push(ModelWorker {
                    key: added.key,
                    capacity,
                    retiring: false,
                });
                let (mut lost, mut wakes) = (Vec::new(), added.wakes.into_iter());
                loop {
                    let (more, next) = model.next(added.key);
                    lost.extend(more);
                    let Some(next) = next else { break };
                    let (waiter, grant) = wakes.next().expect("one more call gets a slot");
                    assert_eq!(waiter, next.id);
                    model.granted(grant, next.ancestors, false);
                }
                assert!(wakes.next().is_none());
                same_losses(added.lost, &lost);
            }
            Step::Retire(n) if !model.workers.is_empty() => {
                let index = n % model.workers.len();
                model.workers[index].retiring = true;
                let key = model.workers[index].key;
                let retired = scheduler.retire(key);
                assert_eq!(retired.idle.is_some(), model.load(key) == 0);
                same_losses(retired.lost, &model.lose_line(key));
            }
            Step::Remove(n) if !model.workers.is_empty() => {
                let key = model.workers.swap_remove(n % model.workers.len()).key;
                same_losses(scheduler.remove(key), &model.lose_line(key));
                assert!(scheduler.remove(key).is_empty(), "a worker is removed once");
                // Grants on a removed worker are void: giving them back changes nothing.
                let held = std::mem::take(&mut model.held);
                let (void, held): (Vec<_>, Vec<_>) =
                    held.into_iter().partition(|held| held.grant.worker == key);
                model.held = held;
                for held in void {
                    let released = scheduler.release(held.grant);
                    assert!(released.wake.is_none() && released.idle.is_none());
                }
            }
            _ => {}
        }
        model.check(&scheduler);
    }
}

#[expect(
    clippy::too_many_arguments,
    reason = "the question and its answer, each part once"
)]
fn asked(
    model: &mut Model,
    id: u32,
    session: Option<u8>,
    affinity: Affinity,
    ancestors: Vec<Grant>,
    growing: bool,
    limit: usize,
    answer: Acquire,
) {
    let strict = affinity.is_strict() && session.is_some();
    let home = model.home(session);
    let line = home.filter(|_| strict);
    match (answer, session) {
        (Acquire::Lost(lost), Some(session)) => {
            assert!(strict && !model.is_active(home.expect("it had a worker")));
            assert_eq!(
                (lost.session, lost.generation),
                (name(session), model.lose(session))
            );
        }
        (Acquire::Busy(key), Some(_)) => {
            assert_eq!((affinity, home), (Affinity::StrictFailFast, Some(key)));
            assert!(model.is_active(key) && !model.is_free(key));
        }
        (Acquire::Granted(grant), _) => {
            if let Some(key) = home.filter(|key| strict || model.is_free(*key)) {
                assert_eq!(grant.worker, key, "the session's worker comes first");
            }
            model.granted(grant, ancestors, session.is_none());
            if let Some(session) = session.filter(|_| strict && home.is_none()) {
                model.bind(session, grant.worker);
            }
        }
        (answer, _) => {
            match line {
                Some(key) => assert!(
                    affinity == Affinity::StrictQueue
                        && model.is_active(key)
                        && !model.is_free(key)
                ),
                None => assert!(model.free().next().is_none()),
            }
            let deadlock = model.deadlock(&ancestors, line, growing);
            let full = model.waiting.len() >= limit;
            match answer {
                Acquire::Deadlock => assert!(deadlock),
                Acquire::Full => assert!(full && !deadlock),
                Acquire::Queued(ticket) => {
                    assert!(!deadlock && !full);
                    model.waiting.push(Waiting {
                        id,
                        ticket,
                        session,
                        strict,
                        ancestors,
                        line,
                    });
                }
                other => panic!("unexpected answer {other:?}"),
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]
    #[test]
    fn behaves_like_the_model(steps in prop::collection::vec(step(), 0..200), limit in 0_usize..6) {
        run(steps, limit);
    }
}
