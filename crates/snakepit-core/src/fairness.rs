//! In which order waiting calls get slots.

use std::fmt;

use serde::{Deserialize, Serialize};

/// In which order waiting calls get slots.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fairness {
    /// First come, first served.
    #[default]
    Fifo,
    /// Sessions take turns, or what [`CallOptions::fair_key`](crate::CallOptions::fair_key) names instead. Each gets the same time on the
    /// workers as long as it has calls that wait, however many; calls with neither share one turn.
    Session,
}

impl Fairness {
    /// Its name: `fifo` or `session`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Fifo => "fifo",
            Self::Session => "session",
        }
    }
}

impl fmt::Display for Fairness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
