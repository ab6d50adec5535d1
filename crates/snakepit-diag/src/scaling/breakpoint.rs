//! The limit that is reached first, and what to do about it.

use serde::Serialize;

use super::{Scaling, Step, Stop};
use crate::text::{count, seconds};

/// The limit that is reached first when workers are added.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Breakpoint {
    /// The name of a [`Limit`](super::Limit), or `registry`, `start`, `time` or `answers`.
    pub what: String,
    /// Workers that the machine can have.
    pub workers: u64,
    /// True if the limit was reached in a trial; false if it is computed from the figures.
    pub seen: bool,
    /// The observation or the conclusion.
    pub why: String,
    /// One thing to do.
    pub action: String,
}

/// Limits at or above this number of workers are not reported: no single host needs more.
const ENOUGH: u64 = 100_000;

impl Scaling {
    /// Returns the limit that is reached first when workers are added. `None` if there is none.
    pub fn breaks_first(&self) -> Option<Breakpoint> {
        self.registry_breaks()
            .or_else(|| self.steps.iter().find_map(|step| self.step_breaks(step)))
            .or_else(|| self.scarcest())
    }

    fn registry_breaks(&self) -> Option<Breakpoint> {
        let registry = self.registry.as_ref().filter(|it| it.failed > 0)?;
        Some(Breakpoint {
            what: "registry".to_owned(),
            workers: registry.reservations.saturating_sub(registry.failed) as u64,
            seen: true,
            why: format!(
                "{} of {} concurrent reservations failed: {}",
                registry.failed,
                registry.reservations,
                registry.error.as_deref().unwrap_or("the reason is unknown")
            ),
            action: "check with `snakepit doctor` whether the data directory can be used"
                .to_owned(),
        })
    }

    fn step_breaks(&self, step: &Step) -> Option<Breakpoint> {
        let at = |what: &str, why: String, action: String| {
            Some(Breakpoint {
                what: what.to_owned(),
                workers: step.ready as u64,
                seen: true,
                why,
                action,
            })
        };
        match &step.stop {
            Some(Stop::WouldExceed { limit }) => self.limit(limit, false),
            Some(Stop::Exhausted { limit }) => {
                let mut found = self.limit(limit, true)?;
                found.workers = step.ready as u64;
                Some(found)
            }
            Some(Stop::Failed { error }) => at(
                "start",
                format!("a worker did not start: {error}"),
                "fix the error, and try again".to_owned(),
            ),
            Some(Stop::TooSlow) => at(
                "time",
                format!(
                    "{} of {} were ready after {}",
                    step.ready,
                    count(step.workers, "worker", "workers"),
                    seconds(step.seconds)
                ),
                "start fewer workers, use more processors, or give more time with `--step-timeout`"
                    .to_owned(),
            ),
            None if step.answered < step.workers => at(
                "answers",
                format!(
                    "{} of {} answered a call",
                    step.answered,
                    count(step.workers, "worker", "workers")
                ),
                "run it again with -v, and read the output of the workers".to_owned(),
            ),
            None => None,
        }
    }

    fn limit(&self, name: &str, seen: bool) -> Option<Breakpoint> {
        let limit = self.limits.iter().find(|limit| limit.name == name)?;
        let workers = limit.workers?;
        Some(Breakpoint {
            what: limit.name.to_owned(),
            workers,
            seen,
            why: format!(
                "it suffices for {}",
                count(
                    usize::try_from(workers).unwrap_or(usize::MAX),
                    "worker",
                    "workers"
                )
            ),
            action: limit.action.clone(),
        })
    }

    fn scarcest(&self) -> Option<Breakpoint> {
        let scarcest = self.limits.first()?;
        scarcest.workers.filter(|workers| *workers < ENOUGH)?;
        self.limit(scarcest.name, false)
    }
}
