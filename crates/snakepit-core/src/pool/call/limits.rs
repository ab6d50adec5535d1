//! Deadlines of calls in the queue and on the worker.

use std::time::Duration;

use tokio::time::Instant;

use crate::call::CallOptions;
use crate::pool::PoolConfig;
use crate::schedule::Patience;

/// A moment, and the time that leads to it.
pub(crate) type Limit = (Instant, Duration);

/// Deadlines of a call in the queue and on the worker. Both count from its admission.
#[derive(Clone, Debug)]
pub(crate) struct Limits {
    /// Time at which the call was made.
    from: Instant,
    pub(crate) queue: Limit,
    pub(crate) call: Option<Limit>,
}

impl Limits {
    /// Returns the limits of a call that is made now.
    pub(crate) fn new(config: &PoolConfig, tool: &str, options: &CallOptions) -> Self {
        Self::made_at(Instant::now(), config, tool, options, false)
    }

    /// Returns the limits of a call that is made at `now`.
    pub(crate) fn made_at(
        now: Instant,
        config: &PoolConfig,
        tool: &str,
        options: &CallOptions,
        stream: bool,
    ) -> Self {
        let time = config.time_of(tool, options, stream);
        let call = time.and_then(|time| Self::limit(now, time));
        Self::within(call, now, config.wait_of(tool, options))
    }

    /// Returns the limits of a call that has a slot already and may run until `at`, for `time` in
    /// all.
    pub(crate) fn until(at: Instant, time: Duration) -> Self {
        Self::within(Some((at, time)), Instant::now(), Duration::ZERO)
    }

    /// Returns the limits of a further attempt: another turn in the queue, the same deadline.
    pub(crate) fn again(&self, wait: Duration) -> Self {
        Self::within(self.call, Instant::now(), wait)
    }

    fn within(call: Option<Limit>, now: Instant, wait: Duration) -> Self {
        let far = Duration::from_secs(365 * 24 * 3600);
        let queue = Self::limit(now, wait).unwrap_or((now + far, far));
        let queue = call.filter(|call| call.0 < queue.0).unwrap_or(queue);
        Self {
            from: now,
            queue,
            call,
        }
    }

    /// Returns the deadline. `None` if the time is too long for the clock.
    fn limit(now: Instant, time: Duration) -> Option<Limit> {
        now.checked_add(time).map(|at| (at, time))
    }

    /// Time at which the call was made.
    pub(crate) const fn from(&self) -> Instant {
        self.from
    }

    /// Returns the time limit of the call if it was over before the call began.
    pub(crate) fn over(&self) -> Option<Duration> {
        let (until, after) = self.call?;
        (until <= self.from).then_some(after)
    }

    /// Returns the longest times that the call can wait.
    pub(crate) fn patience(&self) -> Patience {
        let left = |until: Instant| until.saturating_duration_since(self.from);
        Patience {
            now: self.from,
            queue: left(self.queue.0),
            whole: self.call.map(|(until, _)| left(until)),
        }
    }
}
