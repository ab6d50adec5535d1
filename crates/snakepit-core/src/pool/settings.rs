//! The settings of telemetry, as workers get them.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::worker::{TelemetryControl, Worker};

/// The settings of a pool. The lock is held while they are sent, so that no worker keeps old ones.
#[derive(Debug, Default)]
pub(super) struct Settings(Mutex<TelemetryControl>);

impl Settings {
    pub(super) fn lock(&self) -> MutexGuard<'_, TelemetryControl> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends the settings to a worker that is ready: they may have changed while it started.
    pub(super) fn hand_on(&self, worker: &dyn Worker) {
        set(worker, &self.lock());
    }
}

/// Sends the settings to a worker. A panic in its implementation leaves it with the previous
/// settings.
pub(super) fn set(worker: &dyn Worker, control: &TelemetryControl) {
    catch_unwind(AssertUnwindSafe(|| worker.set_telemetry(control))).ok();
}
