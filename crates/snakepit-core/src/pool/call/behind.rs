//! Returning calls that were sent ahead: before a call in front of them is cancelled, and from a
//! worker that gets no further calls.
//!
//! The pool asks the worker itself, and does not wait for the callers. A call that has come back
//! ends with [`CallError::NotBegun`]; its caller then finds a place for it (`early.rs`).

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout, timeout_at};

use super::lease::Lease;
use crate::id::CallId;
use crate::pool::foreign;
use crate::worker::CallError;

/// Inverse of the part of the grace time in which a worker must return calls. After that, the call
/// in front of them is cancelled nevertheless.
const SHARE: u32 = 4;

impl Lease {
    /// Recalls the lease's call from the worker. The task continues if the caller drops the handle,
    /// so that no answer is lost.
    pub(super) fn recall(&self, call: CallId) -> JoinHandle<bool> {
        let (worker, slot) = (Arc::clone(self.worker()), self.slot());
        let task = async move { foreign::recall(&*worker, slot, call).await };
        let shared = self.shared();
        shared.tasks.spawn_on(task, &shared.runtime)
    }

    /// Recalls the calls behind the lease's call, which is about to be cancelled. Nothing more
    /// is sent there before it is over.
    pub(super) fn recall_behind(&self) -> Option<JoinHandle<()>> {
        let shared = self.shared();
        let recall = shared.lock().recall_behind(self.grant(), self.worker());
        recall.map(|recall| shared.recall(recall))
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
