//! The only reader of the clock in this crate. The clock is monotonic, so steps of the wall clock
//! have no effect.

use std::time::{Duration, Instant};

/// A time budget that begins when the value is created.
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

    /// Returns the time since the start.
    pub(crate) fn elapsed(&self) -> Duration {
        self.start.elapsed()
    }

    /// Returns the time left; zero once the deadline has passed.
    pub(crate) fn left(&self) -> Duration {
        self.budget.saturating_sub(self.elapsed())
    }

    pub(crate) fn passed(&self) -> bool {
        self.left().is_zero()
    }
}
