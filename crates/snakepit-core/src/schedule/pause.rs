//! Workers that get no calls for now, and keep those that they have.

use super::slots::{Grant, WorkerKey};
use super::{Lost, Scheduler, Vacancy};

/// The consequences of resuming a worker.
#[derive(Debug)]
#[must_use]
pub(crate) struct Resumed<W> {
    /// Waiting calls that got its slots.
    pub(crate) wakes: Vec<(W, Grant)>,
    /// Waiting calls whose session's worker is gone.
    pub(crate) lost: Vec<(W, Lost)>,
}

impl<W> Scheduler<W> {
    /// Gives a worker no further calls for now. Its sessions stay bound to it, and their strict
    /// calls wait.
    pub(crate) fn pause(&mut self, key: WorkerKey) {
        self.slots.pause(key);
    }

    /// Ends the pause of a worker, if it was paused.
    pub(crate) fn resume(&mut self, key: WorkerKey) -> Resumed<W> {
        let mut lost = Vec::new();
        let mut wakes = Vec::new();
        if self.slots.resume(key) {
            wakes.extend(std::iter::from_fn(|| {
                self.next(Vacancy::Of(key), &mut lost)
            }));
        }
        Resumed { wakes, lost }
    }
}

#[cfg(test)]
mod tests {
    use crate::id::SessionId;
    use crate::schedule::{Acquire, Affinity, Scheduler, SlotRequest};

    #[test]
    fn a_paused_worker_keeps_its_calls_and_gets_none() {
        let mut scheduler = Scheduler::new(10);
        let (key, _) = scheduler.add(3);
        let session = SessionId::new("s");
        let strict = SlotRequest {
            session: Some(&session),
            affinity: Affinity::StrictQueue,
            ..SlotRequest::new(None)
        };
        let Acquire::Granted(first) = scheduler.request(&strict, || 1) else {
            panic!("a slot is free");
        };
        scheduler.pause(key);
        scheduler.pause(key);
        assert!(matches!(scheduler.acquire(None, || 2), Acquire::Queued(_)));
        assert!(matches!(
            scheduler.request(&strict, || 3),
            Acquire::Queued(_)
        ));
        assert!(
            scheduler.release(first, None).wake.is_none(),
            "no call gets it"
        );
        let resumed = scheduler.resume(key);
        let woken: Vec<_> = resumed.wakes.iter().map(|(waiter, _)| *waiter).collect();
        assert_eq!((woken, resumed.lost.len()), (vec![2, 3], 0));
        assert!(scheduler.resume(key).wakes.is_empty());
        assert_eq!(scheduler.in_use(), 2);
    }

    #[test]
    fn calls_go_to_other_workers_meanwhile() {
        let mut scheduler = Scheduler::new(10);
        let (paused, _) = scheduler.add(2);
        let (other, _) = scheduler.add(1);
        scheduler.pause(paused);
        let Acquire::Granted(grant) = scheduler.acquire(None, || ()) else {
            panic!("the other one is free");
        };
        assert_eq!(grant.worker, other);
        assert!(matches!(scheduler.acquire(None, || ()), Acquire::Queued(_)));
        assert!(scheduler.remove(paused).is_empty());
        assert!(scheduler.resume(paused).wakes.is_empty(), "it is gone");
        assert_eq!(scheduler.active(), 1);
    }

    #[test]
    fn a_place_that_is_used_again_is_not_paused() {
        let mut scheduler = Scheduler::new(10);
        let (old, _) = scheduler.add(1);
        scheduler.pause(old);
        let _ = scheduler.remove(old);
        let (new, _) = scheduler.add(1);
        assert_eq!(old.index(), new.index());
        assert!(matches!(
            scheduler.acquire(None, || ()),
            Acquire::Granted(_)
        ));
    }

    #[test]
    fn a_paused_worker_can_retire() {
        let mut scheduler = Scheduler::<()>::new(10);
        let (key, _) = scheduler.add(2);
        let Acquire::Granted(grant) = scheduler.acquire(None, || ()) else {
            panic!("a slot is free");
        };
        scheduler.pause(key);
        assert_eq!(scheduler.retire(key).idle, None);
        assert_eq!(scheduler.release(grant, None).idle, Some(key));
        assert!(scheduler.resume(key).wakes.is_empty());
    }
}
