//! The limit of lines per second, and the number of lines beyond it.

use std::time::Duration;

use tokio::time::{Instant, sleep_until};

/// Maximum number of lines of one worker that are logged per second.
const LINES_PER_SECOND: u32 = 1000;

/// The time for which lines are counted.
const SECOND: Duration = Duration::from_secs(1);

/// Counts the lines of the current second.
#[derive(Default)]
pub(super) struct Window {
    start: Option<Instant>,
    lines: u32,
    /// Lines that are not in the log.
    pub(super) dropped: u64,
    /// Lines that are not among the last lines of the host.
    pub(super) unkept: u64,
}

impl Window {
    /// Counts a line. Returns whether it is within the limit.
    pub(super) fn admit(&mut self, now: Instant) -> bool {
        if self.start.is_none() || self.is_over(now) {
            self.start = Some(now);
            self.lines = 0;
        }
        self.lines += 1;
        self.lines <= LINES_PER_SECOND
    }

    /// Returns whether a second has begun, and has passed.
    pub(super) fn is_over(&self, now: Instant) -> bool {
        self.start
            .is_some_and(|start| now.saturating_duration_since(start) >= SECOND)
    }

    /// Waits until the second is over, if lines of it are to be reported as not kept.
    pub(super) async fn over(&self) {
        match self.start {
            Some(start) if self.unkept > 0 => sleep_until(start + SECOND).await,
            _ => std::future::pending().await,
        }
    }

    /// Returns the number of dropped lines, once per second and at the end.
    pub(super) fn report(&mut self, now: Instant, at_end: bool) -> Option<u64> {
        let due = at_end || self.start.is_none() || self.is_over(now);
        (due && self.dropped > 0).then(|| std::mem::take(&mut self.dropped))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_rate_is_capped_per_second() {
        let mut window = Window::default();
        let now = Instant::now();
        let admitted = (0..2000).filter(|_| window.admit(now)).count();
        assert_eq!(admitted, LINES_PER_SECOND as usize);
        window.dropped = 5;
        assert_eq!(window.report(now, false), None);
        let later = now + Duration::from_secs(1);
        assert_eq!(window.report(later, false), Some(5));
        assert!(window.admit(later));
    }
}
