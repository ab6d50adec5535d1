//! The scheduler against a model that is slow and plainly right.

use std::collections::VecDeque;

use proptest::prelude::*;

use super::{Acquire, Grant, Scheduler, Ticket, WorkerKey};

#[derive(Clone, Debug)]
enum Step {
    Acquire { session: Option<u8> },
    Cancel(usize),
    Release(usize),
    Add(u16),
    Retire(usize),
    Remove(usize),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => prop::option::of(0_u8..4).prop_map(|session| Step::Acquire { session }),
        1 => any::<usize>().prop_map(Step::Cancel),
        5 => any::<usize>().prop_map(Step::Release),
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

#[derive(Default)]
struct Model {
    workers: Vec<ModelWorker>,
    held: Vec<Grant>,
    waiting: VecDeque<(u32, Ticket)>,
}

impl Model {
    fn load(&self, key: WorkerKey) -> u16 {
        u16::try_from(self.held.iter().filter(|grant| grant.worker == key).count()).expect("small")
    }

    fn free(&self) -> impl Iterator<Item = &ModelWorker> {
        self.workers
            .iter()
            .filter(|worker| !worker.retiring && self.load(worker.key) < worker.capacity)
    }

    /// A grant must be of a free slot of a worker that takes calls; without a session, of the least loaded one.
    fn granted(&mut self, grant: Grant, least: bool) {
        assert!(!self.held.contains(&grant), "a slot is granted twice");
        let load = self.load(grant.worker);
        assert!(
            self.free()
                .any(|worker| worker.key == grant.worker && grant.slot.0 < worker.capacity)
        );
        if least {
            assert_eq!(
                Some(load),
                self.free().map(|worker| self.load(worker.key)).min()
            );
        }
        self.held.push(grant);
    }

    fn woken(&mut self, waiter: u32, grant: Grant) {
        assert_eq!(
            self.waiting.pop_front().map(|(id, _)| id),
            Some(waiter),
            "first in, first out"
        );
        self.granted(grant, true);
    }

    fn check(&self, scheduler: &Scheduler<u32>) {
        assert_eq!(scheduler.in_use(), self.held.len());
        assert_eq!(scheduler.queued(), self.waiting.len());
        assert_eq!(
            scheduler.active(),
            self.workers
                .iter()
                .filter(|worker| !worker.retiring)
                .count()
        );
        assert!(
            self.waiting.is_empty() || self.free().next().is_none(),
            "a call waits beside a free slot"
        );
    }
}

fn run(steps: Vec<Step>, limit: usize) {
    let mut scheduler = Scheduler::new(limit);
    let mut model = Model::default();
    for (id, step) in (0_u32..).zip(steps) {
        match step {
            Step::Acquire { session } => {
                let session = session.map(|n| format!("s{n}").into());
                match scheduler.acquire(session.as_ref(), || id) {
                    Acquire::Granted(grant) => model.granted(grant, session.is_none()),
                    Acquire::Queued(ticket) => {
                        assert!(model.free().next().is_none() && model.waiting.len() < limit);
                        model.waiting.push_back((id, ticket));
                    }
                    Acquire::Full => {
                        assert!(model.free().next().is_none() && model.waiting.len() == limit)
                    }
                }
            }
            Step::Cancel(n) if !model.waiting.is_empty() => {
                let (_, ticket) = model
                    .waiting
                    .remove(n % model.waiting.len())
                    .expect("in range");
                assert!(scheduler.cancel(ticket));
                assert!(!scheduler.cancel(ticket), "a ticket is good once");
            }
            Step::Release(n) if !model.held.is_empty() => {
                let grant = model.held.swap_remove(n % model.held.len());
                let released = scheduler.release(grant);
                let retiring = model
                    .workers
                    .iter()
                    .any(|worker| worker.key == grant.worker && worker.retiring);
                assert_eq!(
                    released.idle.is_some(),
                    retiring && model.load(grant.worker) == 0
                );
                if let Some((waiter, grant)) = released.wake {
                    model.woken(waiter, grant);
                }
            }
            Step::Add(capacity) => {
                let (key, wakes) = scheduler.add(capacity);
                model.workers.push(ModelWorker {
                    key,
                    capacity,
                    retiring: false,
                });
                for (waiter, grant) in wakes {
                    model.woken(waiter, grant);
                }
            }
            Step::Retire(n) if !model.workers.is_empty() => {
                let index = n % model.workers.len();
                model.workers[index].retiring = true;
                let key = model.workers[index].key;
                assert_eq!(scheduler.retire(key), model.load(key) == 0);
            }
            Step::Remove(n) if !model.workers.is_empty() => {
                let worker = model.workers.swap_remove(n % model.workers.len());
                assert!(scheduler.remove(worker.key));
                assert!(!scheduler.remove(worker.key), "a worker is removed once");
                // Grants on a removed worker are void: giving them back changes nothing.
                let (void, held): (Vec<_>, Vec<_>) = model
                    .held
                    .iter()
                    .partition(|grant| grant.worker == worker.key);
                model.held = held;
                for grant in void {
                    let released = scheduler.release(grant);
                    assert!(released.wake.is_none() && released.idle.is_none());
                }
            }
            _ => {}
        }
        model.check(&scheduler);
    }
}

proptest! {
    #[test]
    fn behaves_like_the_model(steps in prop::collection::vec(step(), 0..200), limit in 0_usize..6) {
        run(steps, limit);
    }
}

#[test]
fn a_session_goes_back_to_its_worker() {
    let mut scheduler = Scheduler::<()>::new(0);
    scheduler.add(1);
    scheduler.add(1);
    let session = "s".into();
    let Acquire::Granted(first) = scheduler.acquire(Some(&session), || ()) else {
        panic!("a slot is free")
    };
    scheduler.release(first);
    for _ in 0..5 {
        let Acquire::Granted(grant) = scheduler.acquire(Some(&session), || ()) else {
            panic!("a slot is free")
        };
        assert_eq!(grant, first);
        scheduler.release(grant);
    }
}

#[test]
fn idle_workers_take_turns() {
    let mut scheduler = Scheduler::<()>::new(0);
    let keys: Vec<_> = (0..3).map(|_| scheduler.add(2).0).collect();
    for round in 0..6 {
        let Acquire::Granted(grant) = scheduler.acquire(None, || ()) else {
            panic!("a slot is free")
        };
        assert_eq!(grant.worker, keys[round % 3]);
        scheduler.release(grant);
    }
}
