//! The event that reports the end of a worker.

use crate::{PoolName, WorkerExit, WorkerId, event};

/// Reports the end of a worker: a warning, unless the pool expected it.
pub(super) fn report(pool: &PoolName, worker: &WorkerId, exit: &WorkerExit, expected: bool) {
    let reason = &*exit.reason;
    // The level of an event is a constant of the place that makes it.
    if expected {
        tracing::info!(
            target: event::TARGET,
            event = event::WORKER_TERMINATED,
            %pool,
            %worker,
            reason,
            expected,
        );
    } else {
        tracing::warn!(
            target: event::TARGET,
            event = event::WORKER_TERMINATED,
            %pool,
            %worker,
            reason,
            expected,
        );
    }
}
