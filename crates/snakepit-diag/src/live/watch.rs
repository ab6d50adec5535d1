//! Successive reports of one host, and the changes between them.

use std::collections::{HashMap, VecDeque};

use crate::{Counters, Finding, PoolReport, Report};

/// Maximum number of values of a trend: the columns of a small chart.
const VALUES: usize = 120;

/// Minimum seconds between the two reports that findings and CPU loads compare, once there are
/// enough reports.
const APART: f64 = 2.0;

/// Minimum seconds between two reports that findings compare.
const SETTLED: f64 = 1.0;

/// Recent values of a pool.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Trend {
    /// Calls that ended per second, the newest value last.
    pub rate: VecDeque<f64>,
    /// Calls that waited, the newest value last.
    pub queue: VecDeque<u64>,
}

/// Compares successive reports of a host. The first report of another host discards everything
/// before it.
#[derive(Debug, Default)]
pub struct Watch {
    latest: Option<Report>,
    /// The report that the latest one is compared with.
    earlier: Option<Report>,
    /// The report that replaces `earlier` once it is old enough.
    next: Option<Report>,
    findings: Vec<Finding>,
    trends: HashMap<String, Trend>,
    /// CPU load of each worker, in percent of one processor.
    cpu: HashMap<String, f64>,
}

impl Watch {
    /// Adds a report.
    pub fn add(&mut self, report: Report) {
        let last = self.latest.as_ref();
        let other = last.is_some_and(|last| {
            last.host.pid != report.host.pid || last.host.run != report.host.run
        });
        if other {
            *self = Self::default();
        }
        let passed = self.latest.as_ref().map(|last| report.at - last.at);
        for pool in &report.pools {
            let before = self.latest.as_ref().and_then(|last| last.pool(&pool.pool));
            let trend = self.trends.entry(pool.pool.clone()).or_default();
            if let (Some(before), Some(passed)) = (before, passed.filter(|it| *it > 0.0)) {
                let ended = ended(&pool.counters).saturating_sub(ended(&before.counters));
                push(&mut trend.rate, ended as f64 / passed);
            }
            push(&mut trend.queue, pool.queue.depth as u64);
        }
        self.trends.retain(|name, _| report.pool(name).is_some());
        let age = |one: &Option<Report>| one.as_ref().map_or(f64::MAX, |one| report.at - one.at);
        if age(&self.next) >= APART {
            self.earlier = self.next.take();
            self.next = Some(report.clone());
        }
        let earlier = self.earlier.as_ref().or(self.next.as_ref());
        let earlier = earlier.filter(|earlier| report.at > earlier.at);
        let long = earlier.filter(|earlier| report.at - earlier.at >= SETTLED);
        self.findings = report.findings(long);
        self.cpu = earlier.map_or_else(HashMap::new, |earlier| loads(earlier, &report));
        self.latest = Some(report);
    }

    /// Returns the latest report.
    pub const fn report(&self) -> Option<&Report> {
        self.latest.as_ref()
    }

    /// Returns the findings, the most severe first.
    pub fn findings(&self) -> &[Finding] {
        &self.findings
    }

    /// Returns the recent values of a pool.
    pub fn trend(&self, pool: &str) -> Option<&Trend> {
        self.trends.get(pool)
    }

    /// Returns the CPU load of a worker, in percent of one processor. `None` if it is not known
    /// yet.
    pub fn cpu(&self, worker: &str) -> Option<f64> {
        self.cpu.get(worker).copied()
    }
}

fn push<T>(values: &mut VecDeque<T>, value: T) {
    if values.len() == VALUES {
        values.pop_front();
    }
    values.push_back(value);
}

/// Returns the number of calls that have ended, for whatever reason.
fn ended(counters: &Counters) -> u64 {
    let ends = [
        counters.succeeded,
        counters.errors,
        counters.call_timeouts,
        counters.cancelled,
        counters.queue_timeouts,
        counters.saturated,
    ];
    ends.into_iter().fold(0, u64::saturating_add)
}

fn loads(earlier: &Report, report: &Report) -> HashMap<String, f64> {
    let passed = report.at - earlier.at;
    let times = |report: &Report| {
        let workers = report
            .pools
            .iter()
            .flat_map(|pool: &PoolReport| &pool.workers);
        let timed = workers.filter_map(|worker| Some((worker.id.clone(), worker.cpu_seconds?)));
        timed.collect::<HashMap<_, _>>()
    };
    let before = times(earlier);
    let load = |(worker, seconds): (String, f64)| {
        let used = seconds - before.get(&worker)?;
        Some((worker, (used / passed * 100.0).max(0.0)))
    };
    times(report).into_iter().filter_map(load).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{HostReport, Queue, WorkerReport};

    fn look(at: f64, succeeded: u64, depth: usize, cpu: f64) -> Report {
        let pool = PoolReport {
            pool: "main".to_owned(),
            counters: Counters {
                succeeded,
                ..Counters::default()
            },
            queue: Queue {
                depth,
                ..Queue::default()
            },
            workers: vec![WorkerReport {
                id: "main-1".to_owned(),
                cpu_seconds: Some(cpu),
                ..WorkerReport::default()
            }],
            ..PoolReport::default()
        };
        Report {
            at,
            pools: vec![pool],
            ..Report::default()
        }
    }

    #[test]
    fn rates_and_loads_are_what_changed_between_looks() {
        let mut watch = Watch::default();
        watch.add(look(100.0, 10, 3, 1.0));
        assert_eq!(watch.trend("main").map(|trend| trend.rate.len()), Some(0));
        assert_eq!(watch.cpu("main-1"), None);
        watch.add(look(100.5, 60, 4, 1.25));
        let trend = watch.trend("main").unwrap();
        assert_eq!(
            (trend.rate[0], &*trend.queue.clone().make_contiguous()),
            (100.0, &[3, 4][..])
        );
        assert_eq!(watch.cpu("main-1"), Some(50.0));
        // Compared with the report of two seconds ago, no longer with the first one.
        watch.add(look(102.0, 60, 4, 2.0));
        watch.add(look(104.0, 60, 4, 4.0));
        watch.add(look(105.0, 60, 4, 5.0));
        assert_eq!(watch.cpu("main-1"), Some(100.0));
    }

    #[test]
    fn a_trend_is_bounded_and_another_host_begins_a_new_one() {
        let mut watch = Watch::default();
        for n in 0..500_u32 {
            watch.add(look(f64::from(n), u64::from(n), 0, 0.0));
        }
        assert_eq!(
            watch.trend("main").map(|trend| trend.queue.len()),
            Some(VALUES)
        );
        let mut other = look(501.0, 0, 0, 0.0);
        other.host = HostReport {
            pid: 7,
            ..HostReport::default()
        };
        watch.add(other);
        assert_eq!(watch.trend("main").map(|trend| trend.queue.len()), Some(1));
        watch.add(Report::default());
        assert_eq!(watch.trend("main"), None);
    }

    #[test]
    fn looks_whose_clock_stands_or_goes_back_have_no_rate() {
        let mut watch = Watch::default();
        for at in [5.0, 5.0, 4.0] {
            watch.add(look(at, 9, 0, 0.0));
        }
        assert_eq!(watch.trend("main").map(|trend| trend.rate.len()), Some(0));
    }
}
