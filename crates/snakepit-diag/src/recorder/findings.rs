//! Findings from a recording, by the same rules as from a report.

use super::{RecordedCall, Recording};
use crate::{CallReport, Counters, Finding, PoolReport, Report};

impl Recording {
    /// Returns the time of the last recorded event, in seconds since 1970.
    pub fn ended(&self) -> f64 {
        let ends = self.calls.iter().map(|call| {
            let took = call.duration_us.unwrap_or(call.sent_us.into());
            call.at + took as f64 / 1e6
        });
        let deaths = self.deaths.iter().map(|death| death.death.at);
        ends.chain(deaths).fold(self.began, f64::max)
    }

    /// Returns the problems at the end of the recording, the most severe first.
    pub fn findings(&self) -> Vec<Finding> {
        self.findings_at(self.ended())
    }

    /// Returns the problems of a host that still runs, at this time in seconds since 1970.
    pub fn findings_at(&self, ended: f64) -> Vec<Finding> {
        let deaths = self.deaths.iter().rev().map(|death| death.death.clone());
        let outcomes = |outcome: &str| {
            self.calls
                .iter()
                .filter(|call| call.outcome == outcome)
                .count() as u64
        };
        let attempts = |call: &RecordedCall| u64::from(call.attempts.max(1));
        let repeated = |call: &RecordedCall| u64::from(call.attempts.saturating_sub(1));
        let running = self.calls.iter().filter(|call| call.duration_us.is_none());
        let mut workers: Vec<&str> = self.calls.iter().map(|call| &*call.worker).collect();
        workers.sort_unstable();
        workers.dedup();
        let mut report = Report {
            at: ended,
            ..Report::default()
        };
        report.pools.push(PoolReport {
            pool: self.pool.clone(),
            target: workers.iter().filter(|worker| !worker.is_empty()).count(),
            counters: Counters {
                requests: self.calls.iter().map(attempts).sum(),
                retries: self.calls.iter().map(repeated).sum(),
                succeeded: outcomes("ok"),
                errors: outcomes("error"),
                ..Counters::default()
            },
            deaths: deaths.collect(),
            calls: running
                .map(|call| CallReport {
                    call: call.call,
                    tool: call.tool.clone(),
                    worker: call.worker.clone(),
                    slot: call.slot,
                    age_seconds: ended - call.at,
                    attempts: call.attempts.into(),
                    items: call.items.into(),
                    ..CallReport::default()
                })
                .collect(),
            ..PoolReport::default()
        });
        report.findings(None)
    }
}
