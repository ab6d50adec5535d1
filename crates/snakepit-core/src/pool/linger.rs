//! What happens to a call whose caller does not wait any more.

use std::future::Future;
use std::time::Duration;

use futures_util::StreamExt;
use tokio::time::timeout;

use super::lease::Lease;
use super::stats::Outcome;
use crate::{CallError, CallId, ChunkStream, ItemResult, Payload, event};

/// Waits for the end of what a call returned, after which its slot is free.
pub(super) trait Rest: Send + 'static {
    fn rest(self) -> impl Future<Output = Result<(), CallError>> + Send;
}

impl Rest for Payload {
    async fn rest(self) -> Result<(), CallError> {
        Ok(())
    }
}

impl Rest for Vec<ItemResult> {
    async fn rest(self) -> Result<(), CallError> {
        self.into_iter()
            .last()
            .map_or(Ok(()), |last| last.map(drop))
    }
}

impl Rest for ChunkStream {
    async fn rest(mut self) -> Result<(), CallError> {
        while let Some(chunk) = self.next().await {
            chunk?;
        }
        Ok(())
    }
}

/// Cancels a call and waits in the background until the tool has ended; only then is the slot free. When that takes longer than the grace
/// time, the worker is killed.
pub(super) fn spawn(
    mut lease: Lease,
    call: CallId,
    outcome: Outcome,
    rest: impl Future<Output = Result<(), CallError>> + Send + 'static,
) {
    lease.count(outcome);
    let shared = lease.shared().clone();
    tracing::debug!(
        target: event::TARGET,
        event = event::CALL_ABANDONED,
        pool = %shared.config.name,
        worker = %lease.id(),
        call = call.0,
    );
    lease.worker().cancel(call);
    let grace = shared.config.cancel_grace;
    let (tasks, runtime) = (shared.tasks.clone(), shared.runtime.clone());
    tasks.spawn_on(
        async move {
            let mut rest = Box::pin(rest);
            match timeout(grace, &mut rest).await {
                Ok(Ok(()) | Err(CallError::Tool(_) | CallError::TooLarge { .. })) => drop(lease),
                Ok(Err(CallError::Died { .. })) => lease.lose(),
                Err(_) => {
                    tracing::warn!(
                        target: event::TARGET,
                        event = event::WORKER_KILLED,
                        pool = %shared.config.name,
                        worker = %lease.id(),
                        call = call.0,
                    );
                    // First out of the schedule, so that no further call goes to it.
                    lease.lose();
                    lease.worker().stop(Duration::ZERO).await;
                }
            }
        },
        &runtime,
    );
}
