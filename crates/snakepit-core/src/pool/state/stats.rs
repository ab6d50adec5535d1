//! Counters of a pool, kept under its lock so that they always add up.

use std::time::Duration;

use hdrhistogram::Histogram;

use crate::pool::status::CancelStats;
use crate::worker::CancelStep;

/// The outcome of one call, for the counters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Ok,
    Error,
    QueueTimeout,
    CallTimeout,
    Cancelled,
}

/// Every call is in `requests` and, once it has ended, in exactly one of the other counters except
/// `queued`.
#[derive(Debug)]
pub(crate) struct Stats {
    pub(crate) requests: u64,
    pub(crate) succeeded: u64,
    pub(crate) errors: u64,
    pub(crate) saturated: u64,
    pub(crate) queue_timeouts: u64,
    pub(crate) call_timeouts: u64,
    pub(crate) cancelled: u64,
    /// Calls that had to wait, whatever their outcome.
    pub(crate) queued: u64,
    /// Steps that ended the tools of abandoned calls.
    pub(crate) stops: CancelStats,
    /// Calls rejected by the quarantine; also in `errors`.
    pub(crate) quarantined: u64,
    /// Repeated calls; also in `requests`.
    pub(crate) retries: u64,
    /// Calls rejected by a circuit breaker; also in `errors`.
    pub(crate) circuit_open: u64,
    pub(crate) restarts: u64,
    pub(crate) start_failures: u64,
    pub(crate) recycled: u64,
    pub(crate) recycle_failures: u64,
    pub(crate) recycle_error: Option<String>,
    pub(crate) heartbeat_misses: u64,
    pub(crate) heartbeat_kills: u64,
    pub(crate) health_failures: u64,
    pub(crate) last_exit: Option<String>,
    /// Number and total wait of the calls that waited and got a slot since the last scaling
    /// decision.
    pub(crate) recent: (u32, Duration),
    /// Times in microseconds.
    pub(crate) service: Histogram<u64>,
    pub(crate) waits: Histogram<u64>,
}

impl Stats {
    pub(crate) fn new() -> Self {
        // One day in microseconds with two digits: about 30 kB each.
        let histogram = || {
            Histogram::new_with_bounds(1, 24 * 3600 * 1_000_000, 2).expect("the bounds are valid")
        };
        Self {
            requests: 0,
            succeeded: 0,
            errors: 0,
            saturated: 0,
            queue_timeouts: 0,
            call_timeouts: 0,
            cancelled: 0,
            queued: 0,
            stops: CancelStats::default(),
            quarantined: 0,
            retries: 0,
            circuit_open: 0,
            restarts: 0,
            start_failures: 0,
            recycled: 0,
            recycle_failures: 0,
            recycle_error: None,
            heartbeat_misses: 0,
            heartbeat_kills: 0,
            health_failures: 0,
            last_exit: None,
            recent: (0, Duration::ZERO),
            service: histogram(),
            waits: histogram(),
        }
    }

    /// Counts `items` calls that ended in the same way, after `time` together on a worker.
    pub(crate) fn record(&mut self, outcome: Outcome, items: u64, time: Duration) {
        let counter = match outcome {
            Outcome::Ok => &mut self.succeeded,
            Outcome::Error => &mut self.errors,
            Outcome::QueueTimeout => &mut self.queue_timeouts,
            Outcome::CallTimeout => &mut self.call_timeouts,
            Outcome::Cancelled => &mut self.cancelled,
        };
        *counter += items;
        if outcome == Outcome::Ok && items > 0 {
            self.service
                .saturating_record_n(micros(time) / items, items);
        }
    }

    /// Counts the step that ended the tool of an abandoned call.
    pub(crate) fn stopped(&mut self, step: CancelStep) {
        let stops = &mut self.stops;
        let counter = match step {
            CancelStep::Flag => &mut stops.flag,
            CancelStep::Task => &mut stops.task,
            CancelStep::Exception => &mut stops.exception,
            CancelStep::Interrupt => &mut stops.interrupt,
            CancelStep::Again => &mut stops.again,
            CancelStep::Kill => &mut stops.kill,
        };
        *counter += 1;
    }

    pub(crate) fn waited(&mut self, time: Duration) {
        self.waits.saturating_record(micros(time));
        let (calls, times) = self.recent;
        self.recent = (calls.saturating_add(1), times.saturating_add(time));
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}
