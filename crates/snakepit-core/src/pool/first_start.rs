//! While somebody waits for the start of a pool, the first failure counts.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::Pool;
use super::shared::Shared;
use crate::{ConfigError, PoolConfig, WorkerProfile};

/// The start of a pool, as long as somebody waits for it; made by [`Pool::start_or_fail`].
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
    /// Starts a pool whose failed starts are all permanent until the guard is dropped: for a caller who waits for the start and wants to
    /// know why it failed, not to see it tried again with growing pauses. A warm-up that fails is a failed start.
    ///
    /// # Errors
    /// A setting that is out of range.
    ///
    /// # Panics
    /// When there is no tokio runtime.
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
    /// A start that fails now is not to be tried again.
    pub(super) fn first_start_counts(&self) -> bool {
        self.first_start.load(Ordering::Relaxed)
    }
}
