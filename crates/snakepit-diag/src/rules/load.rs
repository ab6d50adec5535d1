//! Rules about calls: long waits, rejections and retries.

use super::Scene;
use crate::text::{count, micros};
use crate::{Finding, Severity};

/// Number of waits or retries from which the figures are meaningful.
const ENOUGH: u64 = 20;

/// Retries per call from which they count as a storm.
const STORM: f64 = 0.1;

/// Retries per call from which the storm is critical.
const WORST_STORM: f64 = 0.5;

/// Calls wait longer than they run.
pub(super) fn queue_delay(scene: &Scene<'_>, findings: &mut Vec<Finding>) {
    let pool = scene.pool;
    if pool.queue.depth == 0 || pool.capacity.available > 0 {
        return;
    }
    let (waits, delay, service) = match scene.earlier {
        Some(earlier) => {
            let Some((waits, delay)) = pool.queue_time.since(&earlier.queue_time) else {
                return;
            };
            let service = pool.service_time.since(&earlier.service_time);
            let service = service.map_or(pool.service_time.mean_us, |(_, mean)| mean);
            (waits, delay, service)
        }
        None => {
            let median = |times: &crate::Times| times.p50_us as f64;
            (
                pool.queue_time.count,
                median(&pool.queue_time),
                median(&pool.service_time),
            )
        }
    };
    if waits < ENOUGH || delay <= service {
        return;
    }
    findings.push(scene.finding(
        Severity::Warning,
        "queue_delay",
        format!(
            "calls of pool `{}` wait {} for a slot and take {}; {} now",
            pool.pool,
            micros(delay),
            micros(service),
            count(pool.queue.depth, "call waits", "calls wait"),
        ),
        "all slots are taken, so callers wait longer than their work takes",
        format!(
            "raise `workers` above {}, or make fewer concurrent calls",
            pool.target
        ),
    ));
}

/// Calls wait although slots are free: their sessions are bound to busy workers.
pub(super) fn affinity_starves(scene: &Scene<'_>, findings: &mut Vec<Finding>) {
    let starves = |pool: &crate::PoolReport| {
        pool.state == "ready" && pool.queue.depth > 0 && pool.capacity.available > 0
    };
    // In both reports, if there are two: a slot may just have become free.
    if !starves(scene.pool) || !scene.earlier.is_none_or(starves) {
        return;
    }
    let pool = scene.pool;
    findings.push(scene.finding(
        Severity::Warning,
        "affinity_starves",
        format!(
            "{} in pool `{}` although {} free: the sessions of the calls are bound to busy workers",
            count(pool.queue.depth, "call waits", "calls wait"),
            pool.pool,
            count(pool.capacity.available, "slot is", "slots are"),
        ),
        "a strict session waits for its own worker while other workers are idle",
        "use the affinity `hint`, or spread the work over more sessions".to_owned(),
    ));
}

/// Many calls are retries.
pub(super) fn retry_storm(scene: &Scene<'_>, findings: &mut Vec<Finding>) {
    let retries = scene.grown(|counters| counters.retries);
    let calls = scene
        .grown(|counters| counters.requests)
        .saturating_sub(retries);
    let share = retries as f64 / calls.max(1) as f64;
    if retries < ENOUGH || share < STORM {
        return;
    }
    findings.push(scene.finding(
        if share >= WORST_STORM { Severity::Critical } else { Severity::Warning },
        "retry_storm",
        format!(
            "pool `{}` has retried {retries} of {calls} calls because their workers died",
            scene.pool.pool
        ),
        "retries take slots from other calls, and kill more workers if the call itself is the cause",
        "find out why the workers die before you allow retries; a `quarantine` rejects calls that kill workers".to_owned(),
    ));
}

/// Calls are rejected because the queue is full, or time out in it.
pub(super) fn rejections(scene: &Scene<'_>, findings: &mut Vec<Finding>) {
    let full = scene.grown(|counters| counters.saturated);
    let late = scene.grown(|counters| counters.queue_timeouts);
    // Without an earlier report the rejections may be long past.
    if full + late == 0 || (scene.earlier.is_none() && scene.pool.queue.depth == 0) {
        return;
    }
    findings.push(scene.finding(
        Severity::Critical,
        "rejections",
        format!(
            "pool `{}` has rejected {full} calls because its queue was full, and {late} have timed out in it",
            scene.pool.pool
        ),
        "calls arrive faster than the workers finish them",
        format!("raise `workers` above {}, or slow the callers down", scene.pool.target),
    ));
}

/// Circuit breakers are open.
pub(super) fn circuits(scene: &Scene<'_>, findings: &mut Vec<Finding>) {
    if scene.pool.open_circuits == 0 {
        return;
    }
    findings.push(scene.finding(
        Severity::Critical,
        "circuit_open",
        format!(
            "pool `{}` has {} that reject calls",
            scene.pool.pool,
            count(
                scene.pool.open_circuits,
                "circuit breaker",
                "circuit breakers"
            )
        ),
        "calls fail immediately until trial calls succeed",
        "fix the cause of the failures; `snakepit logs` has the workers' output".to_owned(),
    ));
}
