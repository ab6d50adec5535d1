//! Calls that cannot be stopped, in workers that have other calls.

use super::shared::{Shared, State};
use super::supervisor::Event;
use crate::schedule::WorkerKey;

impl Shared {
    /// Handles a cancelled call that cannot be stopped. Returns `false` if its worker has no other
    /// call to wait for: the worker is then removed from the schedule, and gets no calls before it
    /// is killed.
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
        // At once: calls that the worker gives back must not return to it.
        let retired = state.scheduler.retire(key);
        let behind = state.call_back(key);
        drop(guard);
        self.take_back(behind);
        Self::tell_lost(retired.lost);
        self.send(Event::Stuck(key));
        true
    }

    /// Gives no further calls to a worker that may be in an unknown state. To be called while a
    /// call still has one of its slots.
    pub(super) fn renew(&self, key: WorkerKey) {
        let mut state = self.lock();
        let retired = state.scheduler.retire(key);
        let behind = state.call_back(key);
        drop(state);
        self.take_back(behind);
        Self::tell_lost(retired.lost);
        self.send(Event::Interrupted(key));
    }

    /// Notes that a call that could not be stopped has ended nevertheless.
    pub(super) fn unstuck(&self, key: WorkerKey) {
        if let Some(live) = self.lock().workers.get_mut(key) {
            live.stuck -= 1;
        }
    }
}

impl State {
    /// Returns true if a draining worker has only calls left that cannot be stopped.
    pub(super) fn only_stuck(&self, key: WorkerKey) -> bool {
        let live = self.workers.get(key);
        live.is_some_and(|live| {
            live.stuck > 0 && live.draining && self.scheduler.in_use_of(key) == Some(live.stuck)
        })
    }
}
