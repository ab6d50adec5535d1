//! Where the threads of a worker are when a call takes too long.

use std::sync::Arc;
use std::time::Duration;

use super::shared::Shared;
use crate::{CallId, Error, Phase, Stacks, Worker, WorkerId, event};

/// A call whose time is up.
pub(super) struct TimedOut {
    pub(super) shared: Arc<Shared>,
    pub(super) worker: Arc<dyn Worker>,
    pub(super) id: WorkerId,
    pub(super) call: CallId,
    pub(super) tool: Arc<str>,
    /// The time that it had.
    pub(super) after: Duration,
}

impl TimedOut {
    /// The error for the caller. The tool must not be stopped before: nothing would be left to see.
    pub(super) async fn error(self) -> Error {
        let stacks = look(&*self.worker, self.shared.config.timeout_stacks).await;
        tracing::debug!(
            target: event::TARGET,
            event = event::CALL_TIMED_OUT,
            pool = %self.shared.config.name,
            worker = %self.id,
            call = self.call.0,
            tool = &*self.tool,
            stacks = stacks.as_ref().map(ToString::to_string),
        );
        Error::Timeout {
            pool: self.shared.config.name.clone(),
            phase: Phase::Call,
            after: self.after,
            stacks: stacks.map(Arc::new),
        }
    }
}

/// Asks the worker, for at most `wait`; zero asks nothing.
pub(super) async fn look(worker: &dyn Worker, wait: Duration) -> Option<Stacks> {
    if wait.is_zero() {
        return None;
    }
    let looked = tokio::time::timeout(wait, worker.stacks(wait)).await;
    looked.ok().flatten()
}
