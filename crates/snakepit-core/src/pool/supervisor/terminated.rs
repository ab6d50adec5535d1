//! The events that report the start, the replacement and the end of a worker.

use std::time::Duration;

use tokio::time::Instant;

use super::Supervisor;
use crate::error::Death;
use crate::events::emit;
use crate::id::WorkerId;
use crate::pool::shared::Shared;
use crate::pool::workers::Live;
use crate::printable::Printable;
use crate::worker::{Worker, WorkerExit};

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// The life of a worker, as events report it.
pub(in crate::pool) struct Past {
    worker: WorkerId,
    age: Duration,
    calls: u64,
    memory: Option<u64>,
}

impl Past {
    pub(in crate::pool) fn of(live: &Live) -> Self {
        Self {
            worker: live.id.clone(),
            age: live.ready.elapsed(),
            calls: live.calls,
            memory: live
                .limits
                .memory(Instant::now(), live.calls)
                .map(|it| it.bytes),
        }
    }

    /// Returns the life of a spare worker, which had no calls.
    pub(in crate::pool) fn of_spare(worker: &WorkerId, age: Duration) -> Self {
        Self {
            worker: worker.clone(),
            age,
            calls: 0,
            memory: None,
        }
    }
}

impl Supervisor {
    /// Reports that all workers are ready for the first time.
    pub(super) fn tell_complete(&self, workers: usize) {
        emit!(
            self.shared.hub,
            PoolInitComplete {
                pool: self.shared.config.name.clone(),
                workers: workers as u64,
                duration_ms: millis(self.began.elapsed()),
            }
        );
    }

    /// Reports that a worker is ready.
    pub(super) fn tell_started(&self, id: &WorkerId, worker: &dyn Worker) {
        let began = self.shared.lock().starting.get(id).copied();
        let startup = began.map_or(Duration::ZERO, |began| began.elapsed());
        emit!(
            self.shared.hub,
            WorkerStarted {
                pool: self.shared.config.name.clone(),
                worker: id.clone(),
                pid: worker.info().pid,
                startup_ms: millis(startup),
                profile: self.profile.name(),
                capacity: self.shared.slots.into(),
            }
        );
    }

    /// Reports the replacement of a worker, for a reason of `RecycleReason` or because it died.
    pub(super) fn tell_recycled(
        &self,
        past: Past,
        reason: &'static str,
        replacement: Option<&WorkerId>,
    ) {
        emit!(
            self.shared.hub,
            WorkerRecycled {
                pool: self.shared.config.name.clone(),
                worker: past.worker,
                reason,
                replacement: replacement.cloned(),
                uptime_seconds: past.age.as_secs_f64(),
                request_count: past.calls,
                memory_bytes: past.memory,
            }
        );
    }
}

impl Shared {
    /// Reports the end of a worker.
    pub(in crate::pool) fn tell_end(&self, past: &Past, exit: &WorkerExit, planned: bool) {
        if !planned {
            emit!(
                self.hub,
                WorkerCrashed {
                    pool: self.config.name.clone(),
                    worker: past.worker.clone(),
                    exit: Printable(&exit.reason).to_string(),
                    cause: Death::of(exit).word(),
                    total_calls: past.calls,
                }
            );
        }
        emit!(
            self.hub,
            WorkerTerminated {
                pool: self.config.name.clone(),
                worker: past.worker.clone(),
                reason: Printable(&exit.reason).to_string(),
                planned,
                lifetime: past.age.as_secs_f64(),
                total_calls: past.calls,
            }
        );
    }
}
