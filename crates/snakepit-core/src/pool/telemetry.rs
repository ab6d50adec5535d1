//! The settings of telemetry, for running workers and for those that start later.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::Pool;
use super::shared::Shared;
use crate::config::ConfigError;
use crate::id::WorkerId;
use crate::worker::{TelemetryControl, Worker};

/// The settings of a pool. The lock is held while they are sent, so that no worker keeps old ones.
#[derive(Debug, Default)]
pub(super) struct Settings(Mutex<TelemetryControl>);

impl Settings {
    pub(super) fn lock(&self) -> MutexGuard<'_, TelemetryControl> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Pool {
    /// Changes the records that workers report of their code, for running workers and for those
    /// that start later. Returns at once; workers follow when they have read the settings.
    ///
    /// # Errors
    /// A setting is out of range.
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

    /// The settings of telemetry of the pool's workers.
    pub fn telemetry(&self) -> TelemetryControl {
        self.shared().telemetry.lock().clone()
    }

    /// Changes the records that one worker reports of its code, until it ends or
    /// [`set_telemetry`](Self::set_telemetry) is called. Returns `false` if there is no ready
    /// worker of this name.
    ///
    /// # Errors
    /// A setting is out of range.
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
    /// Sends the settings to a worker that is ready: they may have changed while it started.
    pub(super) fn hand_on_telemetry(&self, worker: &dyn Worker) {
        set(worker, &self.telemetry.lock());
    }
}

/// Sends the settings to a worker. A panic in its implementation leaves it with the previous
/// settings.
fn set(worker: &dyn Worker, control: &TelemetryControl) {
    catch_unwind(AssertUnwindSafe(|| worker.set_telemetry(control))).ok();
}
