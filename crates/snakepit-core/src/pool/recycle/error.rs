//! Errors of requested replacements.

use crate::code::ErrorCode;
use crate::error::StartError;
use crate::id::{PoolName, WorkerId};

/// The reason why [`Pool::recycle`](crate::pool::Pool::recycle) did not replace a worker.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RecycleError {
    /// No worker of this name takes calls, or it ended before it was replaced.
    #[error("no worker `{worker}` accepts calls in pool `{pool}`")]
    UnknownWorker {
        /// The pool.
        pool: PoolName,
        /// The requested name.
        worker: WorkerId,
    },
    /// The replacement did not start; the worker continues.
    #[error("worker `{worker}` cannot be replaced")]
    Failed {
        /// The worker.
        worker: WorkerId,
        /// The error of the start.
        #[source]
        source: Box<StartError>,
    },
    /// The pool is closed or closing.
    #[error("pool `{0}` is closed")]
    Closed(PoolName),
}

impl RecycleError {
    /// The stable code.
    pub const fn code(&self) -> ErrorCode {
        match self {
            Self::UnknownWorker { .. } => ErrorCode::UnknownWorker,
            Self::Failed { source, .. } => source.code,
            Self::Closed(_) => ErrorCode::Closed,
        }
    }
}
