//! The order in which waiting calls get slots.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The order in which waiting calls get slots.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Fairness {
    /// First come, first served.
    #[default]
    Fifo,
    /// Sessions take turns, or the keys given in
    /// [`CallOptions::fair_key`](crate::call::CallOptions::fair_key). While calls of several keys
    /// wait, each key gets the same time on the workers, however many calls it has. Calls with
    /// neither share one turn.
    Session,
}

impl Fairness {
    /// Returns the name: `fifo` or `session`.
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
