//! Workers that come and go.

use std::sync::Arc;

use super::{Effects, PoolCore, ReadyWorker, Tools};
use crate::error::StartError;
use crate::id::WorkerId;
use crate::schedule::{Added, WorkerKey};
use crate::worker::Worker;

impl PoolCore {
    /// Adds a ready worker; waiting calls get its slots. `None` if the pool is closing.
    pub(crate) fn add(
        &mut self,
        live: ReadyWorker,
        tools: Arc<Tools>,
    ) -> Option<(WorkerKey, Effects)> {
        self.starting.remove(&live.id);
        if self.closing {
            return None;
        }
        (self.gave_up, self.failed_start) = (None, None);
        self.tools = Some(tools);
        let Added { key, wakes, lost } = self.scheduler.add_named(self.slots, live.id.clone());
        if live.ahead {
            self.scheduler.let_ahead(key);
        }
        self.workers.insert(key, live);
        let effects = Effects {
            lost,
            changed: true,
            ..self.woken(wakes)
        };
        Some((key, effects))
    }

    /// Removes a worker from the schedule.
    pub(crate) fn remove(&mut self, key: WorkerKey) -> Effects {
        if let Some(quarantine) = &mut self.quarantine
            && let Some(calls) = self.scheduler.in_use_of(key)
        {
            quarantine.gone(key, calls);
        }
        Effects {
            lost: self.scheduler.remove(key),
            changed: true,
            ..Effects::default()
        }
    }

    /// Removes a worker that died from the schedule; its slots are void.
    pub(crate) fn lose(&mut self, key: WorkerKey) -> Effects {
        if let Some(live) = self.workers.get_mut(key) {
            live.lost = true;
        }
        self.remove(key)
    }

    /// Returns the ready worker of this name.
    pub(crate) fn worker(&self, id: &WorkerId) -> Option<Arc<dyn Worker>> {
        let mut workers = self.workers.iter().map(|(_, live)| live);
        let live = workers.find(|live| live.id == *id)?;
        Some(Arc::clone(&live.worker))
    }

    /// Returns the worker of this name that is not draining.
    pub(crate) fn serving(&self, id: &WorkerId) -> Option<WorkerKey> {
        let mut workers = self.workers.iter();
        let found = workers.find(|(_, live)| live.id == *id && !live.draining);
        found.map(|(key, _)| key)
    }

    /// Number of slots of the workers that take calls.
    pub(crate) fn capacity(&self) -> usize {
        self.scheduler.capacity()
    }

    /// Returns the error of the last start. `None` once a worker is ready again.
    pub(crate) fn failed_start(&self) -> Option<Arc<StartError>> {
        self.failed_start.clone()
    }

    /// Takes a worker that does not respond out of service for now.
    pub(crate) fn pause(&mut self, key: WorkerKey) -> Effects {
        self.scheduler.pause(key);
        self.recall_effects(key)
    }

    /// Returns a paused worker to service. Waiting calls get its slots.
    pub(crate) fn resume(&mut self, key: WorkerKey) -> Effects {
        let resumed = self.scheduler.resume(key);
        Effects {
            lost: resumed.lost,
            ..self.woken(resumed.wakes)
        }
    }
}
