//! Children start and stop, a thousand times.

use std::fs;

use snakepit_registry::{CommandSpec, Output, Registry};

use crate::support::{LONG, close, data_dir, eventually, open, start};

/// The resources of this process.
#[derive(Debug)]
struct Held {
    descriptors: usize,
    threads: usize,
    resident_kib: u64,
}

impl Held {
    fn now() -> Self {
        let count = |what: &str| {
            fs::read_dir(format!("/proc/self/{what}"))
                .expect("/proc")
                .count()
        };
        let status = fs::read_to_string("/proc/self/status").expect("/proc");
        let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let resident = resident.expect("a line").trim().trim_end_matches(" kB");
        Self {
            descriptors: count("fd"),
            threads: count("task"),
            resident_kib: resident.parse().expect("a number"),
        }
    }
}

/// Returns the number of children of this process that have not been reaped.
fn zombies() -> usize {
    let children = fs::read_dir("/proc").expect("/proc").filter_map(|entry| {
        let pid: i32 = entry.ok()?.file_name().to_str()?.parse().ok()?;
        let text = fs::read(format!("/proc/{pid}/stat")).ok()?;
        let stat = snakepit_registry::Stat::parse(&text)?;
        (stat.state == 'Z' && u32::try_from(stat.ppid) == Ok(std::process::id())).then_some(pid)
    });
    children.count()
}

fn cycles(registry: &Registry, turns: usize) {
    let spec = CommandSpec::new("/bin/true").output(Output::Null);
    for turn in 0..turns {
        let (child, _) = start(registry, &format!("w{turn}"), &spec);
        // Some children are waited for, some killed while they end, some left to the reaper.
        match turn % 3 {
            0 => drop(child.wait(LONG).expect("it ends")),
            1 => drop(child.release().expect("release")),
            _ => drop(child),
        }
    }
    eventually(LONG, "all rows are gone", || {
        registry.list().expect("list").is_empty()
    });
}

#[test]
fn row_49_a_thousand_children() {
    let (_dir, data) = data_dir();
    let registry = open(&data);
    cycles(&registry, 200);
    let before = Held::now();
    cycles(&registry, 1000);
    // If tests share a process, other tests hold resources too.
    let alone = std::env::var_os("NEXTEST_EXECUTION_MODE").is_some();
    if alone {
        eventually(LONG, "all children are reaped", || zombies() == 0);
        eventually(LONG, "all descriptors are closed", || {
            Held::now().descriptors <= before.descriptors + 2
        });
        let after = Held::now();
        assert_eq!(after.threads, before.threads);
        let grown = after.resident_kib.saturating_sub(before.resident_kib);
        assert!(grown < 2048, "{grown} KiB: {before:?} {after:?}");
    }
    close(&registry);
}
