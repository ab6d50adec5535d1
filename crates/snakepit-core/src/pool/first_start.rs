//! The first start of a pool whose caller waits for it: the first failure counts.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::Pool;
use super::shared::Shared;
use crate::config::ConfigError;
use crate::pool::PoolConfig;
use crate::worker::WorkerProfile;

/// The start of a pool while its caller waits for it; made by [`Pool::start_or_fail`].
#[must_use = "dropping it ends the time in which the first failure counts"]
pub struct FirstStart {
    shared: Arc<Shared>,
}

impl Drop for FirstStart {
    fn drop(&mut self) {
        self.shared.first_start.store(false, Ordering::Relaxed);
    }
}

impl fmt::Debug for FirstStart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FirstStart")
            .field("pool", &self.shared.config.name)
            .finish_non_exhaustive()
    }
}

impl Pool {
    /// Starts a pool whose failed starts are all permanent until the guard is dropped. For a caller
    /// that waits for the start and needs the cause of its failure, not retries with growing
    /// pauses. A failed warm-up is a failed start.
    ///
    /// # Errors
    /// A setting is out of range.
    ///
    /// # Panics
    /// If there is no tokio runtime.
    pub fn start_or_fail(
        config: PoolConfig,
        profile: Arc<dyn WorkerProfile>,
    ) -> Result<(Self, FirstStart), ConfigError> {
        let pool = Self::start_as(config, profile, true)?;
        let shared = Arc::clone(pool.shared());
        Ok((pool, FirstStart { shared }))
    }
}

impl Shared {
    /// Returns true if a failed start must not be retried now.
    pub(super) fn first_start_counts(&self) -> bool {
        self.first_start.load(Ordering::Relaxed)
    }
}
