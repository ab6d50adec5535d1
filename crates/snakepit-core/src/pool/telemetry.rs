//! The settings of telemetry, for running workers and for those that start later.

use super::Pool;
use super::settings::set;
use crate::config::ConfigError;
use crate::id::WorkerId;
use crate::worker::TelemetryControl;

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
        let workers = shared.lock().all_workers();
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
