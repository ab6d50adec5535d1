//! Errors of calls that a pool itself rejects, as functions of its name.

use std::sync::Arc;
use std::time::Duration;

use super::state::Unavailable;
use crate::error::{Error, Phase, StartError};
use crate::id::PoolName;
use crate::schedule::Lost;

pub(super) fn closed(pool: &PoolName) -> Error {
    Error::Closed(pool.clone())
}

pub(super) fn start(pool: &PoolName, error: &Arc<StartError>) -> Error {
    Error::Start {
        pool: pool.clone(),
        source: Box::new(StartError::clone(error)),
    }
}

pub(super) fn timeout(pool: &PoolName, phase: Phase, after: Duration) -> Error {
    Error::Timeout {
        pool: pool.clone(),
        phase,
        after,
        stacks: None,
    }
}

/// Returns the error of a call that no worker can serve now.
pub(super) fn unavailable(pool: &PoolName, why: Unavailable) -> Error {
    match why {
        Unavailable::Closed => closed(pool),
        Unavailable::GaveUp(error) => start(pool, &error),
    }
}

/// Returns the error of a call whose session has lost its worker.
pub(super) fn lost(lost: Lost) -> Error {
    Error::AffinityLost {
        session: lost.session,
        worker: lost.worker,
        generation: lost.generation,
    }
}
