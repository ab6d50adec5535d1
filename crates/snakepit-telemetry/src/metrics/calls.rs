//! Counts and times of calls, from the events that end them.

mod totals;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use snakepit_core::events::Event;
use snakepit_core::id::PoolName;

use super::desc::{Families, Id, Labels, Value};
use super::histogram::{Example, Histogram, SECONDS};
use super::{label, lock};
use totals::{All, Ended, Series};

/// A set of labels, in the order of the output.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    pool: PoolName,
    tool: Arc<str>,
    outcome: &'static str,
    code: Option<&'static str>,
}

/// Number of calls that are collected before they are added to the totals. At the end of a call the
/// totals are not in the CPU's cache, since other code has run meanwhile; one access for many calls
/// costs as much as one for a single call.
const RECENT: usize = 64;

/// Totals of calls by pool, tool, outcome and code.
#[derive(Debug)]
pub(super) struct Calls {
    /// Calls that have ended and are not in the totals yet.
    recent: Mutex<Vec<Ended>>,
    all: Mutex<All>,
    largest: usize,
}

impl Calls {
    /// Creates totals for at most `largest` combinations; further tools are counted as one.
    pub(super) fn new(largest: usize) -> Self {
        Self {
            recent: Mutex::new(Vec::with_capacity(RECENT)),
            all: Mutex::default(),
            largest,
        }
    }

    /// Counts the end of a call. Other events are ignored.
    pub(super) fn count(&self, event: &Event) {
        let Event::CallCompleted {
            pool,
            worker,
            tool,
            outcome,
            code,
            items,
            failed,
            sent_bytes,
            received_bytes,
            queued_us,
            duration_us,
            trace,
            ..
        } = event
        else {
            return;
        };
        self.add(Ended {
            pool: pool.clone(),
            tool: Arc::clone(tool),
            outcome: (outcome, *code),
            items: *items,
            failed: *failed,
            sent: *sent_bytes,
            received: *received_bytes,
            queued_us: *queued_us,
            duration_us: *duration_us,
            on_worker: worker.is_some(),
            example: Example::now(trace.as_ref().map(|trace| trace.0)),
        });
    }

    /// Adds a call; enough calls together are added to the totals.
    fn add(&self, ended: Ended) {
        let mut recent = lock(&self.recent);
        recent.push(ended);
        if recent.len() >= RECENT {
            lock(&self.all).count(recent.drain(..), self.largest);
        }
    }

    /// Returns copies of all totals, in order.
    fn sets(&self) -> BTreeMap<Key, Series> {
        let (mut recent, mut locked) = (lock(&self.recent), lock(&self.all));
        locked.count(recent.drain(..), self.largest);
        drop(recent);
        let all = &*locked;
        let tools = all.pools.iter().flat_map(|(pool, tools)| {
            let tools = tools.iter();
            tools.map(move |(tool, outcomes)| (pool, tool, outcomes))
        });
        let sets = tools.flat_map(|(pool, tool, outcomes)| {
            let outcomes = outcomes.iter();
            outcomes.map(move |((outcome, code), place)| {
                let key = Key {
                    pool: pool.clone(),
                    tool: Arc::clone(tool),
                    outcome,
                    code: *code,
                };
                (key, all.series[*place].clone())
            })
        });
        sets.collect()
    }

    /// Appends all counts and durations.
    pub(super) fn families(&self, families: &mut Families) {
        let mut totals: BTreeMap<_, u64> = BTreeMap::new();
        let mut bytes: BTreeMap<_, (u64, u64)> = BTreeMap::new();
        let mut queues: BTreeMap<PoolName, Histogram> = BTreeMap::new();
        for (key, series) in self.sets() {
            let ended = (key.pool.clone(), key.outcome, key.code);
            *totals.entry(ended).or_default() += series.items;
            let (sent, received) = bytes
                .entry((key.pool.clone(), Arc::clone(&key.tool)))
                .or_default();
            *sent += series.sent;
            *received += series.received;
            let queue = queues.entry(key.pool.clone());
            queue
                .or_insert_with(|| Histogram::new(SECONDS))
                .merge(&series.queue);
            if series.duration.count() > 0 {
                let mut labels = of(&key.pool, key.outcome, key.code);
                labels.insert(1, label("tool", Arc::clone(&key.tool)));
                let duration = Value::Histogram(Box::new(series.duration));
                families.point(Id::Duration, labels, duration);
            }
            if series.service.count() > 0 {
                let labels = vec![label("pool", key.pool.as_str()), label("tool", key.tool)];
                // The outcomes of a tool share its service time.
                families.histogram(Id::ServiceDuration, labels, &series.service);
            }
        }
        for ((pool, outcome, code), items) in totals {
            families.number(Id::Calls, of(&pool, outcome, code), items as f64);
        }
        for (id, direction) in [(Id::Sent, 0), (Id::Received, 1)] {
            for ((pool, tool), (sent, received)) in &bytes {
                let labels = vec![
                    label("pool", pool.as_str()),
                    label("tool", Arc::clone(tool)),
                ];
                let count = [*sent, *received][direction];
                families.number(id, labels, count as f64);
            }
        }
        for (pool, queue) in queues {
            let labels = vec![label("pool", pool.as_str())];
            families.histogram(Id::QueueDuration, labels, &queue);
        }
    }
}

fn of(pool: &PoolName, outcome: &'static str, code: Option<&'static str>) -> Labels {
    let mut labels = vec![label("pool", pool.as_str()), label("outcome", outcome)];
    labels.extend(code.map(|code| label("code", code)));
    labels
}

#[cfg(test)]
mod tests {
    use snakepit_core::events::TraceContext;

    use super::*;

    /// Counts one call.
    fn add(calls: &Calls, pool: &str, tool: &str, change: impl FnOnce(&mut Ended)) {
        let (pool, tool) = (PoolName::new(pool), tool.into());
        let mut ended = Ended {
            pool,
            tool,
            outcome: ("ok", None),
            items: 1,
            failed: 0,
            sent: 100,
            received: 7,
            queued_us: 2_000,
            duration_us: 5_000,
            on_worker: true,
            example: None,
        };
        change(&mut ended);
        calls.add(ended);
    }

    fn points(calls: &Calls, name: &str) -> Vec<crate::Point> {
        let mut families = Families::default();
        calls.families(&mut families);
        let found = families.finish().into_iter();
        let mut found = found.filter(|family| family.desc.name == name);
        found.next().map(|family| family.points).unwrap_or_default()
    }

    #[test]
    fn tools_without_end_are_counted_together_and_none_is_lost() {
        let calls = Calls::new(100);
        for n in 0..10_000 {
            add(&calls, "a", &format!("tool-{n}"), |_| {});
        }
        assert_eq!(points(&calls, "rpc.client.call.duration").len(), 101);
        let total = points(&calls, "snakepit.calls");
        assert_eq!(total.len(), 1);
        assert_eq!(total[0].value, Value::Number(10_000.0));
    }

    #[test]
    fn each_item_of_a_batch_counts_with_its_own_outcome() {
        let calls = Calls::new(10);
        add(&calls, "a", "echo", |batch| {
            (batch.items, batch.failed) = (10, 3);
            batch.outcome = ("error", Some("SP3001"));
        });
        let values: Vec<_> = points(&calls, "snakepit.calls")
            .into_iter()
            .map(|point| (point.labels[1].1.to_string(), point.value))
            .collect();
        let expected = [("error", 3.0), ("ok", 7.0)]
            .map(|(outcome, items)| (outcome.to_owned(), Value::Number(items)));
        assert_eq!(values, expected);
    }

    #[test]
    fn bytes_of_a_tool_are_summed_over_its_outcomes() {
        let calls = Calls::new(10);
        for (outcome, received) in [("ok", 7), ("error", 0), ("ok", 3)] {
            add(&calls, "a", "echo", |one| {
                (one.outcome, one.received) = ((outcome, None), received);
            });
        }
        for (name, sum) in [
            ("snakepit.call.sent", 300.0),
            ("snakepit.call.received", 10.0),
        ] {
            let points = points(&calls, name);
            assert_eq!(points.len(), 1, "{name}");
            assert_eq!(points[0].value, Value::Number(sum), "{name}");
        }
    }

    #[test]
    fn times_are_divided_and_keep_their_trace() {
        let (calls, trace) = (Calls::new(10), TraceContext::start(true));
        add(&calls, "a", "echo", |call| {
            call.example = Example::now(Some(trace))
        });
        for (name, sum) in [
            ("rpc.client.call.duration", 0.005),
            ("snakepit.queue.duration", 0.002),
            ("snakepit.service.duration", 0.003),
        ] {
            let points = points(&calls, name);
            let Value::Histogram(histogram) = &points[0].value else {
                panic!("{name} is a histogram");
            };
            assert!((histogram.sum - sum).abs() < 1e-9, "{name}");
            let exemplar = histogram.exemplars.iter().flatten().next().unwrap();
            assert_eq!(exemplar.trace, trace);
        }
    }
}
