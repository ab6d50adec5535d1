//! The one place of this crate that reads a clock: monotonic, so steps of the wall clock do nothing.

use std::time::{Duration, Instant};

/// A point in time by which something must have happened.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Deadline {
    start: Instant,
    budget: Duration,
}

impl Deadline {
    #[expect(
        clippy::disallowed_methods,
        reason = "the calls of this crate block a thread of the caller, without an async clock"
    )]
    pub(crate) fn after(budget: Duration) -> Self {
        Self {
            start: Instant::now(),
            budget,
        }
    }

    /// Time since the start.
    pub(crate) fn elapsed(&self) -> Duration {
        self.start.elapsed()
    }

    /// Time left; zero when the deadline has passed.
    pub(crate) fn left(&self) -> Duration {
        self.budget.saturating_sub(self.elapsed())
    }

    pub(crate) fn passed(&self) -> bool {
        self.left().is_zero()
    }
}
