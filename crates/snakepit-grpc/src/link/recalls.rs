//! Calls that the host takes back, and what the worker answers.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

/// Who waits for which answer.
#[derive(Debug, Default)]
pub(super) struct Recalls {
    waiting: Mutex<HashMap<u64, oneshot::Sender<bool>>>,
}

impl Recalls {
    /// The answer for a call. Whoever asks again for the same call gets the next one in the place of who asked before.
    pub(super) fn ask(&self, call: u64) -> oneshot::Receiver<bool> {
        let (sender, answer) = oneshot::channel();
        let mut waiting = self.lock();
        waiting.retain(|_, sender| !sender.is_closed());
        waiting.insert(call, sender);
        answer
    }

    /// Takes an answer. One that nobody waits for any more is dropped.
    pub(super) fn put(&self, call: u64, back: bool) {
        let waiting = self.lock().remove(&call);
        if let Some(waiting) = waiting {
            // The one who asked may have left at this moment.
            let _ = waiting.send(back);
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<u64, oneshot::Sender<bool>>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
