//! Rules: from the figures of a report to findings. Pure: without clock and I/O.

mod advice;
mod load;
mod memory;
mod workers;

use crate::{Finding, Machine, PoolReport, Report, Severity};

/// What one rule looks at.
#[derive(Clone, Copy, Debug)]
struct Scene<'a> {
    pool: &'a PoolReport,
    /// The same pool some time before.
    earlier: Option<&'a PoolReport>,
    machine: &'a Machine,
    /// When the report was made, in seconds since 1970.
    at: f64,
    /// Seconds since `earlier`.
    passed: f64,
}

type Rule = fn(&Scene<'_>, &mut Vec<Finding>);

/// Rules about problems.
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

/// Rules that say what could be better.
const ADVICE: &[Rule] = &[
    advice::saturation,
    advice::too_large,
    advice::idle_threads,
    advice::heavy_workers,
    advice::no_memory_limit,
];

impl Report {
    /// What is wrong in this host, the heaviest first. With an `earlier` report of the same host the rules look at what happened between
    /// the two, a second or more apart; without one at the time since the pools' start.
    pub fn findings(&self, earlier: Option<&Self>) -> Vec<Finding> {
        self.apply(PROBLEMS, earlier)
    }

    /// Advice about the sizes of the pools: seldom urgent.
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
        // Stable: those of one weight stay in the order of pools and rules.
        findings.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
        findings
    }
}

impl Scene<'_> {
    /// How much a counter has grown since the earlier report, or since the start of the pool.
    fn grown(&self, counter: impl Fn(&crate::Counters) -> u64) -> u64 {
        let before = self.earlier.map_or(0, |earlier| counter(&earlier.counters));
        counter(&self.pool.counters).saturating_sub(before)
    }

    /// A finding about this pool.
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
