//! Errors of calls that the pool itself rejects.

use std::sync::Arc;
use std::time::Duration;

use super::shared::Shared;
use crate::error::{Error, Phase, StartError};
use crate::schedule::Lost;

impl Shared {
    pub(super) fn closed(&self) -> Error {
        Error::Closed(self.config.name.clone())
    }

    pub(super) fn start_error(&self, error: &Arc<StartError>) -> Error {
        Error::Start {
            pool: self.config.name.clone(),
            source: Box::new(StartError::clone(error)),
        }
    }

    /// Returns the error if not all workers became ready within `limit`; it includes a failed
    /// start.
    pub(super) fn not_ready(&self, limit: Duration) -> Error {
        let failed = self.lock().failed_start.clone();
        match failed {
            Some(error) => self.start_error(&error),
            None => self.timeout(Phase::Start, limit),
        }
    }

    pub(super) fn timeout(&self, phase: Phase, after: Duration) -> Error {
        Error::Timeout {
            pool: self.config.name.clone(),
            phase,
            after,
            stacks: None,
        }
    }
}

/// Returns the error of a call whose session has lost its worker.
pub(super) fn lost_error(lost: Lost) -> Error {
    Error::AffinityLost {
        session: lost.session,
        worker: lost.worker,
        generation: lost.generation,
    }
}
