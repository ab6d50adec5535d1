//! One call in the queue.

use tokio::time::{Instant, timeout_at};

use super::arrival::Arrival;
use super::lease::Lease;
use super::limits::Limit;
use crate::error::{Error, Phase};
use crate::pool::state::Outcome;
use crate::schedule::Ticket;

/// A call in the queue. Dropping it leaves the queue; a slot that arrives at that moment is passed
/// on.
pub(super) struct Waiting {
    arrival: Arrival,
    ticket: Ticket,
    since: Instant,
    items: u64,
    /// Number of calls in the queue when the call entered it, including itself.
    queue_size: usize,
    /// Outcome with which the call is counted when this is dropped. `None` once it has a slot.
    outcome: Option<Outcome>,
}

impl Waiting {
    pub(super) const fn new(
        arrival: Arrival,
        ticket: Ticket,
        items: u64,
        since: Instant,
        queue_size: usize,
    ) -> Self {
        Self {
            arrival,
            ticket,
            since,
            items,
            queue_size,
            outcome: Some(Outcome::Cancelled),
        }
    }

    /// Number of calls in the queue when the call entered it, including itself.
    pub(super) const fn queue_size(&self) -> usize {
        self.queue_size
    }

    /// Waits for the slot, up to a moment.
    pub(super) async fn wait(mut self, limit: Option<Limit>) -> Result<Box<Lease>, Error> {
        let answer = match limit {
            Some((until, _)) => timeout_at(until, self.arrival.slot()).await,
            None => Ok(self.arrival.slot().await),
        };
        let (shared, now) = (self.arrival.shared(), Instant::now());
        match (answer, limit) {
            // The slot arrived, but this task was resumed too late. The slot goes to the next call.
            (Ok(Some(Ok(_))), Some((until, after))) if until <= now => {
                self.outcome = Some(Outcome::QueueTimeout);
                Err(shared.timeout(Phase::Queue, after))
            }
            (Ok(Some(Ok(mut lease))), _) => {
                self.outcome = None;
                lease.begin_queued(self.items, self.since, now, self.ticket);
                Ok(lease)
            }
            (Ok(Some(Err(error))), _) => {
                self.outcome = Some(Outcome::Error);
                Err(error)
            }
            (Err(_), Some((_, after))) => {
                self.outcome = Some(Outcome::QueueTimeout);
                Err(shared.timeout(Phase::Queue, after))
            }
            // The sender is dropped only with the pool's state.
            (Ok(None) | Err(_), _) => {
                self.outcome = Some(Outcome::Error);
                Err(shared.closed())
            }
        }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        if let Some(outcome) = self.outcome {
            let mut state = self.arrival.shared().lock();
            state.leave_queue(self.ticket, outcome, self.items);
        }
    }
}
