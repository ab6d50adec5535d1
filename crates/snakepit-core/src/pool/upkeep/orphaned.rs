//! The end of a pool whose supervisor is gone: because its runtime has ended, or by a panic.

use std::sync::Arc;

use super::past::Past;
use crate::events::emit;
use crate::pool::shared::Shared;
use crate::pool::state::Spare;
use crate::worker::WorkerExit;

/// Closes the pool when this is dropped; owned by the supervisor. Does nothing if the pool was
/// closed in order.
pub(crate) struct CloseWithSupervisor(pub(crate) Arc<Shared>);

impl Drop for CloseWithSupervisor {
    fn drop(&mut self) {
        self.0.orphaned();
    }
}

impl Shared {
    /// Ends a pool without a supervisor: its workers end, waiting calls fail, and further ones are
    /// rejected.
    fn orphaned(&self) {
        self.begin_close();
        let (workers, spares) = self.lock().take_all();
        self.changed.notify_waiters();
        let pasts = workers.iter().map(Past::of);
        let of_spare = |spare: &Spare| Past::of_spare(&spare.id, spare.ready.elapsed());
        let pasts: Vec<_> = pasts.chain(spares.iter().map(of_spare)).collect();
        // Dropping the last handle of a worker ends it. Its calls fail on their own.
        drop((workers, spares));
        if self.readiness.borrow().closed {
            return;
        }
        let exit = WorkerExit {
            reason: "ended with the supervisor of its pool".to_owned(),
            ..WorkerExit::default()
        };
        for past in pasts {
            self.report_end(&past, &exit, true);
        }
        let pool = self.config.name.clone();
        emit!(self.hub, PoolClosed { pool });
        self.readiness.send_modify(|state| state.closed = true);
    }
}
