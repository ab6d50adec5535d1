//! Advice about the size of a pool.

use super::Scene;
use crate::text::{amount, percent};
use crate::{Band, Finding, Severity};

/// Utilization in percent below which a pool is larger than necessary.
const IDLE: f64 = 20.0;

/// Number of calls after which the figures of a pool are meaningful.
const ENOUGH: u64 = 1000;

/// Memory from which a worker counts as large; an idle one has about 13 MB.
const LARGE: u64 = 500 << 20;

/// Memory from which a worker should have a limit.
const NOTABLE: u64 = 200 << 20;

/// Most slots are in use.
pub(super) fn saturation(scene: &Scene<'_>, findings: &mut Vec<Finding>) {
    let (pool, capacity) = (scene.pool, scene.pool.capacity);
    let severity = match capacity.band() {
        Band::Low => return,
        Band::Moderate => Severity::Advice,
        Band::High | Band::Critical => Severity::Warning,
    };
    findings.push(scene.finding(
        severity,
        "saturation",
        format!(
            "{} of {} slots of pool `{}` are taken ({})",
            capacity.used,
            capacity.total,
            pool.pool,
            percent(capacity.utilization_percent)
        ),
        "a burst of calls has to wait",
        format!(
            "raise `workers` above {} if that is not a short peak",
            pool.target
        ),
    ));
}

/// Hardly any slot is in use, and no call has ever waited.
pub(super) fn too_large(scene: &Scene<'_>, findings: &mut Vec<Finding>) {
    let (pool, capacity) = (scene.pool, scene.pool.capacity);
    let waited = pool.counters.queued;
    let idle = capacity.total > 1 && capacity.utilization_percent < IDLE;
    if !idle || pool.worker_count < 2 || pool.counters.requests < ENOUGH || waited > 0 {
        return;
    }
    findings.push(scene.finding(
        Severity::Advice,
        "too_large",
        format!(
            "{} of pool `{}` are taken, and none of {} calls ever waited",
            percent(capacity.utilization_percent),
            pool.pool,
            pool.counters.requests
        ),
        "idle workers keep their memory",
        "lower `workers`, or let `autoscale` choose their number".to_owned(),
    ));
}

/// Workers have many more threads than calls.
pub(super) fn idle_threads(scene: &Scene<'_>, findings: &mut Vec<Finding>) {
    let (pool, threads) = (scene.pool, scene.pool.threads);
    let few = threads.average_load_per_worker * 4.0 < threads.threads_per_worker as f64;
    if threads.threads_per_worker < 4 || !few || pool.counters.requests < ENOUGH {
        return;
    }
    findings.push(scene.finding(
        Severity::Advice,
        "idle_threads",
        format!(
            "workers of pool `{}` have {} threads each and run {:.1} calls on average",
            pool.pool, threads.threads_per_worker, threads.average_load_per_worker
        ),
        "threads that wait for calls keep their stacks and connections",
        "lower `threads_per_worker`, or `workers`".to_owned(),
    ));
}

/// Several workers are large.
pub(super) fn heavy_workers(scene: &Scene<'_>, findings: &mut Vec<Finding>) {
    let pool = scene.pool;
    let Some(memory) = pool.memory.filter(|memory| memory.average_bytes >= LARGE) else {
        return;
    };
    if pool.target < 2 || pool.threads.threads_per_worker > 1 {
        return;
    }
    findings.push(scene.finding(
        Severity::Advice,
        "heavy_workers",
        format!("workers of pool `{}` have {} each", pool.pool, amount(memory.average_bytes)),
        "each process holds its own copy of the loaded libraries and data",
        "check with `snakepit compat` whether the libraries are thread-safe; the thread profile shares one copy".to_owned(),
    ));
}

/// Workers use notable memory without a limit.
pub(super) fn no_memory_limit(scene: &Scene<'_>, findings: &mut Vec<Finding>) {
    let pool = scene.pool;
    let Some(memory) = pool.memory.filter(|memory| memory.max_bytes >= NOTABLE) else {
        return;
    };
    let bounded = pool
        .workers
        .iter()
        .any(|worker| worker.memory_limit_bytes.is_some());
    if bounded {
        return;
    }
    findings.push(scene.finding(
        Severity::Advice,
        "no_memory_limit",
        format!(
            "the largest worker of pool `{}` has {}, and no limit",
            pool.pool,
            amount(memory.max_bytes)
        ),
        "a leak grows until the kernel kills a process",
        format!(
            "set `recycle.max_memory`, for example to {}",
            amount(memory.max_bytes.saturating_mul(2))
        ),
    ));
}
