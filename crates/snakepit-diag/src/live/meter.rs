//! Memory and CPU time of workers for successive reports, at a bounded cost.

use std::collections::HashMap;

use crate::{Memory, Report};

/// Workers whose memory is read for one report. For a large worker that takes a millisecond, during
/// which the kernel blocks changes of its address space.
const MEASURED: usize = 32;

/// Measures the workers of one host for successive reports. Each report has current CPU times;
/// memory is read in turn.
#[derive(Debug, Default)]
pub struct Meter {
    memory: HashMap<u32, u64>,
    /// Index of the worker to measure next.
    next: usize,
}

impl Meter {
    /// Fills in memory and CPU time of the workers. Blocks for some 20 µs per worker.
    pub fn measure(&mut self, report: &mut Report) {
        let workers = report.pools.iter().flat_map(|pool| &pool.workers);
        let pids: Vec<u32> = workers.filter_map(|worker| worker.pid).collect();
        let first = if self.next < pids.len() { self.next } else { 0 };
        let mut turn: Vec<u32> = pids
            .iter()
            .copied()
            .filter(|pid| !self.memory.contains_key(pid))
            .collect();
        turn.extend(pids[first..].iter().chain(&pids[..first]));
        turn.truncate(MEASURED);
        self.next = first + turn.len();
        for pid in turn {
            match crate::process::memory(pid) {
                Some(bytes) => self.memory.insert(pid, bytes),
                None => self.memory.remove(&pid),
            };
        }
        self.memory.retain(|pid, _| pids.contains(pid));
        for pool in &mut report.pools {
            for worker in &mut pool.workers {
                worker.cpu_seconds = worker.pid.and_then(crate::process::cpu);
                worker.memory_bytes = worker.pid.and_then(|pid| self.memory.get(&pid).copied());
            }
            pool.memory = Memory::of(pool.workers.iter().filter_map(|worker| worker.memory_bytes));
        }
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;
    use crate::{PoolReport, WorkerReport};

    #[test]
    fn workers_are_measured_in_turn_and_those_that_are_gone_are_forgotten() {
        let worker = |pid| WorkerReport {
            pid: Some(pid),
            ..WorkerReport::default()
        };
        let own = std::process::id();
        let mut report = Report::default();
        report.pools.push(PoolReport {
            workers: vec![worker(own), worker(u32::MAX)],
            ..PoolReport::default()
        });
        let mut meter = Meter::default();
        for _ in 0..3 {
            meter.measure(&mut report);
            let workers = &report.pools[0].workers;
            assert!(workers[0].memory_bytes > Some(1000) && workers[0].cpu_seconds.is_some());
            assert_eq!(
                (workers[1].memory_bytes, workers[1].cpu_seconds),
                (None, None)
            );
            assert_eq!(report.pools[0].memory.map(|memory| memory.workers), Some(1));
        }
        report.pools[0].workers.clear();
        meter.measure(&mut report);
        assert!(meter.memory.is_empty());
    }
}
