//! Where a connection belongs to: the worker, its pool, and the hub that takes what is recorded of both.

use snakepit_core::events::Events;
use snakepit_core::{CallId, PoolName, WorkerId};

use super::client::LinkClient;

/// The worker at the other end, for the spans of its calls.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Source {
    /// Its pool.
    pub pool: PoolName,
    /// Its name.
    pub worker: WorkerId,
    /// The hub whose recorder gets the spans.
    pub events: Events,
}

impl Source {
    /// A worker of a pool.
    pub const fn new(pool: PoolName, worker: WorkerId, events: Events) -> Self {
        Self {
            pool,
            worker,
            events,
        }
    }
}

impl LinkClient {
    /// Says which worker this is: the recorder of its hub gets the worker's spans of calls that are sampled.
    #[must_use]
    pub fn of(self, source: Source) -> Self {
        self.pending.spans.belong(source);
        self
    }

    /// The worker is gone, for this reason: its spans of the calls that it has not answered end.
    pub fn lose(&self, reason: &str) {
        self.pending.spans.lose(reason);
    }

    /// Returns the number of the call of which this attempt is on the connection, or was one of the last there. `None` if it is unknown.
    pub fn number_of(&self, attempt: CallId) -> Option<CallId> {
        self.pending.number_of(attempt.0).map(CallId)
    }
}
