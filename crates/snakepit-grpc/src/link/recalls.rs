//! Recalled calls, and the worker's answers.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

/// The pending recalls.
#[derive(Debug, Default)]
pub(super) struct Recalls {
    waiting: Mutex<HashMap<u64, oneshot::Sender<bool>>>,
}

impl Recalls {
    /// Registers a recall and returns its answer. A second recall of the same call replaces the
    /// first one.
    pub(super) fn ask(&self, call: u64) -> oneshot::Receiver<bool> {
        let (sender, answer) = oneshot::channel();
        let mut waiting = self.lock();
        waiting.retain(|_, sender| !sender.is_closed());
        waiting.insert(call, sender);
        answer
    }

    /// Delivers an answer. Drops it if its requester is gone.
    pub(super) fn put(&self, call: u64, back: bool) {
        let waiting = self.lock().remove(&call);
        if let Some(waiting) = waiting {
            // The requester may be gone at this moment.
            let _ = waiting.send(back);
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<u64, oneshot::Sender<bool>>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
