//! The end of a pool, and the end of its attempts to start workers.

use std::sync::Arc;

use super::{Effects, Further, PoolCore, ReadyWorker, Spare};
use crate::error::{Error, StartError};
use crate::schedule::WorkerKey;
use crate::worker::Worker;

impl PoolCore {
    /// Returns true if the pool is closed or closing.
    pub(crate) const fn is_closing(&self) -> bool {
        self.closing
    }

    /// Rejects all further calls; those in the queue fail with `error`, and those that were sent
    /// ahead of their turn come back, since they count as queued.
    pub(crate) fn begin_close(&mut self, error: Error) -> Effects {
        self.closing = true;
        let further = Further {
            failed: Some((self.scheduler.drain_queue(), error)),
            recalls: self.recall_all(),
            ..Further::default()
        };
        Effects {
            changed: true,
            ..further.into()
        }
    }

    /// Records that no worker can be started now. Without any worker, waiting calls fail with
    /// `error`.
    pub(crate) fn give_up(&mut self, start: &Arc<StartError>, error: Error) -> Effects {
        self.gave_up = Some(Arc::clone(start));
        let none = self.scheduler.active() == 0;
        let further = Further {
            failed: none.then(|| (self.scheduler.drain_queue(), error)),
            ..Further::default()
        };
        Effects {
            changed: true,
            ..further.into()
        }
    }

    /// Records that workers are started again.
    pub(crate) fn try_again(&mut self) {
        self.gave_up = None;
    }

    /// Gives no worker further calls, and forgets those that are starting. Returns the ready ones.
    /// The queue is empty by then.
    pub(crate) fn retire_all(&mut self) -> Vec<WorkerKey> {
        self.starting.clear();
        let keys: Vec<_> = self.workers.iter().map(|(key, _)| key).collect();
        for key in &keys {
            // The queue was emptied when closing began: no call waits for the worker.
            drop(self.scheduler.retire(*key));
        }
        keys
    }

    /// Number of slots that have a call.
    pub(crate) fn in_use(&self) -> usize {
        self.scheduler.in_use()
    }

    /// Takes the spare workers out.
    pub(crate) fn take_spares(&mut self) -> Vec<Spare> {
        std::mem::take(&mut self.spares)
    }

    /// Takes all ready workers and spares out, after closing has begun.
    pub(crate) fn take_all(&mut self) -> (Vec<ReadyWorker>, Vec<Spare>) {
        self.starting.clear();
        let keys: Vec<_> = self.workers.iter().map(|(key, _)| key).collect();
        let mut workers = Vec::new();
        for key in keys {
            // Closing has emptied the queue, so no call waits for the worker.
            drop(self.remove(key));
            workers.extend(self.workers.remove(key));
        }
        (workers, self.take_spares())
    }

    /// Returns all ready workers and spares.
    pub(crate) fn all_workers(&self) -> Vec<Arc<dyn Worker>> {
        let ready = self.workers.iter().map(|(_, live)| &live.worker);
        let spares = self.spares.iter().map(|spare| &spare.worker);
        ready.chain(spares).cloned().collect()
    }
}
