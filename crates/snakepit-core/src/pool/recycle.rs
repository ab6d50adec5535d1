//! Replacing workers before they fail: when, how many at once, and what people see of it.

mod budget;
mod error;
mod limits;
mod settings;
mod trend;

use serde::Serialize;

pub use budget::RecycleBudget;
pub(super) use budget::{Member, Token};
pub use error::RecycleError;
pub(super) use limits::OwnLimits;
pub use settings::{RecycleConfig, RecycleMode};
use trend::Trend;
pub use trend::{MemoryDecision, MemoryStatus};

/// Why a worker is replaced although it lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum RecycleReason {
    /// Somebody asked for it.
    Manual,
    /// It has answered as many calls as it may.
    Requests,
    /// It is as old as it may become.
    Age,
    /// It has more memory than it may.
    Memory,
    /// Its memory grows and would soon be more than it may have.
    Growth,
    /// A cancelled call cannot be stopped, and other calls run in the worker.
    Stuck,
    /// A cancelled call was stopped by an exception where that may have left an unknown state.
    Interrupted,
    /// Its health checks fail.
    Unhealthy,
}

impl RecycleReason {
    /// Its name, for example `requests`.
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

    /// Its word in events.
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
