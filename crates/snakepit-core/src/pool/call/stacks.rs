//! The stacks of a worker's threads when a call takes too long.

use std::sync::Arc;
use std::time::Duration;

use super::lease::Lease;
use crate::error::{Error, Phase, Stacks, ThreadStack};
use crate::events::emit;
use crate::id::{CallId, WorkerId};
use crate::pool::{Pool, foreign};

impl Lease {
    /// Returns the error of the call in this slot, which timed out after `after`. The tool must
    /// still run, or its stack is gone.
    pub(super) async fn timed_out(&self, call: CallId, tool: &Arc<str>, after: Duration) -> Error {
        let (shared, call) = (self.shared(), self.number.unwrap_or(call));
        let stacks = foreign::stacks(&**self.worker(), shared.config.timeout_stacks).await;
        let stacks = stacks.map(|stacks| of_call(stacks, call));
        emit!(
            shared.hub,
            CallTimedOut {
                pool: shared.config.name.clone(),
                worker: self.id().clone(),
                call,
                tool: Arc::clone(tool),
                stacks: stacks.as_ref().map(ToString::to_string),
            }
        );
        Error::Timeout {
            pool: shared.config.name.clone(),
            phase: Phase::Call,
            after,
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

impl Pool {
    /// Returns the stacks of a worker's threads, whatever they do. `None` if the worker did not
    /// answer within `wait`, or does not exist.
    ///
    /// # Cancel safety
    /// Safe.
    pub async fn stacks(&self, worker: &WorkerId, wait: Duration) -> Option<Stacks> {
        let named = self.shared().worker(worker)?;
        foreign::stacks(&*named, wait).await
    }
}
