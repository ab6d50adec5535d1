//! The settings of telemetry, for workers that run and those that start later.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::Pool;
use super::shared::Shared;
use crate::{ConfigError, TelemetryControl, Worker, WorkerId};

/// The settings of a pool. The lock is held while they are handed on, so that no worker is left with old ones.
#[derive(Debug, Default)]
pub(super) struct Settings(Mutex<TelemetryControl>);

impl Settings {
    pub(super) fn lock(&self) -> MutexGuard<'_, TelemetryControl> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Pool {
    /// Changes what workers report of their code, in those that run and those that start later. It returns at once; workers follow when they
    /// have read it.
    ///
    /// # Errors
    /// A setting that is out of range.
    pub fn set_telemetry(&self, control: TelemetryControl) -> Result<(), ConfigError> {
        control.validate()?;
        let shared = self.shared();
        let mut settings = shared.telemetry.lock();
        *settings = control;
        let workers: Vec<_> = {
            let state = shared.lock();
            let ready = state.workers.iter().map(|(_, live)| &live.worker);
            let spares = state.spares.iter().map(|spare| &spare.worker);
            ready.chain(spares).cloned().collect()
        };
        for worker in workers {
            set(&*worker, &settings);
        }
        Ok(())
    }

    /// The settings of telemetry that workers of the pool have.
    pub fn telemetry(&self) -> TelemetryControl {
        self.shared().telemetry.lock().clone()
    }

    /// Changes what one worker reports of its code, until it ends or [`set_telemetry`](Self::set_telemetry) is called. Returns `false` if
    /// there is no ready worker of this name.
    ///
    /// # Errors
    /// A setting that is out of range.
    pub fn set_worker_telemetry(
        &self,
        worker: &WorkerId,
        control: &TelemetryControl,
    ) -> Result<bool, ConfigError> {
        control.validate()?;
        let _settings = self.shared().telemetry.lock();
        let worker = self.shared().worker(worker);
        if let Some(worker) = &worker {
            set(&**worker, control);
        }
        Ok(worker.is_some())
    }
}

impl Shared {
    /// A worker is ready: the settings may have changed while it started.
    pub(super) fn hand_on_telemetry(&self, worker: &dyn Worker) {
        set(worker, &self.telemetry.lock());
    }
}

/// The implementation of a worker is foreign code; a panic in it leaves the worker with the settings that it had.
fn set(worker: &dyn Worker, control: &TelemetryControl) {
    catch_unwind(AssertUnwindSafe(|| worker.set_telemetry(control))).ok();
}
