//! Workers that are reserved until they have a single call.

use super::slots::{Grant, WorkerKey};
use super::{Lost, Scheduler, Vacancy};

/// Waiting calls that got the slots of a worker, and those whose session's worker is gone.
type Filled<W> = (Vec<(W, Grant)>, Vec<(W, Lost)>);

impl<W> Scheduler<W> {
    /// Reserves the least loaded worker: it gets no further calls for now, and its calls continue.
    /// `None` if no worker takes calls.
    pub fn reserve(&mut self) -> Option<WorkerKey> {
        self.slots.reserve()
    }

    /// Returns true if another worker would be empty sooner than this reserved one.
    pub fn is_worse(&self, key: WorkerKey) -> bool {
        self.slots.is_worse(key)
    }

    /// Returns true if the worker is still reserved.
    pub fn is_reserved(&self, key: WorkerKey) -> bool {
        self.slots.is_reserved(key)
    }

    /// Takes a slot of a reserved worker, if it has no other call.
    pub fn take_alone(&mut self, key: WorkerKey) -> Option<Grant> {
        let empty = self.slots.in_use_of(key) == Some(0) && !self.slots.is_paused(key);
        empty.then(|| self.slots.take_reserved(key)).flatten()
    }

    /// Releases a reserved worker: waiting calls get its slots.
    pub fn unreserve(&mut self, key: WorkerKey) -> Filled<W> {
        self.slots.unreserve(key);
        let mut lost = Vec::new();
        let wakes = std::iter::from_fn(|| self.next(Vacancy::Of(key), &mut lost)).collect();
        (wakes, lost)
    }

    /// Takes a slot of a reserved worker for a call nested in one of its own calls, which could not
    /// end without it.
    pub(super) fn take_nested(&mut self, ancestors: &[Grant]) -> Option<Grant> {
        let mut held = ancestors.iter().filter(|grant| self.slots.holds(grant));
        let held =
            held.find_map(|grant| self.slots.is_reserved(grant.worker).then_some(grant.worker))?;
        self.slots.take_reserved(held)
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::granted;
    use super::super::{Acquire, Scheduler, SlotRequest};

    #[test]
    fn a_held_worker_empties_has_one_call_and_serves_on() {
        let mut scheduler = Scheduler::new(10);
        let (key, _) = scheduler.add(2);
        let first = granted(scheduler.acquire(None, || 0));
        assert_eq!(scheduler.reserve(), Some(key));
        assert_eq!(scheduler.reserve(), None, "there is no other one");
        for waiter in [1, 2, 3] {
            assert!(matches!(
                scheduler.acquire(None, || waiter),
                Acquire::Queued(_)
            ));
        }
        assert_eq!(scheduler.take_alone(key), None, "a call is in it");
        let released = scheduler.release(first, None);
        assert!(released.wake.is_none() && released.idle.is_none());
        let alone = scheduler.take_alone(key).unwrap();
        assert_eq!(scheduler.take_alone(key), None);
        assert!(scheduler.release(alone, None).wake.is_none());
        let (wakes, lost) = scheduler.unreserve(key);
        let woken: Vec<_> = wakes.iter().map(|(waiter, _)| *waiter).collect();
        assert_eq!((woken, lost.len(), scheduler.queued()), (vec![1, 2], 0, 1));
        assert!(!scheduler.is_reserved(key));
        assert_eq!(scheduler.release(wakes[0].1, None).wake.unwrap().0, 3);
        assert_eq!(
            (scheduler.in_use(), scheduler.capacity(), scheduler.active()),
            (2, 2, 1)
        );
    }

    #[test]
    fn the_least_loaded_worker_is_held_and_the_others_serve() {
        let mut scheduler = Scheduler::new(10);
        let (one, _) = scheduler.add(2);
        let (other, _) = scheduler.add(2);
        let busy = granted(scheduler.acquire(None, || ()));
        let free = if busy.worker == one { other } else { one };
        assert_eq!(scheduler.reserve(), Some(free));
        assert_eq!(granted(scheduler.acquire(None, || ())).worker, busy.worker);
        assert!(matches!(scheduler.acquire(None, || ()), Acquire::Queued(_)));
        // A reserved worker can be retired and removed like any other.
        let retired = scheduler.retire(free);
        assert_eq!(retired.idle, Some(free));
        assert!(!scheduler.is_reserved(free) && scheduler.take_alone(free).is_none());
        assert!(scheduler.remove(free).is_empty());
        assert!(scheduler.unreserve(free).0.is_empty());
        assert_eq!((scheduler.active(), scheduler.capacity()), (1, 2));
    }

    #[test]
    fn a_nested_call_gets_a_slot_of_the_held_worker_of_its_caller() {
        let mut scheduler = Scheduler::new(10);
        let (key, _) = scheduler.add(2);
        let outer = granted(scheduler.acquire(None, || ()));
        assert_eq!(scheduler.reserve(), Some(key));
        let mut request = SlotRequest::new(None);
        let ancestors = [outer];
        request.ancestors = &ancestors;
        let inner = granted(scheduler.request(&request, || ()));
        assert_eq!(scheduler.in_use_of(key), Some(2));
        assert!(scheduler.release(inner, None).wake.is_none());
        assert!(scheduler.release(outer, None).wake.is_none());
        assert!(scheduler.take_alone(key).is_some());
    }
}
