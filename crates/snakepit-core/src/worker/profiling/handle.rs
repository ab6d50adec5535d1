//! A profile in progress.

use std::fmt;

use async_trait::async_trait;
use futures_util::future::join_all;

use super::{ProfileReport, UnprofiledWorker};
use crate::code::ErrorCode;
use crate::id::{PoolName, WorkerId};
use crate::printable::Printable;

/// A worker's part of a profile. Dropping it discards the samples.
#[async_trait]
pub trait Profiling: fmt::Debug + Send + Sync + 'static {
    /// Resolves when the sampling has reached its end, or the worker is gone.
    ///
    /// # Cancel safety
    /// Safe.
    async fn ended(&self);

    /// Ends the sampling, and reads the samples.
    ///
    /// # Errors
    /// The worker is gone or does not answer: one phrase.
    ///
    /// # Cancel safety
    /// Dropping the future discards the profile.
    async fn stop(self: Box<Self>) -> Result<ProfileReport, String>;
}

/// A profile in progress. Dropping it discards the samples.
#[derive(Debug)]
#[must_use = "the profile is discarded when this is dropped"]
pub struct ProfileHandle {
    pub(crate) running: Vec<(WorkerId, Box<dyn Profiling>)>,
    /// Workers that cannot be profiled.
    pub(crate) unprofiled: Vec<UnprofiledWorker>,
}

impl ProfileHandle {
    /// Resolves when the sampling has ended in all workers: because its duration is over, or the
    /// profiled call has ended.
    ///
    /// # Cancel safety
    /// Safe.
    pub async fn ended(&self) {
        join_all(self.running.iter().map(|(_, one)| one.ended())).await;
    }

    /// Ends the sampling and reads the samples. Workers that are gone are listed in
    /// [`ProfileReport::unprofiled`].
    ///
    /// # Cancel safety
    /// Dropping the future discards the profile.
    pub async fn stop(self) -> ProfileReport {
        let mut report = ProfileReport {
            unprofiled: self.unprofiled,
            ..ProfileReport::default()
        };
        let stopped = self.running.into_iter().map(|(worker, one)| async move {
            let read = one.stop().await;
            (worker, read)
        });
        for (worker, read) in join_all(stopped).await {
            match read {
                Ok(mut part) => {
                    for thread in &mut part.threads {
                        worker.as_str().clone_into(&mut thread.worker);
                    }
                    for one in &mut part.unprofiled {
                        worker.as_str().clone_into(&mut one.worker);
                    }
                    report.add(part);
                }
                Err(reason) => report.unprofiled.push(UnprofiledWorker {
                    worker: worker.as_str().to_owned(),
                    reason,
                }),
            }
        }
        report
    }
}

/// The reason why a profile cannot be made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ProfileError {
    /// No ready worker has this name.
    #[error("pool `{pool}` has no ready worker `{worker}`")]
    UnknownWorker {
        /// The pool.
        pool: PoolName,
        /// The requested name.
        worker: WorkerId,
    },
    /// The pool has no ready worker.
    #[error("pool `{pool}` has no ready worker")]
    NoWorkers {
        /// The pool.
        pool: PoolName,
    },
    /// The worker cannot be profiled.
    #[error("worker `{worker}` cannot be profiled: {}", Printable(reason))]
    Unavailable {
        /// The worker.
        worker: WorkerId,
        /// The reason.
        reason: String,
    },
}

impl ProfileError {
    /// The stable code.
    pub const fn code(&self) -> ErrorCode {
        match self {
            Self::UnknownWorker { .. } | Self::NoWorkers { .. } => ErrorCode::UnknownWorker,
            Self::Unavailable { .. } => ErrorCode::NoProfile,
        }
    }

    /// One thing to do.
    pub const fn help(&self) -> &'static str {
        match self {
            Self::UnknownWorker { .. } => "list the names with `Pool::workers`",
            Self::NoWorkers { .. } => "wait with `Pool::await_ready`",
            Self::Unavailable { .. } => {
                "capture its stacks with `Pool::stacks` instead, which works without the profiler"
            }
        }
    }
}
