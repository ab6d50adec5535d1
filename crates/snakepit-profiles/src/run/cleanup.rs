//! The events of clean-ups, after dead hosts and after this run.

use std::time::Duration;

use snakepit_core::events::{Event, Events, kind};
use snakepit_registry::{Registry, SweepReport};
use tokio::time::Instant;

/// A clean-up in progress.
pub(super) struct Cleanup<'a> {
    registry: &'a Registry,
    events: &'a Events,
    phase: &'static str,
    began: Instant,
}

impl<'a> Cleanup<'a> {
    pub(super) fn begin(registry: &'a Registry, events: &'a Events, phase: &'static str) -> Self {
        let this = Self {
            registry,
            events,
            phase,
            began: Instant::now(),
        };
        let run = || this.run();
        events.emit(kind::CleanupStart, || Event::CleanupStart {
            run: run(),
            phase,
        });
        this
    }

    fn run(&self) -> String {
        self.registry.run_id().to_string()
    }

    /// Ends the clean-up: `killed` processes are dead, `leftover` ones still live.
    pub(super) fn end(self, killed: usize, leftover: usize) {
        let phase = self.phase;
        if leftover > 0 {
            self.events.publish(Event::CleanupTimeout {
                run: self.run(),
                phase,
                remaining: leftover as u64,
            });
            return;
        }
        let took: Duration = self.began.elapsed();
        self.events
            .emit(kind::CleanupSuccess, || Event::CleanupSuccess {
                run: self.run(),
                phase,
                count: killed as u64,
                duration_ms: u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
            });
    }
}

/// Counts the processes that a sweep has killed and that did not die in time.
pub(super) fn leftover(report: &SweepReport) -> usize {
    report.runs.iter().map(|run| run.leftover.len()).sum()
}

/// Emits the events of orphans that a sweep has found. Processes of live hosts, and those
/// configured to outlive their host, are not orphans.
pub(super) fn report_orphans(events: &Events, report: &SweepReport) {
    for run in &report.runs {
        let (killed, leftover) = (run.killed.len() as u64, run.leftover.len() as u64);
        if killed + leftover == 0 {
            continue;
        }
        let name = || run.run_id.to_string();
        events.publish(Event::OrphansFound {
            run: name(),
            count: killed + leftover,
        });
        if killed > 0 {
            events.publish(Event::OrphansKilled {
                run: name(),
                count: killed,
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use snakepit_registry::{Evidence, Killed, Outcome, RegistryConfig, SweptRun};

    use super::*;

    #[test]
    fn orphans_are_told_run_by_run_and_only_where_there_are_some() {
        let dir = tempfile::tempdir().expect("a directory");
        let registry = Registry::open(RegistryConfig::new(dir.path())).expect("a registry");
        let run = |killed: usize, leftover: Vec<i32>| SweptRun {
            run_id: registry.run_id(),
            outcome: Outcome::Swept,
            records: killed,
            gone: 0,
            killed: vec![
                Killed {
                    pid: 1,
                    worker_id: None,
                    evidence: Evidence::Identity,
                };
                killed
            ],
            left: Vec::new(),
            leftover,
            quarantined: None,
            problem: None,
        };
        let report = SweepReport {
            skipped: false,
            runs: vec![run(0, vec![]), run(2, vec![7]), run(0, vec![7])],
            unfinished: 0,
        };
        let events = Events::new();
        let mut stream = events.subscribe(10);
        let cleanup = Cleanup::begin(&registry, &events, "start");
        report_orphans(&events, &report);
        cleanup.end(report.killed(), leftover(&report));
        let told: Vec<_> = std::iter::from_fn(|| stream.try_next())
            .map(|emitted| {
                let mut numbers = emitted.event.name().to_owned();
                emitted.event.visit(&mut |name, value| {
                    if name == "count" || name == "remaining" {
                        numbers += &format!(" {value}");
                    }
                });
                numbers
            })
            .collect();
        let expected = [
            "cleanup.start",
            "orphans.found 3",
            "orphans.killed 2",
            "orphans.found 1",
            "cleanup.timeout 2",
        ];
        assert_eq!(told, expected);
        let _ = registry.close().expect("it closes");
    }
}
