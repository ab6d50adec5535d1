//! Resources in use on this machine, from `/proc` and `/sys`.

use std::fs;
use std::path::Path;

use super::{Usage, WorkerCost};
use crate::PoolReport;
use crate::machine::{number, own_cgroup};

/// Capabilities that exempt a process from the limit of a user's processes: CAP_SYS_ADMIN,
/// CAP_SYS_RESOURCE.
const UNLIMITED: u64 = 1 << 21 | 1 << 24;

impl Usage {
    /// Measures the usage. `memory_left` bytes must stay free, and workers may take `memory_limit`
    /// bytes. Reads a file for each process.
    pub fn here(memory_left: u64, memory_limit: Option<u64>) -> Self {
        let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
        let own = read("/proc/self/status");
        Self {
            user_tasks: limited(&own).then(|| tasks_of(user(&own))),
            cgroup_tasks: own_cgroup().and_then(|group| number(&group.join("pids.current"))),
            tasks: all_tasks(&read("/proc/loadavg")),
            tasks_limit: number(Path::new("/proc/sys/kernel/threads-max")),
            memory_left,
            memory_limit,
            ports: ports(&read("/proc/sys/net/ipv4/ip_local_port_range")),
        }
    }
}

impl WorkerCost {
    /// Computes the mean cost of a pool's workers, which use `descriptors` descriptors of their
    /// host. `None` if there is no worker.
    pub fn of(pool: &PoolReport, descriptors: u64) -> Option<Self> {
        let pids: Vec<_> = pool
            .workers
            .iter()
            .filter_map(|worker| worker.pid)
            .collect();
        let n = u32::try_from(pids.len()).ok().filter(|n| *n > 0)?;
        let tasks: u64 = pids.iter().filter_map(|pid| tasks(*pid)).sum();
        Some(Self {
            memory_bytes: pool
                .memory
                .map_or(0.0, |memory| memory.average_bytes as f64),
            descriptors: descriptors as f64 / f64::from(n),
            tasks: tasks as f64 / f64::from(n),
        })
    }
}

/// Returns the first word of a field of `/proc/PID/status`.
fn field<'a>(status: &'a str, name: &str) -> Option<&'a str> {
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_ascii_whitespace().next()
}

/// Returns the real user id of a process.
fn user(status: &str) -> Option<&str> {
    field(status, "Uid:")
}

/// Returns whether the limit of a user's processes applies to a process.
fn limited(status: &str) -> bool {
    let capabilities = field(status, "CapEff:").and_then(|it| u64::from_str_radix(it, 16).ok());
    user(status) != Some("0") && capabilities.unwrap_or(0) & UNLIMITED == 0
}

/// Counts the processes and threads of a user. Those that end meanwhile may be missing.
fn tasks_of(wanted: Option<&str>) -> u64 {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let statuses = entries.filter_map(|entry| fs::read_to_string(entry.path().join("status")).ok());
    let of_user = statuses.filter(|status| user(status) == wanted);
    of_user
        .filter_map(|status| field(&status, "Threads:")?.parse::<u64>().ok())
        .sum()
}

/// Parses the number of processes and threads in `/proc/loadavg`: `0.20 0.18 0.12 1/80 11206`.
fn all_tasks(loadavg: &str) -> Option<u64> {
    let (_, all) = loadavg.split_ascii_whitespace().nth(3)?.split_once('/')?;
    all.parse().ok()
}

/// Counts the ports in a range such as `32768 60999`.
fn ports(range: &str) -> Option<u64> {
    let mut ends = range.split_ascii_whitespace().map(str::parse::<u64>);
    let (first, last) = (ends.next()?.ok()?, ends.next()?.ok()?);
    Some((last + 1).saturating_sub(first))
}

/// Returns the number of threads of a process. `None` if it is gone.
fn tasks(pid: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    field(&status, "Threads:")?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_read_as_the_kernel_writes_them() {
        let status =
            "Name:\ta b\nUid:\t1000\t1000\t1000\t1000\nThreads:\t7\nCapEff:\t0000000000000000\n";
        assert_eq!(
            (user(status), field(status, "Threads:")),
            (Some("1000"), Some("7"))
        );
        assert!(limited(status));
        for other in [
            status.replace("1000", "0"),
            status.replace("CapEff:\t0000000000000000", "CapEff:\t0000000001000000"),
            status.replace("CapEff:\t0000000000000000", "CapEff:\t000001ffffffffff"),
        ] {
            assert!(!limited(&other), "{other}");
        }
        assert_eq!(all_tasks("0.20 0.18 0.12 1/80 11206\n"), Some(80));
        assert_eq!(ports("32768\t60999\n"), Some(28_232));
        for bad in ["", "1", "x y", "9 3"] {
            assert_eq!(
                (all_tasks(bad), ports(bad).unwrap_or(0)),
                (None, 0),
                "{bad}"
            );
        }
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn this_machine_has_tasks_and_this_process_is_one_of_them() {
        let usage = Usage::here(1, None);
        assert!(
            usage.tasks > Some(0) && usage.tasks_limit > usage.tasks,
            "{usage:?}"
        );
        assert!(tasks(std::process::id()) >= Some(1));
        assert_eq!(tasks(u32::MAX), None);
        let status = fs::read_to_string("/proc/self/status").unwrap();
        assert!(tasks_of(user(&status)) >= tasks(std::process::id()).unwrap_or(1));
    }
}
