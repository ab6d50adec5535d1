//! State that the supervisor reads and changes: the number of workers, their starts and their ends.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::{PoolCore, ReadyWorker, Spare};
use crate::error::StartError;
use crate::id::WorkerId;
use crate::policy::ScaleReason;
use crate::schedule::WorkerKey;

/// The workers of a pool by their stage.
pub(crate) struct Census {
    /// Workers to keep running.
    pub(crate) target: usize,
    /// Ready workers that do not drain.
    pub(crate) serving: usize,
    /// Workers whose replacements start when they are gone.
    pub(crate) in_place: usize,
    /// Ready workers that get no calls.
    pub(crate) spares: usize,
}

/// The load of a pool since the last reading.
pub(crate) struct Measured {
    /// Number of the calls that waited and got a slot.
    pub(crate) waited: u32,
    /// Their total wait.
    pub(crate) waits: Duration,
    /// Most slots and queue places in use at the same time.
    pub(crate) peak: usize,
}

impl PoolCore {
    /// Number of workers to keep running.
    pub(crate) const fn target(&self) -> usize {
        self.target
    }

    pub(crate) const fn set_target(&mut self, workers: usize) {
        self.target = workers;
    }

    /// Returns the ready workers, those that drain included.
    pub(crate) fn workers(&self) -> impl Iterator<Item = (WorkerKey, &ReadyWorker)> {
        self.workers.iter()
    }

    /// Returns a ready worker.
    pub(crate) fn live(&self, key: WorkerKey) -> Option<&ReadyWorker> {
        self.workers.get(key)
    }

    /// Number of taken slots of a worker. `None` if it is unknown.
    pub(crate) fn in_use_of(&self, key: WorkerKey) -> Option<u16> {
        self.scheduler.in_use_of(key)
    }

    pub(crate) fn census(&self) -> Census {
        let workers = || self.workers.iter().map(|(_, live)| live);
        Census {
            target: self.target,
            serving: workers().filter(|live| !live.draining).count(),
            in_place: workers().filter(|live| live.in_place).count(),
            spares: self.spares.len(),
        }
    }

    /// Notes the start of a worker, in place of one that died if it is a `restart`.
    pub(crate) fn begin_start(&mut self, id: WorkerId, restart: bool, now: Instant) {
        self.stats.restarts += u64::from(restart);
        self.starting.insert(id, now);
    }

    /// Notes that a start that began earlier counts as the restart after a death.
    pub(crate) const fn restarted(&mut self) {
        self.stats.restarts += 1;
    }

    /// Returns the time at which the start of a worker began.
    pub(crate) fn start_of(&self, id: &WorkerId) -> Option<Instant> {
        self.starting.get(id).copied()
    }

    /// Notes that a worker did not start.
    pub(crate) fn start_failed(&mut self, id: &WorkerId, error: Arc<StartError>) {
        self.starting.remove(id);
        self.stats.start_failures += 1;
        self.failed_start = Some(error);
    }

    /// Takes a worker that is gone out. `reason` describes its exit.
    pub(crate) fn take(&mut self, key: WorkerKey, reason: &str) -> Option<ReadyWorker> {
        let live = self.workers.remove(key)?;
        if !live.draining || live.lost {
            self.stats.last_exit = Some(reason.to_owned());
        }
        Some(live)
    }

    /// Takes a worker out whose end was requested.
    pub(crate) fn take_ended(&mut self, key: WorkerKey) -> Option<ReadyWorker> {
        self.workers.remove(key)
    }

    /// Returns the load since the last reading.
    pub(crate) fn take_measured(&mut self) -> Measured {
        let (waited, waits) = std::mem::take(&mut self.stats.recent);
        Measured {
            waited,
            waits,
            peak: self.scheduler.take_peak(),
        }
    }

    /// Changes the number of workers with the load. Returns the number before.
    pub(crate) fn scale(&mut self, to: usize, reason: ScaleReason, now: Instant) -> usize {
        let from = std::mem::replace(&mut self.target, to);
        if let Some(scaling) = &mut self.scaling {
            scaling.changed(from, reason, now);
        }
        from
    }

    /// Keeps a ready worker as a spare.
    pub(crate) fn keep_spare(&mut self, spare: Spare) {
        self.starting.remove(&spare.id);
        self.spares.push(spare);
    }

    /// Takes the oldest spare.
    pub(crate) fn take_spare(&mut self) -> Option<Spare> {
        (!self.spares.is_empty()).then(|| self.spares.remove(0))
    }

    /// Takes a spare that is gone out. `None` if no spare has this name.
    pub(crate) fn spare_gone(&mut self, id: &WorkerId, reason: &str) -> Option<Spare> {
        let index = self.spares.iter().position(|spare| spare.id == *id)?;
        self.stats.last_exit = Some(reason.to_owned());
        Some(self.spares.remove(index))
    }
}
