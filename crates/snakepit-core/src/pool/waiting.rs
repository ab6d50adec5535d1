//! One call in the queue.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::{Instant, timeout_at};

use super::lease::Lease;
use super::shared::Shared;
use super::stats::Outcome;
use crate::error::{Error, Phase};
use crate::schedule::Ticket;

/// A place in the queue. Dropping it leaves the queue; a slot that arrives at that moment is passed
/// on.
pub(super) struct Waiting {
    shared: Arc<Shared>,
    ticket: Ticket,
    receiver: oneshot::Receiver<Result<Lease, Error>>,
    since: Instant,
    items: u64,
    /// Number of calls in the queue when the call entered it, including itself.
    queue_size: usize,
    /// Outcome with which the call is counted when this is dropped. `None` once it has a slot.
    outcome: Option<Outcome>,
}

impl Waiting {
    pub(super) fn new(
        shared: Arc<Shared>,
        ticket: Ticket,
        receiver: oneshot::Receiver<Result<Lease, Error>>,
        items: u64,
        since: Instant,
        queue_size: usize,
    ) -> Self {
        Self {
            shared,
            ticket,
            receiver,
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
    pub(super) async fn wait(mut self, limit: Option<(Instant, Duration)>) -> Result<Lease, Error> {
        let answer = match limit {
            Some((until, _)) => timeout_at(until, &mut self.receiver).await,
            None => Ok((&mut self.receiver).await),
        };
        match (answer, limit) {
            // The slot arrived, but this task was resumed too late. The slot goes to the next call.
            (Ok(Ok(Ok(_))), Some((until, after))) if until <= Instant::now() => {
                self.outcome = Some(Outcome::QueueTimeout);
                Err(self.shared.timeout(Phase::Queue, after))
            }
            (Ok(Ok(Ok(mut lease))), _) => {
                self.outcome = None;
                lease.begin_queued(self.items, self.since, self.ticket);
                Ok(lease)
            }
            (Ok(Ok(Err(error))), _) => {
                self.outcome = Some(Outcome::Error);
                Err(error)
            }
            (Err(_), Some((_, after))) => {
                self.outcome = Some(Outcome::QueueTimeout);
                Err(self.shared.timeout(Phase::Queue, after))
            }
            // The sender is dropped only with the pool's state.
            (Ok(Err(_)) | Err(_), _) => {
                self.outcome = Some(Outcome::Error);
                Err(self.shared.closed())
            }
        }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        if let Some(outcome) = self.outcome {
            let mut state = self.shared.lock();
            state.scheduler.cancel(self.ticket);
            state.nested.remove(&self.ticket);
            state.stats.record(outcome, self.items, Duration::ZERO);
        }
    }
}
