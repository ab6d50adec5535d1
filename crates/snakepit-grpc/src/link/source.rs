//! The worker of a connection, its pool, and the hub that receives the records of both.

use std::sync::Arc;

use snakepit_core::events::Events;
use snakepit_core::id::{CallId, PoolName, WorkerId};

use super::client::LinkClient;
use super::mask::Mask;

/// The worker at the other end, for the spans and the errors of its calls.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Source {
    /// The pool of the worker.
    pub pool: PoolName,
    /// The id of the worker.
    pub worker: WorkerId,
    /// The hub whose recorder receives the spans.
    pub events: Events,
    /// Masks secrets in the worker's errors and requests. `None` if they stay as they are.
    pub mask: Option<Arc<dyn Mask>>,
}

impl Source {
    /// Describes a worker of a pool.
    pub const fn new(pool: PoolName, worker: WorkerId, events: Events) -> Self {
        Self {
            pool,
            worker,
            events,
            mask: None,
        }
    }

    /// Masks secrets in the errors and the requests of the worker.
    #[must_use]
    pub fn masked(mut self, mask: Arc<dyn Mask>) -> Self {
        self.mask = Some(mask);
        self
    }
}

impl LinkClient {
    /// Sets the worker at the other end. From then on the recorder of its hub receives the worker's
    /// spans of sampled calls, and secrets in its errors are masked.
    #[must_use]
    pub fn of(self, source: Source) -> Self {
        if let Some(mask) = &source.mask {
            self.serving.mask(mask);
        }
        self.pending.spans.belong(source);
        self
    }

    /// Ends the spans of all unanswered calls, because the worker is gone for this reason.
    pub fn lose(&self, reason: &str) {
        self.pending.spans.lose(reason);
    }

    /// Returns the number of the call that this attempt belongs to. `None` if the attempt is
    /// neither running on the connection nor among the last ones that were.
    pub fn number_of(&self, attempt: CallId) -> Option<CallId> {
        self.pending.number_of(attempt.0).map(CallId)
    }
}
