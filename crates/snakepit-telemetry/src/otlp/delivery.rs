//! The state of the delivery to collectors: waiting and lost records, and one warning.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use snakepit_core::printable::Printable;
use tokio::time::Instant;

use super::rejected::Rejected;
use crate::{Metrics, OtlpConfig};

/// Shortest time between two warnings about the same collector.
const QUIET: Duration = Duration::from_secs(60);

/// Characters of a collector's text that are shown.
const SHOWN: usize = 200;

/// The delivery of one signal.
#[derive(Debug)]
pub(super) struct Delivery {
    signal: &'static str,
    collector: Arc<Collector>,
    metrics: Metrics,
    records: AtomicUsize,
    bytes: AtomicUsize,
    most: (usize, usize),
    full: AtomicBool,
    closed: AtomicBool,
}

/// A collector, identified by its endpoint.
#[derive(Debug)]
pub(super) struct Collector {
    endpoint: String,
    state: Mutex<DeliveryState>,
}

#[derive(Debug, Default)]
struct DeliveryState {
    /// The last error of each signal whose export is failing.
    failing: BTreeMap<&'static str, String>,
    warned: Option<Instant>,
}

/// The change of state that the end of a request causes.
#[derive(Debug, PartialEq, Eq)]
enum Change {
    None,
    Fails,
    Works,
}

impl Collector {
    pub(super) fn new(endpoint: &str) -> Arc<Self> {
        Arc::new(Self {
            endpoint: endpoint.to_owned(),
            state: Mutex::default(),
        })
    }

    fn change(&self, signal: &'static str, error: Option<&str>, now: Instant) -> Change {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(error) = error else {
            let failed = state.failing.remove(signal).is_some();
            let works = failed && state.failing.is_empty();
            return if works { Change::Works } else { Change::None };
        };
        // An error that another signal has reported already is not reported again.
        let known = state.failing.values().any(|known| known == error);
        state.failing.insert(signal, error.to_owned());
        let quiet = state.warned.is_some_and(|at| now < at + QUIET);
        if known || quiet {
            return Change::None;
        }
        state.warned = Some(now);
        Change::Fails
    }
}

impl Delivery {
    pub(super) fn new(
        signal: &'static str,
        collector: Arc<Collector>,
        metrics: Metrics,
        config: &OtlpConfig,
    ) -> Arc<Self> {
        Arc::new(Self {
            signal,
            collector,
            metrics,
            records: AtomicUsize::new(0),
            bytes: AtomicUsize::new(0),
            most: (config.queue, config.queue_bytes),
            full: AtomicBool::new(false),
            closed: AtomicBool::new(false),
        })
    }

    /// Reserves room in the queue for a record and returns the number of waiting records. `None` if
    /// there is no room; the record is then counted as dropped.
    pub(super) fn admit(&self, bytes: usize) -> Option<usize> {
        let (most_records, most_bytes) = self.most;
        let records = self.records.fetch_add(1, Ordering::Relaxed);
        let waiting = self.bytes.fetch_add(bytes, Ordering::Relaxed);
        if records < most_records && waiting.saturating_add(bytes) <= most_bytes {
            return Some(records + 1);
        }
        self.release(1, bytes);
        self.metrics.dropped(self.signal, "queue_full", 1);
        if !self.full.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                target: crate::TARGET,
                "the queue of {} for {} is full: further ones are dropped and counted in snakepit.telemetry.dropped; \
                 sample fewer calls, or raise `queue` and `queue_bytes`",
                self.signal, self.collector.endpoint
            );
        }
        None
    }

    /// Counts a record that arrives after the end as dropped.
    pub(super) fn too_late(&self) {
        self.metrics.dropped(self.signal, "after_shutdown", 1);
    }

    /// Releases the room of records that have left the queue.
    pub(super) fn release(&self, records: usize, bytes: usize) {
        self.records.fetch_sub(records, Ordering::Relaxed);
        self.bytes.fetch_sub(bytes, Ordering::Relaxed);
    }

    /// Counts the waiting records as dropped. Running requests are not counted any more.
    pub(super) fn close(&self) {
        if !self.closed.swap(true, Ordering::SeqCst) {
            let left = self.waiting() as u64;
            if left > 0 {
                self.metrics.dropped(self.signal, "shutdown", left);
            }
        }
    }

    /// Returns the number of waiting records.
    pub(super) fn waiting(&self) -> usize {
        self.records.load(Ordering::Relaxed)
    }

    /// Counts the records of a request that the collector has accepted except for the rejected
    /// ones. Logs a change in the state of the collector.
    pub(super) fn accepted(&self, records: usize, rejected: &Rejected) {
        let count = rejected.records.min(records);
        if count == 0 {
            return self.over(records, None);
        }
        if self.closed.load(Ordering::SeqCst) {
            return;
        }
        let (signal, endpoint) = (self.signal, &self.collector.endpoint);
        self.metrics.exported(signal, (records - count) as u64);
        self.metrics.dropped(signal, "rejected", count as u64);
        let reason = cut(&rejected.reason);
        let change = self.collector.change(signal, Some(reason), Instant::now());
        if change == Change::Fails {
            tracing::warn!(
                target: crate::TARGET,
                "the collector at {endpoint} has rejected {count} of {records} {signal}: \"{}\"; such records are \
                 counted in snakepit.telemetry.dropped; look at the limits of the collector",
                Printable(reason)
            );
        }
    }

    /// Counts the records of a completed request. Logs a change in the state of the collector.
    pub(super) fn over(&self, records: usize, error: Option<&str>) {
        if self.closed.load(Ordering::SeqCst) {
            return;
        }
        match error {
            Some(_) => self
                .metrics
                .dropped(self.signal, "export_failed", records as u64),
            None => self.metrics.exported(self.signal, records as u64),
        }
        let (signal, endpoint) = (self.signal, &self.collector.endpoint);
        match self.collector.change(signal, error, Instant::now()) {
            Change::None => {}
            Change::Fails => tracing::warn!(
                target: crate::TARGET,
                "the collector at {endpoint} does not accept {signal}: {}; records are dropped and counted in \
                 snakepit.telemetry.dropped until it does; check that it runs, and `otlp`, `headers`, `certificate` and `compression`",
                Printable(error.unwrap_or_default())
            ),
            Change::Works => tracing::info!(
                target: crate::TARGET,
                "the collector at {endpoint} accepts records again"
            ),
        }
    }
}

/// Returns the first part of a collector's text, which may have any length.
fn cut(text: &str) -> &str {
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => &text[..end],
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_collector_that_fails_is_reported_once() {
        let collector = Collector::new("http://localhost:1");
        let change = |signal, error| collector.change(signal, error, Instant::now());
        assert_eq!(change("spans", None), Change::None);
        assert_eq!(change("spans", Some("refused")), Change::Fails);
        for _ in 0..10 {
            assert_eq!(change("logs", Some("refused")), Change::None);
            assert_eq!(change("spans", Some("refused")), Change::None);
        }
        assert_eq!(change("logs", None), Change::None);
        assert_eq!(change("spans", None), Change::Works);
        // A collector that fails and recovers repeatedly is not reported each time.
        assert_eq!(change("spans", Some("refused")), Change::None);
        assert_eq!(change("spans", None), Change::Works);
        tokio::time::advance(QUIET).await;
        assert_eq!(change("spans", Some("refused")), Change::Fails);
    }

    #[test]
    fn the_queue_has_its_bounds_and_counts_what_it_drops() {
        let mut config = OtlpConfig::default();
        (config.queue, config.queue_bytes) = (3, 1000);
        let metrics = Metrics::default();
        let collector = Collector::new("http://localhost:1");
        let delivery = Delivery::new("spans", collector, metrics.clone(), &config);
        let admit = |bytes| delivery.admit(bytes);
        assert_eq!(
            [100, 800, 200, 100, 1].map(admit),
            [Some(1), Some(2), None, Some(3), None]
        );
        assert_eq!((delivery.waiting(), metrics.total_dropped()), (3, 2));
        delivery.release(3, 1000);
        assert_eq!([1000, usize::MAX].map(admit), [Some(1), None]);
    }
}
