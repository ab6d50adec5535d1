//! Calls that cannot be stopped, in workers that have other calls.

use super::shared::{Shared, State};
use super::supervisor::Event;
use crate::schedule::WorkerKey;

impl Shared {
    /// A cancelled call cannot be stopped. `false` when its worker has no other call to wait for: it is out of the schedule then, and stays
    /// without calls until it is killed.
    pub(super) fn stuck(&self, key: WorkerKey) -> bool {
        let mut guard = self.lock();
        let state = &mut *guard;
        let in_use = state.scheduler.in_use_of(key).unwrap_or(0);
        let Some(live) = state.workers.get_mut(key) else {
            return false;
        };
        if in_use <= live.stuck + 1 {
            let lost = state.remove(key);
            drop(guard);
            self.changed.notify_waiters();
            Self::tell_lost(lost);
            return false;
        }
        live.stuck += 1;
        // At once: what it gives back must not come to it again.
        let retired = state.scheduler.retire(key);
        let behind = state.call_back(key);
        drop(guard);
        self.take_back(behind);
        Self::tell_lost(retired.lost);
        self.send(Event::Stuck(key));
        true
    }

    /// The worker may be in an unknown state. It gets no further calls from now on; to be called while a call still has a slot of it.
    pub(super) fn renew(&self, key: WorkerKey) {
        let mut state = self.lock();
        let retired = state.scheduler.retire(key);
        let behind = state.call_back(key);
        drop(state);
        self.take_back(behind);
        Self::tell_lost(retired.lost);
        self.send(Event::Interrupted(key));
    }

    /// A call that could not be stopped is over all the same.
    pub(super) fn unstuck(&self, key: WorkerKey) {
        if let Some(live) = self.lock().workers.get_mut(key) {
            live.stuck -= 1;
        }
    }
}

impl State {
    /// A worker that drains has only calls left that cannot be stopped.
    pub(super) fn only_stuck(&self, key: WorkerKey) -> bool {
        let live = self.workers.get(key);
        live.is_some_and(|live| {
            live.stuck > 0 && live.draining && self.scheduler.in_use_of(key) == Some(live.stuck)
        })
    }
}
