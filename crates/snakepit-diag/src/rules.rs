//! Rules that derive findings from the figures of a report. Pure: without clock and I/O.

mod advice;
mod load;
mod memory;
mod workers;

use crate::{Finding, Machine, PoolReport, Report, Severity};

/// The input of a rule.
#[derive(Clone, Copy, Debug)]
struct Scene<'a> {
    pool: &'a PoolReport,
    /// The same pool in the earlier report.
    earlier: Option<&'a PoolReport>,
    machine: &'a Machine,
    /// Time of the report, in seconds since 1970.
    at: f64,
    /// Seconds since the earlier report; 0 without one.
    passed: f64,
}

type Rule = fn(&Scene<'_>, &mut Vec<Finding>);

/// Rules that find problems.
const PROBLEMS: &[Rule] = &[
    workers::gave_up,
    workers::gil_held,
    workers::stalled,
    workers::unhealthy,
    workers::churn,
    load::queue_delay,
    load::affinity_starves,
    load::retry_storm,
    load::rejections,
    load::circuits,
    memory::reaches_limit,
    memory::leak,
    memory::too_many_workers,
];

/// Rules that find possible improvements.
const ADVICE: &[Rule] = &[
    advice::saturation,
    advice::too_large,
    advice::idle_threads,
    advice::heavy_workers,
    advice::no_memory_limit,
];

impl Report {
    /// Returns the problems of this host, the most severe first. With an `earlier` report of the
    /// same host, made a second or more before, the rules consider the time between the two;
    /// without one, the time since the pools' start.
    pub fn findings(&self, earlier: Option<&Self>) -> Vec<Finding> {
        self.apply(PROBLEMS, earlier)
    }

    /// Returns advice about the sizes of the pools, which is seldom urgent.
    pub fn recommendations(&self) -> Vec<Finding> {
        self.apply(ADVICE, None)
    }

    fn apply(&self, rules: &[Rule], earlier: Option<&Self>) -> Vec<Finding> {
        let earlier = earlier.filter(|earlier| earlier.host.pid == self.host.pid);
        let mut findings = Vec::new();
        for pool in &self.pools {
            let scene = Scene {
                pool,
                earlier: earlier.and_then(|earlier| earlier.pool(&pool.pool)),
                machine: &self.machine,
                at: self.at,
                passed: earlier.map_or(0.0, |earlier| self.at - earlier.at),
            };
            for rule in rules {
                rule(&scene, &mut findings);
            }
        }
        // Stable: findings of one severity stay in the order of pools and rules.
        findings.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
        findings
    }
}

impl Scene<'_> {
    /// Returns the growth of a counter since the earlier report, or since the start of the pool.
    fn grown(&self, counter: impl Fn(&crate::Counters) -> u64) -> u64 {
        let before = self.earlier.map_or(0, |earlier| counter(&earlier.counters));
        counter(&self.pool.counters).saturating_sub(before)
    }

    /// Creates a finding about this pool.
    fn finding(
        &self,
        severity: Severity,
        rule: &str,
        what: String,
        why: &str,
        action: String,
    ) -> Finding {
        Finding {
            severity,
            rule: rule.to_owned(),
            pool: self.pool.pool.clone(),
            worker: None,
            what,
            why: why.to_owned(),
            action,
        }
    }
}

#[cfg(test)]
mod tests;
