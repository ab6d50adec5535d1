//! Limits of the machine or the container, and how much of them is in use.

use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::process::kib;

/// Limits of the machine and of this process. `None` means unknown or unlimited.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct Machine {
    /// Processors that this process may use.
    pub cpus: usize,
    /// Bytes of memory: the machine's, or the control group's limit if that is lower.
    pub memory_bytes: Option<u64>,
    /// Bytes of that memory that are free or can be reclaimed.
    pub memory_available_bytes: Option<u64>,
    /// Maximum number of descriptors that this process may have open.
    pub open_files_limit: Option<u64>,
    /// Descriptors that this process has open.
    pub open_files: Option<u64>,
    /// Maximum number of processes and threads of this user.
    pub processes_limit: Option<u64>,
    /// Maximum number of processes and threads of the control group.
    pub cgroup_tasks_limit: Option<u64>,
    /// Highest process id.
    pub pid_max: Option<u64>,
}

impl Machine {
    /// Reads the limits from a few files of `/proc` and `/sys`.
    pub fn here() -> Self {
        let read = |path: &str| fs::read_to_string(path).ok();
        let meminfo = read("/proc/meminfo").unwrap_or_default();
        let limits = read("/proc/self/limits").unwrap_or_default();
        let cgroup = own_cgroup();
        let of_cgroup = |name: &str| smallest(cgroup.as_deref()?, name);
        let total = kib(&meminfo, "MemTotal:");
        let limit = of_cgroup("memory.max").filter(|limit| total.is_none_or(|all| *limit < all));
        let available = kib(&meminfo, "MemAvailable:");
        let in_limit = limit.map(|limit| {
            let used = cgroup
                .as_deref()
                .and_then(|dir| number(&dir.join("memory.current")));
            limit.saturating_sub(used.unwrap_or(0))
        });
        Self {
            cpus: std::thread::available_parallelism().map_or(1, usize::from),
            memory_bytes: limit.or(total),
            memory_available_bytes: in_limit.into_iter().chain(available).min(),
            open_files_limit: soft(&limits, "Max open files"),
            open_files: fs::read_dir("/proc/self/fd")
                .ok()
                .map(|it| it.count() as u64),
            processes_limit: soft(&limits, "Max processes"),
            cgroup_tasks_limit: of_cgroup("pids.max"),
            pid_max: read("/proc/sys/kernel/pid_max").and_then(|text| text.trim().parse().ok()),
        }
    }
}

/// Returns the soft limit of this name. `None` if it is `unlimited`.
fn soft(limits: &str, name: &str) -> Option<u64> {
    let line = limits.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
}

/// Returns the directory of this process's control group (version 2).
pub(crate) fn own_cgroup() -> Option<PathBuf> {
    cgroup(&fs::read_to_string("/proc/self/cgroup").ok()?)
}

/// Returns the directory that a line of `/proc/self/cgroup` names.
fn cgroup(text: &str) -> Option<PathBuf> {
    let path = text.lines().find_map(|line| line.strip_prefix("0::/"))?;
    // A group outside this namespace has no directory here.
    let inside = !path.split('/').any(|part| part == "..");
    inside.then(|| Path::new("/sys/fs/cgroup").join(path))
}

/// Returns the smallest number in the files of this name, in a control group and its ancestors;
/// `max` is no number.
fn smallest(dir: &Path, name: &str) -> Option<u64> {
    let groups = dir
        .ancestors()
        .take_while(|dir| dir.starts_with("/sys/fs/cgroup"));
    groups.filter_map(|dir| number(&dir.join(name))).min()
}

/// Reads a file that holds one number.
pub(crate) fn number(file: &Path) -> Option<u64> {
    fs::read_to_string(file).ok()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_and_control_groups_are_read_as_the_kernel_writes_them() {
        let limits = "Limit                     Soft Limit           Hard Limit           Units     \n\
                      Max processes             unlimited            unlimited            processes \n\
                      Max open files            1024                 1048576              files     \n";
        assert_eq!(soft(limits, "Max open files"), Some(1024));
        assert_eq!(soft(limits, "Max processes"), None);
        assert_eq!(soft("", "Max open files"), None);
        let group = |text| cgroup(text).map(|path| path.display().to_string());
        let own = group("1:name=systemd:/x\n0::/user.slice/a.scope\n");
        assert_eq!(own.as_deref(), Some("/sys/fs/cgroup/user.slice/a.scope"));
        assert_eq!(group("0::/\n").as_deref(), Some("/sys/fs/cgroup/"));
        assert_eq!(group("0::/../../other\n"), None);
        assert_eq!(group("4:memory:/docker/1\n"), None);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn this_machine_has_processors_memory_and_descriptors() {
        let machine = Machine::here();
        assert!(
            machine.cpus > 0 && machine.memory_bytes > Some(1 << 20),
            "{machine:?}"
        );
        assert!(
            machine.memory_available_bytes <= machine.memory_bytes,
            "{machine:?}"
        );
        assert!(machine.open_files > Some(2), "{machine:?}");
    }
}
