//! Evidence of out-of-memory kills: the control group of a worker counts them.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{LazyLock, Mutex, PoisonError};

/// Mount points of control groups: version 2, and the memory controller of version 1.
const UNIFIED: &str = "/sys/fs/cgroup";
const MEMORY: &str = "/sys/fs/cgroup/memory";

/// Files with the counter, the best first: two of version 2, then the one of version 1. The first
/// does not count descendants of the group.
const FILES: [&str; 3] = ["memory.events.local", "memory.events", "memory.oom_control"];

/// Kills that already explain a death, by the file of the counter. Workers in one control group
/// share its counter, and one kill explains one death.
static EXPLAINED: LazyLock<Mutex<HashMap<PathBuf, u64>>> = LazyLock::new(Mutex::default);

/// The counter of a process's control group, at some time in the life of the process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Counter {
    file: PathBuf,
    kills: u64,
}

impl Counter {
    /// Reads the counter of a live process. `None` if the kernel has none, as for the root group.
    /// Reads at most three files of `/proc` and `/sys`.
    pub(crate) fn of(pid: u32) -> Option<Self> {
        let groups = fs::read_to_string(format!("/proc/{pid}/cgroup")).ok()?;
        let dirs = directories(&groups).into_iter();
        let mut files = dirs.flat_map(|dir| FILES.map(|name| dir.join(name)));
        files.find_map(|file| {
            let kills = kills(&file)?;
            Some(Self { file, kills })
        })
    }

    /// Returns whether an out-of-memory kill in the group explains the death of the process, which
    /// this process did not kill. Each kill explains one death.
    pub(crate) fn explains(&self) -> bool {
        let Some(now) = kills(&self.file) else {
            return false;
        };
        let mut explained = EXPLAINED.lock().unwrap_or_else(PoisonError::into_inner);
        let last = explained.get(&self.file).copied().unwrap_or(self.kills);
        let before = last.max(self.kills);
        if now <= before {
            return false;
        }
        // Groups of workers come and go.
        explained.retain(|file, _| file.exists());
        explained.insert(self.file.clone(), before + 1);
        true
    }
}

/// Returns the directories that may count the memory of a process, from its `/proc/<pid>/cgroup`.
fn directories(groups: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for line in groups.lines() {
        let mut parts = line.splitn(3, ':');
        let (Some(_), Some(controllers), Some(path)) = (parts.next(), parts.next(), parts.next())
        else {
            continue;
        };
        let root = match controllers {
            "" => UNIFIED,
            _ if controllers.split(',').any(|name| name == "memory") => MEMORY,
            _ => continue,
        };
        let dir = Path::new(root).join(path.trim_start_matches('/'));
        // In a container the mount may start at its own group, above which the path begins.
        found.push(if dir.is_dir() {
            dir
        } else {
            PathBuf::from(root)
        });
    }
    found
}

fn kills(file: &Path) -> Option<u64> {
    let text = fs::read_to_string(file).ok()?;
    let mut lines = text.lines();
    let count = lines.find_map(|line| line.strip_prefix("oom_kill "))?;
    count.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_of_both_versions_are_found() {
        let unified = directories("0::/\n");
        assert_eq!(unified, [PathBuf::from(UNIFIED)]);
        let missing =
            "5:cpu,cpuacct:/a\n4:memory:/no-such-group/b:c\n1:name=systemd:/a\nnonsense\n";
        assert_eq!(directories(missing), [PathBuf::from(MEMORY)]);
    }

    #[test]
    fn one_kill_explains_one_death() {
        let dir = tempfile::tempdir().expect("a directory");
        let file = dir.path().join("memory.events.local");
        let write = |kills: u64| {
            let text = format!("low 0\nhigh 7\nmax 9\noom 3\noom_kill {kills}\noom_group_kill 5\n");
            fs::write(&file, text).expect("a file");
        };
        write(3);
        let counter = |kills| Counter {
            file: file.clone(),
            kills,
        };
        let (one, other) = (counter(3), counter(3));
        assert!(!one.explains() && !other.explains(), "it did not rise");
        write(4);
        assert!(one.explains());
        assert!(!other.explains(), "that was the end of the first");
        write(6);
        assert!(other.explains() && counter(4).explains());
        assert!(!counter(4).explains() && !counter(6).explains());
        fs::remove_file(&file).expect("it was there");
        assert!(!counter(0).explains(), "its group is gone");
    }

    #[test]
    fn the_counter_of_version_1_is_read_too() {
        let dir = tempfile::tempdir().expect("a directory");
        let file = dir.path().join("memory.oom_control");
        let text = "oom_kill_disable 0\nunder_oom 0\noom_kill 12\n";
        fs::write(&file, text).expect("a file");
        assert_eq!(kills(&file), Some(12));
        fs::write(&file, "oom_kill_disable 0\nunder_oom 0\n").expect("a file");
        assert_eq!(kills(&file), None);
    }
}
