//! Rules about single workers and about the rate of their deaths.

use super::Scene;
use crate::text::{count, seconds};
use crate::{Finding, Severity, WorkerReport};

/// Seconds from which a held interpreter is a problem.
const HELD: f64 = 1.0;

/// Seconds from which a held interpreter is critical.
const HELD_LONG: f64 = 10.0;

/// Seconds without CPU time from which a call is suspicious.
const FLAT: f64 = 30.0;

/// Deaths within [`LATELY`] from which they are too many, if they are also at least half as many as
/// the workers.
const DEATHS: usize = 3;

/// Seconds for which deaths are counted.
const LATELY: f64 = 60.0;

/// The pool has paused starting workers.
pub(super) fn gave_up(scene: &Scene<'_>, findings: &mut Vec<Finding>) {
    let Some(error) = &scene.pool.start_error else {
        return;
    };
    let none = scene.pool.worker_count == 0;
    findings.push(scene.finding(
        if none {
            Severity::Critical
        } else {
            Severity::Warning
        },
        "gave_up",
        format!(
            "pool `{}` has stopped starting workers: {error}",
            scene.pool.pool
        ),
        if none {
            "without a worker every call fails"
        } else {
            "the remaining workers get all calls"
        },
        "fix the cause; the pool retries automatically".to_owned(),
    ));
}

/// One thread holds the interpreter of a worker.
pub(super) fn gil_held(scene: &Scene<'_>, findings: &mut Vec<Finding>) {
    for (worker, held) in those(scene, |worker| worker.held_seconds.filter(|it| *it >= HELD)) {
        let tool = scene
            .pool
            .calls
            .iter()
            .find(|call| call.worker == worker.id);
        let tool = tool.map_or_else(String::new, |call| format!(", in tool `{}`", call.tool));
        findings.push(Finding {
            worker: Some(worker.id.clone()),
            ..scene.finding(
                if held >= HELD_LONG { Severity::Critical } else { Severity::Warning },
                "gil_held",
                format!("worker `{}` holds the GIL for {}{tool}", worker.id, seconds(held)),
                "no other thread of the worker runs, so its other calls are blocked and cannot be cancelled",
                format!(
                    "locate the code with `snakepit stack {}`; release the GIL in it, or give each call a process of its own",
                    worker.id
                ),
            )
        });
    }
}

/// The calls of a worker use no CPU time.
pub(super) fn stalled(scene: &Scene<'_>, findings: &mut Vec<Finding>) {
    for (worker, flat) in those(scene, |worker| worker.flat_seconds.filter(|it| *it >= FLAT)) {
        findings.push(Finding {
            worker: Some(worker.id.clone()),
            ..scene.finding(
                Severity::Warning,
                "stalled",
                format!(
                    "the calls of worker `{}` have used no CPU time for {}",
                    worker.id,
                    seconds(flat)
                ),
                "they wait for something outside, or for each other, and keep their slots",
                format!(
                    "find out what they wait for with `snakepit stack {}`",
                    worker.id
                ),
            )
        });
    }
}

/// The adapter's own checks fail.
pub(super) fn unhealthy(scene: &Scene<'_>, findings: &mut Vec<Finding>) {
    for (worker, error) in those(scene, |worker| worker.unhealthy.as_ref()) {
        findings.push(Finding {
            worker: Some(worker.id.clone()),
            ..scene.finding(
                Severity::Warning,
                "unhealthy",
                format!("the health check of worker `{}` fails: {error}", worker.id),
                "the pool replaces the worker when the check fails again, and each replacement as well",
                "fix what the check reports".to_owned(),
            )
        });
    }
}

/// Workers die and restart repeatedly.
pub(super) fn churn(scene: &Scene<'_>, findings: &mut Vec<Finding>) {
    let pool = scene.pool;
    let lately = |death: &&crate::Death| scene.at - death.at <= LATELY;
    let deaths = pool.deaths.iter().filter(lately).count();
    if deaths < DEATHS || deaths * 2 < pool.target {
        return;
    }
    let last = pool.deaths.first().map(|death| death.exit.as_str());
    findings.push(scene.finding(
        Severity::Critical,
        "churn",
        format!(
            "{} of pool `{}` died within the last {}; the last one: {}",
            count(deaths, "worker", "workers"),
            pool.pool,
            seconds(LATELY),
            last.unwrap_or_default()
        ),
        "each death fails the calls of its worker, and a start costs more than a call",
        format!(
            "read the last output with `snakepit logs --pool {}`",
            pool.pool
        ),
    ));
}

/// Returns the workers for which `of` returns a value, with that value.
fn those<'a, T>(
    scene: &'a Scene<'_>,
    of: impl Fn(&'a WorkerReport) -> Option<T>,
) -> impl Iterator<Item = (&'a WorkerReport, T)> {
    let workers = scene.pool.workers.iter();
    workers.filter_map(move |worker| Some((worker, of(worker)?)))
}
