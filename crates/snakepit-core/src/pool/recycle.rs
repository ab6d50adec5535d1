//! Replacement of workers before they fail: its conditions, its pace, and its status.

mod budget;
mod error;
mod limits;
mod settings;
mod trend;

use serde::Serialize;

pub use budget::RecycleBudget;
pub(super) use budget::{Member, Token};
pub use error::RecycleError;
pub(super) use limits::RecycleLimits;
pub use settings::{RecycleConfig, RecycleMode};
use trend::MemoryTrend;
pub use trend::{MemoryDecision, MemoryStatus};

/// The reason why a live worker is replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum RecycleReason {
    /// A user requested it.
    Manual,
    /// The worker has reached its limit of calls.
    Requests,
    /// The worker has reached its limit of age.
    Age,
    /// The worker exceeds its limit of memory.
    Memory,
    /// The worker's memory grows and would soon exceed its limit.
    Growth,
    /// A cancelled call cannot be stopped, and other calls run in the worker.
    Stuck,
    /// A cancelled call was stopped by an exception, which may have left an unknown state.
    Interrupted,
    /// The worker's health checks fail.
    Unhealthy,
}

impl RecycleReason {
    /// Returns the name, for example `requests`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Manual => "manual",
            Self::Requests => "requests",
            Self::Age => "age",
            Self::Memory => "memory",
            Self::Growth => "growth",
            Self::Stuck => "stuck",
            Self::Interrupted => "interrupted",
            Self::Unhealthy => "unhealthy",
        }
    }

    /// Returns the word for it in events.
    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::Requests => "max_requests",
            Self::Age => "ttl_expired",
            Self::Memory => "memory_threshold",
            Self::Growth => "memory_growth",
            other => other.name(),
        }
    }
}
