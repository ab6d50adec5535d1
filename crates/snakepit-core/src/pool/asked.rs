//! Requests of a person to a running pool: draining a worker, stopping a call; and the observer of
//! its calls.

use std::sync::Arc;

use super::{Pool, RecycleError, foreign};
use crate::call::CallObserver;
use crate::id::{CallId, WorkerId};
use crate::pool::event::Event;

impl Pool {
    /// Name of the profile that starts its workers, for example `process`.
    pub fn profile_name(&self) -> &'static str {
        self.shared().profile.name()
    }

    /// Gives a worker no further calls, and replaces it at once; its calls have `recycle.max_drain`
    /// to end. Unlike [`recycle`](Self::recycle), this does not wait for the replacement to be
    /// ready.
    ///
    /// # Errors
    /// [`RecycleError::UnknownWorker`] if no ready worker has this name.
    pub fn drain(&self, worker: &WorkerId) -> Result<(), RecycleError> {
        let key = self.shared().lock().serving(worker);
        let key = key.ok_or_else(|| RecycleError::UnknownWorker {
            pool: self.name().clone(),
            worker: worker.clone(),
        })?;
        self.shared().send(Event::Drain(key));
        Ok(())
    }

    /// Asks a worker to stop a call, identified by the number of its
    /// [attempt](crate::call::SentCall::attempt). If the tool stops, the caller gets an error with
    /// the code [`Cancelled`](crate::error::ErrorCode::Cancelled). Returns `false` if no ready
    /// worker has this name. A worker ignores a call that it does not run.
    pub fn cancel(&self, worker: &WorkerId, attempt: CallId) -> bool {
        let Some(worker) = self.shared().worker(worker) else {
            return false;
        };
        foreign::cancel(&*worker, attempt, self.config().cancel_grace);
        true
    }

    /// Sets the observer of all further calls. Returns `false` if the pool has one already: there
    /// is at most one, until the pool ends.
    pub fn observe(&self, observer: Arc<dyn CallObserver>) -> bool {
        self.shared().observer.set(observer).is_ok()
    }
}
