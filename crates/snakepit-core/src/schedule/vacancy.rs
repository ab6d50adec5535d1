//! Slots for the next call. The slot of a call that has ended goes directly to the next one: its
//! worker does not leave and enter the lists of workers with free slots in between.

use super::queue::Line;
use super::slots::{Grant, Slots, WorkerKey};
use super::{Lost, Scheduler};

/// A slot for the next call.
#[derive(Clone, Copy)]
pub(super) enum Vacancy {
    /// Any free slot of this worker.
    Of(WorkerKey),
    /// The slot of this call, which has ended.
    Left(Grant),
}

impl Vacancy {
    pub(super) const fn worker(self) -> WorkerKey {
        match self {
            Self::Of(key) => key,
            Self::Left(grant) => grant.worker,
        }
    }
}

impl Slots {
    /// Returns true if a call can have the slot now.
    pub(super) fn is_vacant(&self, vacancy: Vacancy) -> bool {
        match vacancy {
            Vacancy::Of(key) => self.has_free(key),
            Vacancy::Left(grant) => self.is_open(grant.worker),
        }
    }

    /// Takes the slot, if a call can have it now.
    pub(super) fn fill(&mut self, vacancy: Vacancy) -> Option<Grant> {
        match vacancy {
            Vacancy::Of(key) => self.take_from(key),
            Vacancy::Left(grant) => {
                let entry = self.entry_mut(grant.worker)?;
                let open = entry.is_open();
                let place = &mut entry.places[usize::from(grant.slot.0)];
                open.then(|| Grant {
                    turn: place.take(),
                    ..grant
                })
            }
        }
    }
}

impl<W> Scheduler<W> {
    /// Grants a slot to the claimant of its worker, or to the next waiting call that can use it.
    /// Strict calls found on the way that wait for other workers are moved to the lines of those,
    /// each at most once for each worker that its session gets.
    #[inline]
    pub(super) fn next(
        &mut self,
        vacancy: Vacancy,
        lost: &mut Vec<(W, Lost)>,
    ) -> Option<(W, Grant)> {
        if self.queue.here() == 0 && self.claims.is_empty() {
            return None;
        }
        self.next_waiting(vacancy, lost)
    }

    fn next_waiting(&mut self, vacancy: Vacancy, lost: &mut Vec<(W, Lost)>) -> Option<(W, Grant)> {
        if let Some(claimed) = self.claims.next(vacancy, &mut self.slots) {
            return Some(claimed);
        }
        let key = vacancy.worker();
        while self.slots.is_vacant(vacancy) {
            let (own, any) = (Line::Of(key), Line::Any);
            let line = match (self.queue.rank(own), self.queue.rank(any)) {
                (None, None) => return None,
                (Some(own_rank), Some(rank)) if rank < own_rank => any,
                (Some(_), _) => own,
                (None, Some(_)) => any,
            };
            let first = self.queue.first(line);
            let bind = first.strict && line == any;
            if bind
                && let Some(session) = &first.session
                && let Some(home) = self.strict.get(session)
            {
                if !self.slots.is_active(home) {
                    let session = session.clone();
                    if let Some(loss) = self.strict.lose(&session) {
                        let waiting = self.pop(line).expect("it was just there");
                        lost.push((waiting.waiter, loss));
                    }
                    continue;
                }
                if home != key {
                    self.queue.transfer(any, Line::Of(home));
                    continue;
                }
            }
            let grant = self.slots.fill(vacancy).expect("it is vacant");
            let waiting = self.queue.grant(line, grant).expect("it was just there");
            self.nesting.leave(&waiting.ancestors);
            let session = waiting.session.as_ref();
            // A bound call stays bound: only the first call of a session has no worker yet.
            let bind = bind && session.is_some_and(|session| self.strict.get(session).is_none());
            self.remember(session, bind, key);
            return Some((waiting.waiter, grant));
        }
        None
    }
}
