//! One call at a time, for code that does not say that it may run on several threads at once.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

use pyo3::prelude::*;

/// Who waits for a turn looks this often whether its caller gave up.
const LOOK: Duration = Duration::from_millis(20);

/// The right to run, which one call has at a time.
#[derive(Debug, Default)]
pub(crate) struct Turn {
    taken: Mutex<bool>,
    free: Condvar,
}

/// The right of one call, until it is dropped.
#[derive(Debug)]
#[must_use = "the turn is over when this is dropped"]
pub(crate) struct Held<'a>(&'a Turn);

impl Turn {
    /// Waits for the turn; nothing when the caller gave up before.
    pub(crate) fn take(&self, py: Python<'_>, cancelled: &AtomicBool) -> Option<Held<'_>> {
        if !self.take_now() && !py.detach(|| self.wait(cancelled)) {
            return None;
        }
        Some(Held(self))
    }

    fn take_now(&self) -> bool {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        !std::mem::replace(&mut *taken, true)
    }

    fn wait(&self, cancelled: &AtomicBool) -> bool {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        while *taken {
            if cancelled.load(Ordering::Acquire) {
                return false;
            }
            let waited = self.free.wait_timeout(taken, LOOK);
            taken = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        *taken = true;
        true
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        let turn = self.0;
        *turn.taken.lock().unwrap_or_else(PoisonError::into_inner) = false;
        turn.free.notify_one();
    }
}
