//! The status of a pool's growing and shrinking.

use serde::Serialize;
use tokio::time::Instant;

use crate::policy::{AutoscalePolicy, ScaleReason};

/// The growing and shrinking of a pool with its load.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Scaling {
    /// Fewest workers.
    pub min: usize,
    /// Largest number of workers.
    pub max: usize,
    /// Number of times it has grown.
    pub grown: u64,
    /// Number of times it has shrunk.
    pub shrunk: u64,
    /// Workers before the last change.
    pub from: Option<usize>,
    /// Reason of the last change.
    pub reason: Option<ScaleReason>,
    /// Milliseconds since the last change.
    pub ago_ms: Option<u64>,
    #[serde(skip)]
    at: Option<Instant>,
}

impl Scaling {
    pub(super) const fn new(policy: &AutoscalePolicy) -> Self {
        Self {
            min: policy.min,
            max: policy.max,
            grown: 0,
            shrunk: 0,
            from: None,
            reason: None,
            ago_ms: None,
            at: None,
        }
    }

    pub(super) fn changed(&mut self, from: usize, reason: ScaleReason, now: Instant) {
        match reason {
            ScaleReason::Delay => self.grown += 1,
            ScaleReason::Idle => self.shrunk += 1,
        }
        (self.from, self.reason, self.at) = (Some(from), Some(reason), Some(now));
    }

    /// Returns the status as seen now.
    pub(super) fn seen(&self, now: Instant) -> Self {
        let ago = self.at.map(|at| now.saturating_duration_since(at));
        let ago_ms = ago.map(|ago| u64::try_from(ago.as_millis()).unwrap_or(u64::MAX));
        Self {
            ago_ms,
            ..self.clone()
        }
    }
}
