//! Resources of the test process itself: descriptors, threads, and unreaped children.

use std::collections::BTreeMap;
use std::fs;

/// The counts at one moment, for comparison with a later one.
#[derive(Debug)]
pub(crate) struct Held {
    descriptors: BTreeMap<String, usize>,
    threads: usize,
}

impl Held {
    pub(crate) fn now() -> Self {
        // Starts the thread that keeps the death pipes, which exists once per process.
        let _ = snakepit_registry::Support::probe();
        Self {
            descriptors: descriptors(),
            threads: threads().len(),
        }
    }

    /// Returns the resources held beyond these, one line for each kind. Empty if tests share a
    /// process, since the other tests hold resources too.
    pub(crate) fn leaks(&self) -> Vec<String> {
        let mut leaks = Vec::new();
        if std::env::var_os("NEXTEST_EXECUTION_MODE").is_none_or(|mode| mode != "process-per-test")
        {
            return leaks;
        }
        let now = descriptors();
        let (before, after): (usize, usize) = (self.descriptors.values().sum(), now.values().sum());
        if after > before {
            let more = |(target, count): &(&String, &usize)| {
                **count > self.descriptors.get(*target).copied().unwrap_or(0)
            };
            let fresh: Vec<_> = now.iter().filter(more).collect();
            leaks.push(format!(
                "descriptors: {before} before, {after} now: {fresh:?}"
            ));
        }
        let names = threads();
        if names.len() > self.threads {
            leaks.push(format!("threads: {} before, now {names:?}", self.threads));
        }
        let zombies = zombies();
        if !zombies.is_empty() {
            leaks.push(format!("zombies: {zombies:?}"));
        }
        leaks
    }
}

/// Counts the descriptors by target. Pipes and sockets have unique numbers, so they are counted by
/// kind.
fn descriptors() -> BTreeMap<String, usize> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir("/proc/self/fd").unwrap() {
        let Ok(target) = fs::read_link(entry.unwrap().path()) else {
            continue;
        };
        let target = target.display().to_string();
        let kind = match target.split_once(":[") {
            Some((kind, _)) => kind.to_owned(),
            None => target,
        };
        *found.entry(kind).or_default() += 1;
    }
    found
}

/// Returns the names of the threads. Leaves out those of the test's own runtime, which end with it
/// (the runtime does not end while one of them is blocked), and the thread that starts all children
/// of a process, which never ends.
fn threads() -> Vec<String> {
    let tasks = fs::read_dir("/proc/self/task").unwrap();
    let names = tasks.filter_map(|task| fs::read_to_string(task.ok()?.path().join("comm")).ok());
    let mut names: Vec<String> = names
        .map(|name| name.trim().to_owned())
        .filter(|name| !name.starts_with("tokio-"))
        .collect();
    if let Some(spawner) = names.iter().position(|name| name == "snakepit-spawne") {
        names.remove(spawner);
    }
    names
}

/// Returns the children of this process that have ended and were not reaped.
fn zombies() -> Vec<u32> {
    let own = std::process::id().to_string();
    let pids = fs::read_dir("/proc").unwrap().filter_map(|entry| {
        let name = entry.ok()?.file_name();
        name.to_str()?.parse::<u32>().ok()
    });
    pids.filter(|pid| {
        let Ok(stat) = fs::read_to_string(format!("/proc/{pid}/stat")) else {
            return false;
        };
        let mut fields = stat.rsplit(')').next().unwrap().split_whitespace();
        fields.next() == Some("Z") && fields.next() == Some(&own)
    })
    .collect()
}
