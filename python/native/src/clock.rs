//! The one place that reads the clock.

use std::time::Instant;

/// Now, on the monotonic clock.
#[expect(
    clippy::disallowed_methods,
    reason = "the runtime measures real time; nothing here runs on a paused clock"
)]
pub(crate) fn now() -> Instant {
    Instant::now()
}
