//! The admission of a call: with a slot, or with a place in the queue.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::{Granted, Outcome, PoolCore, Waiter};
use crate::error::StartError;
use crate::id::WorkerId;
use crate::schedule::{Acquire, Lost, QueueBound, SlotRequest, Ticket};

/// A call, or a batch, that asks for a slot.
#[derive(Clone, Copy)]
pub(crate) struct Admission<'a> {
    pub(crate) request: SlotRequest<'a>,
    /// Number of calls that share the slot.
    pub(crate) items: u64,
    /// The call was admitted before: it is not counted again.
    pub(crate) again: bool,
    /// Time limit of the call, if it was over before the call began.
    pub(crate) over: Option<Duration>,
    /// Time of the request.
    pub(crate) now: Instant,
}

/// The answer to a call that was admitted.
pub(crate) enum Placement {
    /// The call has a slot.
    Granted(Granted, Load),
    /// The call is in the queue, which has so many calls then.
    Queued(Ticket, usize),
}

/// The reason for which no call can be admitted now.
pub(crate) enum Unavailable {
    /// The pool is closed or closing.
    Closed,
    /// The pool has given up, and has no worker.
    GaveUp(Arc<StartError>),
}

/// The reason for which a call was not admitted.
pub(crate) enum Refusal {
    Unavailable(Unavailable),
    /// The time limit of the call was over before it began.
    Over(Duration),
    /// The queue is full.
    Full {
        bound: QueueBound,
        queued: usize,
        /// Time after which a retry is worthwhile. `None` if nothing has been measured.
        after: Option<Duration>,
        load: Load,
    },
    /// The session's worker is gone.
    Lost(Lost),
    /// The session's worker has no free slot.
    Busy(WorkerId),
    /// The number of bound sessions has reached its limit.
    TooManyBindings,
    /// The call could only wait for calls that wait for it.
    Deadlock,
}

/// The slots of a pool at one moment.
#[derive(Clone, Copy)]
pub(crate) struct Load {
    pub(crate) capacity: usize,
    pub(crate) taken: usize,
}

impl Load {
    pub(crate) const fn is_full(self) -> bool {
        self.taken >= self.capacity
    }
}

impl PoolCore {
    /// Admits a call, or refuses and counts it. A call that would wait is admitted only if
    /// `may_wait` allows it.
    pub(crate) fn admit(
        &mut self,
        admission: Admission<'_>,
        waiter: impl FnOnce() -> Waiter,
        may_wait: impl FnOnce(&mut Self, Ticket) -> bool,
    ) -> Result<Placement, Refusal> {
        let Admission {
            mut request,
            items,
            again,
            over,
            now,
        } = admission;
        self.stats.requests += if again { 0 } else { items };
        if let Some(why) = self.unavailable() {
            self.stats.errors += items;
            return Err(Refusal::Unavailable(why));
        }
        if let Some(after) = over {
            self.record(Outcome::QueueTimeout, items);
            return Err(Refusal::Over(after));
        }
        request.growing = self.is_growing();
        let refusal = match self.scheduler.request(&request, waiter) {
            Acquire::Granted(grant) => {
                let granted = self.granted(grant);
                self.scheduler.started(grant, now);
                return Ok(Placement::Granted(granted, self.load()));
            }
            Acquire::Queued(ticket) if may_wait(self, ticket) => {
                self.stats.queued += if again { 0 } else { items };
                return Ok(Placement::Queued(ticket, self.scheduler.queued()));
            }
            Acquire::Queued(ticket) => {
                self.scheduler.cancel(ticket);
                Refusal::Deadlock
            }
            Acquire::Full(bound) => {
                self.stats.saturated += items;
                return Err(self.full(bound, &request, now));
            }
            Acquire::Lost(lost) => Refusal::Lost(lost),
            Acquire::Busy(key) => {
                let live = self.workers.get(key);
                Refusal::Busy(live.expect("the session's worker takes calls").id.clone())
            }
            Acquire::TooManyBindings => Refusal::TooManyBindings,
            Acquire::Deadlock => Refusal::Deadlock,
        };
        self.stats.errors += items;
        Err(refusal)
    }

    /// Takes a slot for a call that was sent ahead and has come back, or its old place in the
    /// queue. It entered the queue at `queued`.
    pub(crate) fn admit_again(
        &mut self,
        mut request: SlotRequest<'_>,
        waiter: impl FnOnce() -> Waiter,
        queued: Instant,
        now: Instant,
    ) -> Result<Placement, Unavailable> {
        if let Some(why) = self.unavailable() {
            self.record(Outcome::Error, 1);
            return Err(why);
        }
        request.growing = self.is_growing();
        match self.scheduler.request(&request, waiter) {
            Acquire::Granted(grant) => {
                self.waited(now.saturating_duration_since(queued));
                self.scheduler.started(grant, now);
                Ok(Placement::Granted(self.granted(grant), self.load()))
            }
            Acquire::Queued(ticket) => Ok(Placement::Queued(ticket, self.scheduler.queued())),
            _ => unreachable!("a call without bounds, ancestors and a worker of its own waits"),
        }
    }

    /// Returns the reason for which no call can be admitted now.
    pub(crate) fn unavailable(&self) -> Option<Unavailable> {
        if self.closing {
            return Some(Unavailable::Closed);
        }
        let error = self.gave_up.as_ref();
        let error = error.filter(|_| self.scheduler.active() == 0)?;
        Some(Unavailable::GaveUp(Arc::clone(error)))
    }

    /// Returns the numbers of ready workers with and without a free slot.
    pub(crate) fn available(&self) -> (u64, u64) {
        let serving = self.workers.iter().filter(|(_, live)| !live.draining);
        serving.fold((0, 0), |(free, busy), (key, _)| {
            let in_use = self.scheduler.in_use_of(key);
            if in_use.is_some_and(|in_use| in_use < self.slots) {
                (free + 1, busy)
            } else {
                (free, busy + 1)
            }
        })
    }

    /// Number of the workers that accept calls.
    pub(crate) fn serving_workers(&self) -> usize {
        self.scheduler.active()
    }

    /// Returns true while workers are missing.
    pub(crate) fn is_growing(&self) -> bool {
        self.serving_workers() < self.target
    }

    fn load(&self) -> Load {
        Load {
            capacity: self.scheduler.capacity(),
            taken: self.scheduler.in_use(),
        }
    }

    fn full(&self, bound: QueueBound, request: &SlotRequest<'_>, now: Instant) -> Refusal {
        let after = match (&bound, request.patience) {
            // The wait is acceptable once the queue is shorter by this much, but not before a slot
            // becomes free.
            (QueueBound::Wait { estimate }, Some(patience)) => {
                let next = self.scheduler.next_free(now).unwrap_or_default();
                Some(estimate.saturating_sub(patience.queue).max(next))
            }
            // Other rejected calls return, too: there is room for them after the present queue.
            _ => self.scheduler.backlog(now),
        };
        Refusal::Full {
            bound,
            queued: self.scheduler.queued(),
            after,
            load: self.load(),
        }
    }
}
