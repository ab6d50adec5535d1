//! Counts that are available only from events, and counts of the exporters themselves.

use std::collections::BTreeMap;
use std::sync::Mutex;

use snakepit_core::events::Event;

use super::desc::{Families, Id, Labels};
use super::{OVERFLOW, label, lock};

/// Known causes of deaths.
const CAUSES: [&str; 6] = [
    "signal",
    "exited",
    "out_of_memory",
    "killed_by_host",
    "stopped",
    "unknown",
];

/// Known reasons for replacements.
const REASONS: [&str; 7] = [
    "manual",
    "max_requests",
    "ttl_expired",
    "memory_threshold",
    "memory_growth",
    "stuck",
    "unhealthy",
];

/// Counters by metric and labels.
#[derive(Debug)]
pub(super) struct Counters {
    counts: Mutex<BTreeMap<Id, BTreeMap<Labels, u64>>>,
    largest: usize,
}

impl Counters {
    /// Creates counters with at most `largest` sets of labels each; further sets are counted as
    /// one.
    pub(super) fn new(largest: usize) -> Self {
        Self {
            counts: Mutex::default(),
            largest,
        }
    }

    /// Counts an event.
    pub(super) fn count(&self, event: &Event) {
        match event {
            Event::WorkerStarted { pool, .. } => {
                self.add(Id::Starts, &[("pool", pool.as_str())], 1);
            }
            Event::WorkerCrashed { pool, cause, .. } => {
                let labels = [("pool", pool.as_str()), ("cause", cause)];
                self.add(Id::Deaths, &labels, 1);
            }
            Event::WorkerRecycled { pool, reason, .. } => {
                let labels = [("pool", pool.as_str()), ("reason", reason)];
                self.add(Id::Recycles, &labels, 1);
            }
            Event::CircuitOpened { pool, .. } => {
                self.add(Id::CircuitOpened, &[("pool", pool.as_str())], 1);
            }
            Event::TelemetryDropped {
                pool,
                records,
                reason,
                ..
            } => {
                let labels = [
                    ("signal", "records"),
                    ("reason", *reason),
                    ("pool", pool.as_str()),
                ];
                self.add(Id::Dropped, &labels, *records);
            }
            _ => {}
        }
    }

    /// Sets the counts of a pool to 0, so that the first event is visible as an increase.
    pub(super) fn begin(&self, pool: &str) {
        let pool = ("pool", pool);
        for cause in CAUSES {
            self.add(Id::Deaths, &[pool, ("cause", cause)], 0);
        }
        for reason in REASONS {
            self.add(Id::Recycles, &[pool, ("reason", reason)], 0);
        }
        self.add(Id::Starts, &[pool], 0);
        self.add(Id::CircuitOpened, &[pool], 0);
    }

    /// Adds `by` to the count of these labels.
    pub(super) fn add(&self, id: Id, labels: &[(&'static str, &str)], by: u64) {
        let mut counts = lock(&self.counts);
        let counts = counts.entry(id).or_default();
        let mut key: Labels = labels
            .iter()
            .map(|&(name, text)| label(name, text))
            .collect();
        if counts.len() >= self.largest && !counts.contains_key(&key) {
            key = labels
                .iter()
                .map(|&(name, _)| label(name, OVERFLOW))
                .collect();
        }
        // The number comes from a worker and may be arbitrarily large.
        let count = counts.entry(key).or_default();
        *count = count.saturating_add(by);
    }

    /// Returns the sum over all labels.
    pub(super) fn total(&self, id: Id) -> u64 {
        let counts = lock(&self.counts);
        let counts = counts.get(&id).into_iter().flat_map(BTreeMap::values);
        counts.fold(0, |sum, count| sum.saturating_add(*count))
    }

    /// Appends all counts.
    pub(super) fn families(&self, families: &mut Families) {
        for (id, counts) in &*lock(&self.counts) {
            for (labels, count) in counts {
                families.number(*id, labels.clone(), *count as f64);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use snakepit_core::id::PoolName;

    use super::*;
    use crate::Value;

    #[test]
    fn labels_without_end_are_counted_together_and_none_is_lost() {
        let counters = Counters::new(100);
        for n in 0..10_000 {
            counters.count(&Event::CircuitOpened {
                pool: PoolName::new(format!("pool-{n}")),
                tool: None,
            });
        }
        let mut families = Families::default();
        counters.families(&mut families);
        let points = families.finish().remove(0).points;
        let number = |point: &crate::Point| match point.value {
            Value::Number(number) => number,
            Value::Histogram(_) => 0.0,
        };
        assert_eq!(points.len(), 101);
        assert_eq!(points.iter().map(number).sum::<f64>(), 10_000.0);
        assert_eq!(counters.total(Id::CircuitOpened), 10_000);
    }

    #[test]
    fn a_count_that_a_worker_exaggerates_stays_the_largest() {
        let counters = Counters::new(100);
        for worker in ["a-1", "b-1", "a-2"] {
            counters.count(&Event::TelemetryDropped {
                pool: PoolName::new(&worker[..1]),
                worker: snakepit_core::id::WorkerId::new(worker),
                records: u64::MAX,
                reason: "worker_queue_full",
            });
        }
        assert_eq!(counters.total(Id::Dropped), u64::MAX);
    }
}
