//! A slot on its way to a waiting call.

use std::sync::Arc;

use tokio::time::Instant;

use super::PoolCore;
use crate::id::{CallId, WorkerId};
use crate::schedule::Grant;
use crate::worker::Worker;

/// A slot that a call has got, and its worker. Plain data, which a channel can carry: its receiver
/// makes a lease of it, and if there is no receiver, the grant is given back.
#[must_use = "its slot is taken until the grant is released"]
pub(crate) struct Granted {
    pub(crate) grant: Grant,
    pub(crate) worker: Arc<dyn Worker>,
    pub(crate) id: WorkerId,
    /// Set if the call is sent ahead of its turn and does not have the slot yet.
    pub(crate) early: Option<Early>,
}

/// A call that is sent ahead of its turn.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Early {
    /// Place of the call in the queue.
    pub(crate) place: u64,
    /// Number of the attempt, by which its worker knows the call.
    pub(crate) call: CallId,
    /// Time at which it entered the queue.
    pub(crate) queued: Instant,
}

impl PoolCore {
    /// Returns the grant with its worker.
    pub(super) fn granted(&self, grant: Grant) -> Granted {
        let live = self
            .workers
            .get(grant.worker)
            .expect("grants name known workers");
        let ahead = live.ahead.then(|| self.scheduler.ahead(grant)).flatten();
        Granted {
            grant,
            worker: Arc::clone(&live.worker),
            id: live.id.clone(),
            early: ahead.map(|(place, call)| Early {
                place,
                call,
                queued: Instant::now(),
            }),
        }
    }
}
