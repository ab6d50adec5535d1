//! The messages between the parts of a pool that do not know each other.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;

use super::recycle::RecycleError;
use crate::error::StartError;
use crate::id::WorkerId;
use crate::schedule::WorkerKey;

/// A message to the supervisor.
pub(crate) enum Event {
    /// A draining worker has no more calls.
    Idle(WorkerKey),
    /// A call found the worker dead, or it is being killed.
    Lost(WorkerKey),
    /// A call of the worker cannot be stopped, and others run in it.
    Stuck(WorkerKey),
    /// The exception that stopped a call may have left the worker in an unknown state.
    Interrupted(WorkerKey),
    /// A user requests that the worker drains and is replaced at once.
    Drain(WorkerKey),
    /// Keep this many workers.
    Resize {
        workers: usize,
        done: oneshot::Sender<()>,
    },
    /// A worker is due to be replaced.
    Due,
    /// The first call waits, in a pool with `autoscale`.
    Waiting,
    /// Replace this worker.
    Recycle {
        worker: WorkerId,
        done: oneshot::Sender<Result<WorkerId, RecycleError>>,
    },
    /// End the pool: running calls have `drain`, and then each worker `grace`.
    Close { drain: Duration, grace: Duration },
}

/// The readiness of the pool, for callers that wait for it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Readiness {
    /// Number of the workers that accept calls.
    pub(crate) serving: usize,
    /// All workers are ready that the pool is to have.
    pub(crate) complete: bool,
    /// The failure with which the pool gave up. `None` if it starts workers.
    pub(crate) failed: Option<Arc<StartError>>,
    pub(crate) closed: bool,
}

/// The result of a worker's health checks.
pub(super) struct Checked {
    pub(super) result: Result<(), CheckFailure>,
    pub(super) took: Duration,
}

/// The failure of a health check.
pub(super) struct CheckFailure {
    pub(super) check: Arc<str>,
    pub(super) error: String,
}
