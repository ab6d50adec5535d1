//! The state of a host at one moment: plain data, the same in the library, over the admin service
//! and in JSON.

mod gather;
mod pool;
mod worker;

use std::time::SystemTime;

use serde::{Deserialize, Serialize};

use crate::Machine;
pub use pool::{
    Capacity, Counters, Death, Memory, PoolReport, Queue, SessionQueue, Threads, Times,
};
pub use worker::{CallReport, WorkerReport, WorkerState};

/// A host at one moment.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct Report {
    /// Time of the report, in seconds since 1970.
    pub at: f64,
    /// The process of the host.
    pub host: HostReport,
    /// The machine, or the container, as this host sees it.
    pub machine: Machine,
    /// The pools, in the order in which they were configured.
    pub pools: Vec<PoolReport>,
}

/// The process of a host.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct HostReport {
    /// The run, as `snakepit ps` shows it. `None` if it records no workers.
    pub run: Option<String>,
    /// Process id.
    pub pid: u32,
    /// Path of its program.
    pub program: String,
    /// Version of the library in the host.
    pub version: String,
    /// Seconds since its start.
    pub uptime_seconds: f64,
}

impl Report {
    /// Creates a report of this process with these pools.
    pub fn of(pools: impl IntoIterator<Item = PoolReport>) -> Self {
        Self::on(Machine::here(), pools)
    }

    /// Creates a report with figures of the machine that were read before.
    pub(crate) fn on(machine: Machine, pools: impl IntoIterator<Item = PoolReport>) -> Self {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        let program = std::env::current_exe().unwrap_or_default();
        Self {
            at: since.unwrap_or_default().as_secs_f64(),
            host: HostReport {
                pid: std::process::id(),
                program: program.display().to_string(),
                version: env!("CARGO_PKG_VERSION").to_owned(),
                ..HostReport::default()
            },
            machine,
            pools: pools.into_iter().collect(),
        }
    }

    /// Returns the pool with this name.
    pub fn pool(&self, name: &str) -> Option<&PoolReport> {
        self.pools.iter().find(|pool| pool.pool == name)
    }

    /// Fills in the memory and the CPU time of each worker. Reads files of `/proc`, which takes up
    /// to a millisecond for a large worker. Works for all hosts of this user on this machine.
    pub fn measure(&mut self) {
        for pool in &mut self.pools {
            pool.measure(crate::process::memory);
            for worker in &mut pool.workers {
                worker.cpu_seconds = worker.pid.and_then(crate::process::cpu);
            }
        }
    }
}
