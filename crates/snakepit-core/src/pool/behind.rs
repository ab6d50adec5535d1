//! Returning calls that were sent ahead: before a call in front of them is cancelled, and from a
//! worker that gets no further calls.
//!
//! The pool asks the worker itself, and does not wait for the callers. A call that has come back
//! ends with [`CallError::NotBegun`]; its caller then finds a place for it (`early.rs`).

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout, timeout_at};

use super::foreign;
use super::lease::Lease;
use super::shared::{Shared, State};
use crate::id::{CallId, Slot};
use crate::schedule::WorkerKey;
use crate::worker::{CallError, Worker};

/// Inverse of the part of the grace time in which a worker must return calls. After that, the call
/// in front of them is cancelled nevertheless.
const SHARE: u32 = 4;

/// Calls that their worker must return.
#[must_use]
pub(super) struct Behind {
    worker: Arc<dyn Worker>,
    calls: Vec<(Slot, CallId)>,
}

impl State {
    /// Calls back the calls that were sent ahead to a worker. The caller has ensured that no more
    /// are sent.
    pub(super) fn call_back(&mut self, key: WorkerKey) -> Option<Behind> {
        let live = self.workers.get(key).filter(|live| live.ahead)?;
        let calls = self.scheduler.call_back(key);
        let worker = Arc::clone(&live.worker);
        (!calls.is_empty()).then_some(Behind { worker, calls })
    }

    /// Calls back the calls that were sent ahead to all workers.
    pub(super) fn call_all_back(&mut self) -> Vec<Behind> {
        let keys: Vec<_> = self.workers.iter().map(|(key, _)| key).collect();
        let all = keys.into_iter();
        all.filter_map(|key| self.call_back(key)).collect()
    }
}

impl Shared {
    /// Asks a worker to return calls. When the task has ended, each has come back, or the worker
    /// has begun it.
    pub(super) fn take_back(&self, behind: Option<Behind>) -> Option<JoinHandle<()>> {
        let Behind { worker, calls } = behind?;
        let task = async move {
            let calls = calls.into_iter();
            let asked = calls.map(|(slot, call)| foreign::recall(&*worker, slot, call));
            join_all(asked).await;
        };
        Some(self.tasks.spawn_on(task, &self.runtime))
    }
}

impl Lease {
    /// Recalls the lease's call from the worker. The task continues if the caller drops the handle,
    /// so that no answer is lost.
    pub(super) fn recall(&self, call: CallId) -> JoinHandle<bool> {
        let (worker, slot) = (Arc::clone(self.worker()), self.slot());
        let task = async move { foreign::recall(&*worker, slot, call).await };
        let shared = self.shared();
        shared.tasks.spawn_on(task, &shared.runtime)
    }

    /// Calls back the calls behind the lease's call, which is about to be cancelled. Nothing more
    /// is sent there before it is over.
    pub(super) fn call_back(&self) -> Option<JoinHandle<()>> {
        let shared = self.shared();
        let behind = {
            let mut state = shared.lock();
            let calls = state.scheduler.call_back_behind(self.grant());
            let worker = Arc::clone(self.worker());
            (!calls.is_empty()).then_some(Behind { worker, calls })
        };
        shared.take_back(behind)
    }
}

/// Cancels a call once no call is behind it, and waits for its end, up to `grace` after `began`. An
/// exception in its tool may leave an unknown state, in which no other call must begin. A worker
/// that returns nothing delays the cancellation by a part of the grace time.
pub(super) async fn cancel(
    lease: &Lease,
    call: CallId,
    behind: Option<JoinHandle<()>>,
    began: Instant,
    grace: Duration,
    mut rest: impl Future<Output = Result<(), CallError>> + Unpin,
) -> Option<Result<(), CallError>> {
    if let Some(behind) = behind {
        tokio::select! {
            biased;
            ended = &mut rest => return Some(ended),
            _ = timeout(grace / SHARE, behind) => {
                let left = grace.saturating_sub(began.elapsed());
                foreign::cancel(&**lease.worker(), call, left);
            }
        }
    }
    timeout_at(began + grace, &mut rest).await.ok()
}
