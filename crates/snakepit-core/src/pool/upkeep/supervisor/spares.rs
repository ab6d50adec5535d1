//! Spare workers: one takes the place of a worker that died, at once.

use std::sync::Arc;

use tokio::time::Instant;

use super::Supervisor;
use crate::code::ErrorCode;
use crate::error::StartError;
use crate::events::emit;
use crate::id::WorkerId;
use crate::pool::foreign;
use crate::pool::recycle::RecycleMode;
use crate::pool::state::Spare;
use crate::pool::upkeep::past::Past;
use crate::worker::{Worker, WorkerExit};

impl Supervisor {
    /// Returns the number of missing workers. Workers that are replaced in place are not missing;
    /// other workers that are starting do not count as present.
    fn lacking(&self) -> usize {
        let state = self.shared.lock();
        let workers = state.workers();
        let serving = workers.filter(|(_, live)| !live.draining || live.in_place);
        let in_place = self.shared.config.recycle.mode == RecycleMode::InPlace;
        let coming = if in_place {
            self.recycling.replacing()
        } else {
            0
        };
        state.target().saturating_sub(serving.count() + coming)
    }

    /// Returns true if a worker that is now ready is to be a spare.
    pub(super) fn is_spare(&self, id: &WorkerId) -> bool {
        let room = self.shared.lock().census().spares < self.shared.config.spares;
        let in_place = self.shared.config.recycle.mode == RecycleMode::InPlace;
        let replaces = self.recycling.replaces(id) || in_place && self.recycling.knows(id);
        room && !replaces && self.lacking() == 0
    }

    /// Keeps a ready worker as a spare.
    pub(super) fn keep(&mut self, id: WorkerId, worker: Arc<dyn Worker>) {
        self.shared.lock().keep_spare(Spare {
            worker: Arc::clone(&worker),
            id: id.clone(),
            ready: Instant::now(),
        });
        self.shared.telemetry.hand_on(&*worker);
        self.replaced(&id);
        self.spare_watchers
            .spawn(async move { (id, foreign::closed(worker).await) });
    }

    /// Lets spares take the places of missing workers.
    pub(super) fn use_spares(&mut self) {
        if self.shared.config.spares == 0 {
            return;
        }
        for _ in 0..self.lacking() {
            let Some(Spare { worker, id, .. }) = self.shared.lock().take_spare() else {
                return;
            };
            // A closing pool takes no more workers; closing ends this one with the others.
            let Some(key) = self.shared.add(&id, &worker) else {
                let ready = Instant::now();
                let spare = Spare { worker, id, ready };
                self.shared.lock().keep_spare(spare);
                return;
            };
            let pool = self.shared.config.name.clone();
            emit!(self.shared.hub, PoolSpareUsed { pool, worker: id });
            self.watchers
                .spawn(async move { (key, foreign::closed(worker).await) });
        }
    }

    /// Handles the end of a spare. A former spare that is in use has another watcher.
    pub(super) fn spare_gone(&mut self, id: &WorkerId, exit: &WorkerExit) {
        let spare = self.shared.lock().spare_gone(id, &exit.reason);
        let Some(spare) = spare else {
            return;
        };
        let age = spare.ready.elapsed();
        self.shared
            .report_end(&Past::of_spare(id, age), exit, exit.expected);
        self.missing += 1;
        if !exit.expected {
            let message = format!("spare workers keep dying, the last one: {}", exit.reason);
            let mut error = StartError::new(ErrorCode::StartGaveUp, message);
            error.output.clone_from(&exit.output);
            error.exit = Some(exit.reason.clone());
            if age >= self.shared.config.restart.min_lifetime {
                self.mishap(error);
            } else {
                self.failed(error);
            }
        }
    }
}
