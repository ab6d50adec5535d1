//! The events that report the start and the replacement of a worker.

use std::time::Duration;

use super::Supervisor;
use crate::events::emit;
use crate::id::WorkerId;
use crate::pool::upkeep::past::Past;
use crate::worker::Worker;

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

impl Supervisor {
    /// Reports that all workers are ready for the first time.
    pub(super) fn report_complete(&self, workers: usize) {
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
    pub(super) fn report_started(&self, id: &WorkerId, worker: &dyn Worker) {
        let began = self.shared.lock().start_of(id);
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
    pub(super) fn report_recycled(
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
