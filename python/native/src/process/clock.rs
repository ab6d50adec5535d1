//! The one place that reads the clock.

use std::time::{Duration, Instant};

/// Returns the present time of the monotonic clock.
#[expect(
    clippy::disallowed_methods,
    reason = "the runtime measures real time; nothing here runs on a paused clock"
)]
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// Returns the time until a moment; zero if it has passed.
pub(crate) fn until(moment: Instant) -> Duration {
    moment.saturating_duration_since(now())
}
