//! What is wrong, why it matters, and one thing to do about it.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A problem, or an advice, that the figures of a report show.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Finding {
    /// Weight.
    pub severity: Severity,
    /// Stable name of the rule, for example `gil_held`.
    pub rule: String,
    /// Pool.
    pub pool: String,
    /// Worker. `None` if it is about the whole pool.
    pub worker: Option<String>,
    /// What is the case, with its figures.
    pub what: String,
    /// Why it matters.
    pub why: String,
    /// One thing to do.
    pub action: String,
}

/// The weight of a finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Severity {
    /// An advice.
    Advice,
    /// Calls are slower than they need be, or will be.
    Warning,
    /// Calls fail, or will soon.
    Critical,
}

impl Severity {
    /// One word for it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Advice => "advice",
            Self::Warning => "warning",
            Self::Critical => "critical",
        }
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.word())
    }
}
