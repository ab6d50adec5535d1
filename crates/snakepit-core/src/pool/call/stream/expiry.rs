//! The end of a stream at its deadline.

use std::sync::{Arc, Mutex, TryLockError};
use std::time::Duration;

use tokio_util::task::TaskTracker;

use super::{Open, Stage, StreamState, lock};
use crate::pool::deadlines::Expires;

impl Expires for Mutex<Stage> {
    /// Ends a call that is still open at its deadline. A reader may be inside the worker's stream,
    /// which is foreign code and may stay there; a separate thread then waits for it.
    fn expire(self: Arc<Self>, after: Duration, tasks: &TaskTracker) {
        let taken = match self.try_lock() {
            Ok(mut free) => Some(free.take(StreamState::Expiring)),
            Err(TryLockError::Poisoned(free)) => {
                Some(free.into_inner().take(StreamState::Expiring))
            }
            Err(TryLockError::WouldBlock) => None,
        };
        if let Some(taken) = taken {
            return time_out(self, taken, after, tasks);
        }
        let own = tasks.clone();
        tasks.spawn_blocking(move || {
            let taken = lock(&self).take(StreamState::Expiring);
            time_out(self, taken, after, &own);
        });
    }
}

/// Ends a call that was taken out of its stage, if it was open.
fn time_out(
    stage: Arc<Mutex<Stage>>,
    taken: Option<Box<Open>>,
    after: Duration,
    tasks: &TaskTracker,
) {
    let Some(mut open) = taken else {
        return;
    };
    tasks.spawn(async move {
        let Open { call, journal, .. } = &mut *open;
        let error = call.expire(after, &journal.progress.tool).await;
        journal.end(Err(&error));
        drop(open);
        lock(&stage).fail(error);
    });
}
