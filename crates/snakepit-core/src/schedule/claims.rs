//! Slots of one certain worker for the pool's own requests, granted before any waiting call. A
//! claim never waits while the worker has a free slot.

use super::slots::{Grant, WorkerKey};
use super::{Scheduler, Slots, Vacancy};

/// The claimants of the next free slot of a worker: at most one for each worker.
#[derive(Debug)]
pub(super) struct Claims<W> {
    waiting: Vec<(WorkerKey, W)>,
}

impl<W> Claims<W> {
    pub(super) const fn new() -> Self {
        Self {
            waiting: Vec::new(),
        }
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Grants a slot to the claimant of its worker, if there is one.
    pub(super) fn next(&mut self, vacancy: Vacancy, slots: &mut Slots) -> Option<(W, Grant)> {
        let place = self.place(vacancy.worker())?;
        let grant = slots.fill(vacancy)?;
        Some((self.waiting.swap_remove(place).1, grant))
    }

    /// Drops the claim on a worker that takes no further calls.
    pub(super) fn gone(&mut self, key: WorkerKey) {
        if let Some(place) = self.place(key) {
            self.waiting.swap_remove(place);
        }
    }

    pub(super) fn clear(&mut self) {
        self.waiting.clear();
    }

    /// Returns true if there is a claim on the worker.
    pub(super) fn waits(&self, key: WorkerKey) -> bool {
        self.place(key).is_some()
    }

    fn place(&self, key: WorkerKey) -> Option<usize> {
        self.waiting.iter().position(|one| one.0 == key)
    }
}

/// The answer to a claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Claim {
    Granted(Grant),
    /// The claim gets the next slot that becomes free. If the worker goes first, the waiter is
    /// dropped.
    Waits,
    /// The worker takes no more calls, or its slot is claimed already.
    Refused,
}

impl<W> Scheduler<W> {
    /// Claims a slot of this worker. Affinity, fair turns and bounds do not apply, and the claim
    /// does not count as a call.
    pub(crate) fn claim(&mut self, key: WorkerKey, waiter: impl FnOnce() -> W) -> Claim {
        if !self.slots.is_active(key) || self.claims.place(key).is_some() {
            return Claim::Refused;
        }
        if let Some(grant) = self.slots.take_from(key) {
            return Claim::Granted(grant);
        }
        self.claims.waiting.push((key, waiter()));
        Claim::Waits
    }
}

#[cfg(test)]
mod tests {
    use super::super::Acquire;
    use super::super::tests::granted;
    use super::*;

    #[test]
    fn a_claim_comes_before_the_calls_that_wait_and_only_once() {
        let mut scheduler = Scheduler::new(10);
        let (key, _) = scheduler.add(1);
        let first = granted(scheduler.acquire(None, || 0));
        assert!(matches!(scheduler.acquire(None, || 1), Acquire::Queued(_)));
        assert_eq!(scheduler.claim(key, || 2), Claim::Waits);
        assert_eq!(scheduler.claim(key, || 3), Claim::Refused);
        let (waiter, grant) = scheduler.release(first, None).wake.expect("both wait");
        assert_eq!((waiter, grant.worker), (2, key));
        let (waiter, grant) = scheduler.release(grant, None).wake.expect("a call waits");
        assert_eq!(waiter, 1);
        assert!(scheduler.release(grant, None).wake.is_none());
        assert!(matches!(scheduler.claim(key, || 4), Claim::Granted(_)));
        assert_eq!((scheduler.in_use(), scheduler.queued()), (1, 0));
    }

    #[test]
    fn a_claim_takes_nothing_from_other_workers() {
        let mut scheduler = Scheduler::new(10);
        let (one, _) = scheduler.add(1);
        let (other, _) = scheduler.add(1);
        let first = granted(scheduler.acquire(None, || 0));
        let second = granted(scheduler.acquire(None, || 1));
        assert_eq!((first.worker, second.worker), (one, other));
        assert_eq!(scheduler.claim(one, || 2), Claim::Waits);
        assert!(scheduler.release(second, None).wake.is_none());
        assert_eq!(granted(scheduler.acquire(None, || 3)).worker, other);
        assert_eq!(scheduler.release(first, None).wake.expect("claimed").0, 2);
    }

    #[test]
    fn a_claim_ends_with_its_worker() {
        let mut scheduler = Scheduler::new(10);
        for retire in [true, false] {
            let (key, _) = scheduler.add(1);
            let call = granted(scheduler.acquire(None, || ()));
            assert_eq!(scheduler.claim(key, || ()), Claim::Waits);
            if retire {
                assert!(scheduler.retire(key).idle.is_none());
                assert_eq!(scheduler.release(call, None).idle, Some(key));
            }
            assert!(scheduler.remove(key).is_empty());
            assert_eq!(scheduler.claim(key, || ()), Claim::Refused);
            assert!(scheduler.claims.waiting.is_empty());
        }
    }

    #[test]
    fn a_paused_worker_serves_a_claim_when_it_takes_calls_again() {
        let mut scheduler = Scheduler::new(10);
        let (key, _) = scheduler.add(1);
        scheduler.pause(key);
        assert!(matches!(scheduler.acquire(None, || 1), Acquire::Queued(_)));
        assert_eq!(scheduler.claim(key, || 2), Claim::Waits);
        let wakes = scheduler.resume(key).wakes;
        assert_eq!((wakes.len(), wakes[0].0), (1, 2));
    }
}
