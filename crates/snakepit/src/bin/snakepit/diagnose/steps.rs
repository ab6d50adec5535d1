//! The stepwise growth of the pool until a limit is near.

use std::time::Duration;

use futures_util::future::join_all;
use snakepit::PoolHandle;
use snakepit::diag::{Machine, Step, Stop};
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::bench::Bench;
use super::say;
use crate::failure::Failure;

/// Interval between two checks of a running step.
const LOOK: Duration = Duration::from_millis(50);

impl Bench<'_> {
    /// Makes the steps in order until one is not completed.
    pub(super) async fn climb(&mut self, pool: &PoolHandle) -> Result<(), Failure> {
        for workers in self.options.steps() {
            let stopped = self.scaling.steps.iter().any(|step| !step.reached());
            if stopped || workers < pool.status().ready {
                continue;
            }
            let step = self.step(pool, workers, true).await?;
            self.scaling.steps.push(step);
            let files = Machine::here().open_files.unwrap_or(0);
            if self.scaling.steps.last().is_some_and(Step::reached) {
                self.find_cost(files.saturating_sub(self.files_before));
            }
        }
        Ok(())
    }

    /// Grows the pool, unless that would exceed a limit.
    pub(super) async fn step(
        &self,
        pool: &PoolHandle,
        workers: usize,
        told: bool,
    ) -> Result<Step, Failure> {
        let before = pool.status();
        let mut step = Step {
            workers,
            ready: before.ready,
            ..Step::default()
        };
        if let Some(limit) = self.scaling.exceeded(workers) {
            let limit = limit.name.to_owned();
            step.stop = Some(Stop::WouldExceed { limit });
            return Ok(step);
        }
        if told {
            say(&format!("growing to {workers} workers"));
        }
        let began = Instant::now();
        pool.resize(workers).await.map_err(|error| {
            Failure::usage(error.code, error.to_string(), "name smaller `--steps`")
        })?;
        let mut ticks = interval(LOOK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while step.stop.is_none() && step.ready < workers {
            ticks.tick().await;
            let status = pool.status();
            step.ready = status.ready;
            step.stop = if status.ready >= workers {
                None
            } else if status.start_failures > before.start_failures || status.start_error.is_some()
            {
                let error = status.start_error.or(status.last_exit);
                let error = error.unwrap_or_else(|| "it ended while it started".to_owned());
                Some(Stop::Failed { error })
            } else if began.elapsed() > self.options.step_timeout {
                Some(Stop::TooSlow)
            } else {
                self.exhausted().map(|limit| Stop::Exhausted {
                    limit: limit.to_owned(),
                })
            };
        }
        step.seconds = began.elapsed().as_secs_f64();
        step.started = step.ready.saturating_sub(before.ready);
        if step.stop.is_some() {
            // Workers that are starting end as well.
            let stay = step.ready.max(1);
            pool.resize(stay).await.ok();
        } else {
            step.answered = answered(pool, workers).await;
        }
        step.memory_bytes = self.memory();
        step.open_files = Machine::here().open_files;
        Ok(step)
    }

    /// Returns the resource that is nearly exhausted, by whatever process.
    fn exhausted(&self) -> Option<&'static str> {
        let machine = Machine::here();
        let short = |free: u64| free < self.usage.memory_left / 2;
        if machine.memory_available_bytes.is_some_and(short) {
            return Some("memory");
        }
        let (used, limit) = (machine.open_files?, machine.open_files_limit?);
        (limit.saturating_sub(used) < 16).then_some("descriptors")
    }
}

/// Makes one concurrent call per worker and returns the number of answers.
async fn answered(pool: &PoolHandle, workers: usize) -> usize {
    let calls = (0..workers).map(|_| pool.execute::<String>("ping", ()));
    let answers = join_all(calls).await;
    answers.iter().filter(|answer| answer.is_ok()).count()
}
