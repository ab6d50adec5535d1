//! The life of a worker, as the events of its end report it.

use std::time::Duration;

use tokio::time::Instant;

use crate::error::Death;
use crate::events::emit;
use crate::id::WorkerId;
use crate::pool::shared::Shared;
use crate::pool::state::ReadyWorker;
use crate::printable::Printable;
use crate::worker::WorkerExit;

/// The life of a worker, as events report it.
pub(super) struct Past {
    pub(super) worker: WorkerId,
    pub(super) age: Duration,
    pub(super) calls: u64,
    pub(super) memory: Option<u64>,
}

impl Past {
    pub(super) fn of(live: &ReadyWorker) -> Self {
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
    pub(super) fn of_spare(worker: &WorkerId, age: Duration) -> Self {
        Self {
            worker: worker.clone(),
            age,
            calls: 0,
            memory: None,
        }
    }
}

impl Shared {
    /// Reports the end of a worker.
    pub(super) fn report_end(&self, past: &Past, exit: &WorkerExit, planned: bool) {
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
