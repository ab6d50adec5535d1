//! The number of workers for which each resource of the machine suffices.

use serde::Serialize;

use super::Scaling;
use crate::Machine;

/// Mean resources of one worker.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct WorkerCost {
    /// Bytes of memory.
    pub memory_bytes: f64,
    /// Descriptors in its host.
    pub descriptors: f64,
    /// Processes and threads.
    pub tasks: f64,
}

/// Resources in use besides those of the workers, and bounds set by the caller.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Usage {
    /// Processes and threads of this user. `None` if the user's limit does not apply.
    pub user_tasks: Option<u64>,
    /// Processes and threads of the control group.
    pub cgroup_tasks: Option<u64>,
    /// Processes and threads of the machine.
    pub tasks: Option<u64>,
    /// Maximum number of processes and threads of the machine.
    pub tasks_limit: Option<u64>,
    /// Bytes of memory that must stay free.
    pub memory_left: u64,
    /// Bytes of memory that workers may take. `None` if not bounded.
    pub memory_limit: Option<u64>,
    /// Number of local ports.
    pub ports: Option<u64>,
}

/// A limited resource, and the number of workers for which it suffices.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Limit {
    /// Name: `descriptors`, `memory`, `user_processes`, `cgroup_processes`, `processes`,
    /// `process_ids` or `ports`.
    pub name: &'static str,
    /// Total amount.
    pub limit: u64,
    /// Amount in use.
    pub used: u64,
    /// Amount that one worker takes.
    pub per_worker: f64,
    /// Number of workers for which it suffices. `None` if workers take none of it.
    pub workers: Option<u64>,
    /// One thing to do to raise it.
    pub action: String,
}

impl Limit {
    fn new(name: &'static str, limit: u64, used: u64, per_worker: f64, action: String) -> Self {
        let free = limit.saturating_sub(used) as f64;
        Self {
            name,
            limit,
            used,
            per_worker,
            workers: (per_worker > 0.0).then(|| (free / per_worker).floor() as u64),
            action,
        }
    }
}

impl Scaling {
    /// Computes the limits from the machine, the usage, and the cost of a worker.
    pub fn find_limits(&mut self, usage: &Usage) {
        self.limits = limits(&self.machine, usage, &self.cost);
    }

    /// Returns the scarcest limit that this number of workers would exceed.
    pub fn exceeded(&self, workers: usize) -> Option<&Limit> {
        let mut limits = self.limits.iter();
        limits.find(|limit| limit.workers.is_some_and(|enough| enough < workers as u64))
    }
}

/// Returns the limits, the scarcest first.
fn limits(machine: &Machine, usage: &Usage, cost: &WorkerCost) -> Vec<Limit> {
    let mut limits = Vec::new();
    let mut add = |name, limit: Option<u64>, used: u64, per_worker, action: &str| {
        if let Some(limit) = limit {
            limits.push(Limit::new(name, limit, used, per_worker, action.to_owned()));
        }
    };
    add(
        "descriptors",
        machine.open_files_limit,
        machine.open_files.unwrap_or(0),
        cost.descriptors,
        "raise the limit of open files: `ulimit -n`, or `LimitNOFILE=` of the service",
    );
    if let Some(tasks) = usage.user_tasks {
        add(
            "user_processes",
            machine.processes_limit,
            tasks,
            cost.tasks,
            "raise the limit of processes: `ulimit -u`, or `LimitNPROC=` of the service",
        );
    }
    add(
        "cgroup_processes",
        machine.cgroup_tasks_limit,
        usage.cgroup_tasks.unwrap_or(0),
        cost.tasks,
        "raise the limit of the container or service: `--pids-limit`, or `TasksMax=`",
    );
    add(
        "processes",
        usage.tasks_limit,
        usage.tasks.unwrap_or(0),
        cost.tasks,
        "raise `kernel.threads-max`",
    );
    add(
        "process_ids",
        machine.pid_max,
        usage.tasks.unwrap_or(0),
        cost.tasks,
        "raise `kernel.pid_max`",
    );
    let free = machine.memory_available_bytes;
    let room = free.map(|free| free.saturating_sub(usage.memory_left));
    let (memory, used) = match (usage.memory_limit, room) {
        (Some(limit), Some(room)) if limit <= room => (Some(limit), 0),
        (Some(limit), None) => (Some(limit), 0),
        (_, Some(room)) => {
            let all = machine.memory_bytes.unwrap_or(room).max(room);
            (Some(all), all - room)
        }
        (None, None) => (None, 0),
    };
    add(
        "memory",
        memory,
        used,
        cost.memory_bytes,
        "add memory, load less in each worker, or share it with the thread profile",
    );
    add(
        "ports",
        usage.ports,
        0,
        0.0,
        "workers dial a socket in the run directory and take no port",
    );
    limits.sort_by_key(|limit| limit.workers.unwrap_or(u64::MAX));
    limits
}
