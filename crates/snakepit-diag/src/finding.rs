//! Findings: a problem, its reason, and one thing to do about it.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A problem, or advice, derived from the figures of a report.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Finding {
    /// Severity.
    pub severity: Severity,
    /// Stable name of the rule, for example `gil_held`.
    pub rule: String,
    /// The pool's name.
    pub pool: String,
    /// The worker's id. `None` if the finding concerns the whole pool.
    pub worker: Option<String>,
    /// The facts, with their figures.
    pub what: String,
    /// The reason why they matter.
    pub why: String,
    /// One thing to do.
    pub action: String,
}

/// Severity of a finding. The order is ascending.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Severity {
    /// An improvement; nothing is wrong.
    Advice,
    /// Calls are slower than necessary, or will be.
    Warning,
    /// Calls fail, or will soon.
    Critical,
}

impl Severity {
    /// Returns the word for the severity.
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
