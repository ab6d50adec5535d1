//! Rules about memory: of one worker, of a pool, and of the machine.

use super::Scene;
use crate::text::{amount, seconds};
use crate::{Finding, Severity};

/// Seconds until the limit from which a warning is due.
const SOON: f64 = 600.0;

/// Seconds until the limit from which it is urgent.
const NOW: f64 = 60.0;

/// Share of the machine's memory that workers may take.
const MOST: f64 = 0.9;

/// Seconds until the machine's memory is full beyond which growth is no finding: a worker also
/// grows during its first calls.
const LATER: f64 = 3600.0;

/// Growth per worker, in bytes per second, from which it counts as a leak.
const LEAK: f64 = 1024.0 * 1024.0;

/// Seconds between two reports after which growth is visible.
const APART: f64 = 2.0;

/// The memory of a worker grows and will soon reach its limit.
pub(super) fn reaches_limit(scene: &Scene<'_>, findings: &mut Vec<Finding>) {
    for worker in &scene.pool.workers {
        let (Some(left), Some(limit)) = (worker.memory_limit_in_seconds, worker.memory_limit_bytes)
        else {
            continue;
        };
        if left > SOON {
            continue;
        }
        findings.push(Finding {
            worker: Some(worker.id.clone()),
            ..scene.finding(
                if left <= NOW { Severity::Critical } else { Severity::Warning },
                "memory_trend",
                format!(
                    "the memory of worker `{}` grows and reaches its limit of {} in {}",
                    worker.id,
                    amount(limit),
                    seconds(left)
                ),
                "the pool then replaces the worker; until then its calls compete for memory",
                "find what the tools keep between calls; `recycle.max_requests` limits how much one worker can accumulate".to_owned(),
            )
        });
    }
}

/// The memory of the workers grows without a limit.
pub(super) fn leak(scene: &Scene<'_>, findings: &mut Vec<Finding>) {
    let pool = scene.pool;
    let both = scene
        .earlier
        .and_then(|earlier| Some((earlier.memory?, pool.memory?)));
    let Some((before, after)) = both.filter(|_| scene.passed >= APART) else {
        return;
    };
    let bounded = pool
        .workers
        .iter()
        .any(|worker| worker.memory_limit_bytes.is_some());
    let workers = before.workers.min(after.workers) as f64;
    let growth = (after.average_bytes as f64 - before.average_bytes as f64) / scene.passed;
    if bounded || workers == 0.0 || growth < LEAK {
        return;
    }
    let left = scene
        .machine
        .memory_available_bytes
        .map(|free| free as f64 / (growth * workers));
    if left.is_some_and(|left| left > LATER) {
        return;
    }
    let until = left.map_or_else(String::new, |left| {
        format!(", which fills the machine's memory in {}", seconds(left))
    });
    findings.push(scene.finding(
        if left.is_some_and(|left| left <= NOW) { Severity::Critical } else { Severity::Warning },
        "memory_leak",
        format!(
            "each worker of pool `{}` grows by {} a second{until}",
            pool.pool,
            amount(growth as u64)
        ),
        "no limit bounds the memory of a worker, and the kernel kills arbitrary processes when memory runs out",
        "set `recycle.max_memory`, and find what the tools keep between calls".to_owned(),
    ));
}

/// The workers of a pool take, or will take, more memory than the machine has.
pub(super) fn too_many_workers(scene: &Scene<'_>, findings: &mut Vec<Finding>) {
    let pool = scene.pool;
    let (Some(memory), Some(machine)) = (pool.memory, scene.machine.memory_bytes) else {
        return;
    };
    let wanted = memory.average_bytes.saturating_mul(pool.target as u64);
    let allowed = (machine as f64 * MOST) as u64;
    if wanted <= allowed || memory.average_bytes == 0 {
        return;
    }
    let fit = (allowed / memory.average_bytes).max(1);
    findings.push(scene.finding(
        Severity::Critical,
        "too_many_workers",
        format!(
            "{} workers of pool `{}` take {}, {} each; there is {}",
            pool.target,
            pool.pool,
            amount(wanted),
            amount(memory.average_bytes),
            amount(machine)
        ),
        "the machine runs out of memory, and the kernel kills workers",
        format!("lower `workers` to {fit}, or share memory between calls with the thread profile"),
    ));
}
