//! The memory of a bare worker: how much is it, alone and among 32?

use std::fs::read_to_string;

use crate::Result;
use crate::cli::Plan;
use crate::contest::{Entrant, Figures, alternate};
use crate::floor::Idle;
use crate::host::{Host, multi_thread};
use crate::row::{Row, Target};
use crate::run::rows;

pub(crate) fn run(plan: &Plan) -> Result<Vec<Row>> {
    let mut table = Vec::new();
    for count in [1, 32] {
        table.extend(contest(plan, count)?);
    }
    Ok(table)
}

/// Compares means over all workers; the floor is as many interpreters that have imported nothing.
fn contest(plan: &Plan, count: usize) -> Result<Vec<Row>> {
    let python = &plan.pythons.ours;
    let ours = || {
        let host = Host::start(multi_thread()?, python, count)?;
        weigh(&host.pids())
    };
    let floor = || {
        let idle = (0..count)
            .map(|_| Idle::start(python))
            .collect::<Result<Vec<_>>>()?;
        weigh(&idle.iter().map(Idle::pid).collect::<Vec<_>>())
    };
    let series = alternate(
        plan.rounds,
        &mut [Entrant::ours(ours), Entrant::floor(floor)],
    )?;
    let target = match count {
        1 => [("rss", Target::AtMost(16.0))],
        _ => [("pss", Target::AtMost(8.0))],
    };
    let case = format!("bare worker, {count} running");
    Ok(rows(
        ("memory", &case),
        &[("rss", "MiB"), ("pss", "MiB")],
        &series,
        &target,
    ))
}

/// Returns means over these processes.
fn weigh(pids: &[u32]) -> Result<Figures> {
    let count = pids.len() as f64;
    let mut figures = weigh_all(pids)?;
    figures.values_mut().for_each(|value| *value /= count);
    Ok(figures)
}

/// Returns sums over these processes.
pub(crate) fn weigh_all(pids: &[u32]) -> Result<Figures> {
    if pids.is_empty() {
        return Err("no worker has a process id".into());
    }
    let (mut rss, mut pss) = (0.0, 0.0);
    for pid in pids {
        let rollup = read_to_string(format!("/proc/{pid}/smaps_rollup"))?;
        rss += field(&rollup, "Rss:")?;
        pss += field(&rollup, "Pss:")?;
    }
    Ok(Figures::from([("rss", rss), ("pss", pss)]))
}

/// Returns the resident size of a process in MiB.
pub(crate) fn resident(pid: u32) -> Result<f64> {
    field(&read_to_string(format!("/proc/{pid}/status"))?, "VmRSS:")
}

/// Returns a `Name:   123 kB` line as MiB.
fn field(text: &str, name: &str) -> Result<f64> {
    let value = text.lines().find_map(|line| line.strip_prefix(name));
    let kib = value.and_then(|value| value.split_whitespace().next()?.parse::<f64>().ok());
    Ok(kib.ok_or_else(|| format!("there is no number after {name}"))? / 1024.0)
}

#[cfg(test)]
mod tests {
    use super::{field, resident, weigh};

    #[test]
    fn sizes_are_read() {
        assert_eq!(
            field("Rss:    2048 kB\nPss:  512 kB\n", "Pss:").unwrap(),
            0.5
        );
        assert!(field("Rss: many\n", "Rss:").is_err());
        assert!(weigh(&[]).is_err());
        let own = std::process::id();
        assert!(resident(own).unwrap() > 0.5);
        assert!(weigh(&[own]).unwrap()["rss"] > 0.5);
    }
}
