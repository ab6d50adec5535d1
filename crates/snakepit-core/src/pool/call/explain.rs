//! The stacks of a worker's threads when a call takes too long.

use std::sync::Arc;
use std::time::Duration;

use crate::error::{Error, Phase, Stacks, ThreadStack};
use crate::events::emit;
use crate::id::{CallId, WorkerId};
use crate::pool::shared::Shared;
use crate::pool::{Pool, foreign};
use crate::worker::Worker;

/// A call that timed out.
pub(crate) struct TimedOut {
    pub(crate) shared: Arc<Shared>,
    pub(crate) worker: Arc<dyn Worker>,
    pub(crate) id: WorkerId,
    pub(crate) call: CallId,
    pub(crate) tool: Arc<str>,
    /// The time limit of the call.
    pub(crate) after: Duration,
}

impl TimedOut {
    /// Returns the error for the caller. The tool must still run, or its stack is gone.
    pub(crate) async fn error(self) -> Error {
        let stacks = look(&*self.worker, self.shared.config.timeout_stacks).await;
        let stacks = stacks.map(|stacks| of_call(stacks, self.call));
        emit!(
            self.shared.hub,
            CallTimedOut {
                pool: self.shared.config.name.clone(),
                worker: self.id.clone(),
                call: self.call,
                tool: self.tool,
                stacks: stacks.as_ref().map(ToString::to_string),
            }
        );
        Error::Timeout {
            pool: self.shared.config.name.clone(),
            phase: Phase::Call,
            after: self.after,
            stacks: stacks.map(Arc::new),
        }
    }
}

/// Puts the task of the call first, and leaves out those of other calls.
fn of_call(mut stacks: Stacks, call: CallId) -> Stacks {
    let others = |thread: &ThreadStack| thread.call.is_some_and(|of| of != call.0);
    stacks.threads.retain(|thread| !others(thread));
    stacks.threads.sort_by_key(|thread| thread.call.is_none());
    stacks
}

/// Requests the stacks from the worker, for at most `wait`. `None` without a request if `wait` is
/// zero.
pub(crate) async fn look(worker: &dyn Worker, wait: Duration) -> Option<Stacks> {
    foreign::stacks(worker, wait).await
}

impl Pool {
    /// Returns the stacks of a worker's threads, whatever they do. `None` if the worker did not
    /// answer within `wait`, or does not exist.
    ///
    /// # Cancel safety
    /// Safe.
    pub async fn stacks(&self, worker: &WorkerId, wait: Duration) -> Option<Stacks> {
        let named = self.shared().worker(worker)?;
        look(&*named, wait).await
    }
}
