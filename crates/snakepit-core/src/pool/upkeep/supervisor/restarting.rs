//! The replacement of dead workers, and the decision to give up.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::Supervisor;
use crate::error::StartError;
use crate::events::emit;
use crate::pool::RestartPolicy;
use crate::pool::state::ReadyWorker;
use crate::printable::Printable;

/// The window over which immediate replacements are counted.
const PACE: Duration = Duration::from_secs(1);

/// The history that decides about the next start.
#[derive(Debug, Default)]
pub(super) struct Restarts {
    /// Moments of the failures within the restart window, oldest first.
    failures: VecDeque<Instant>,
    /// Moments of the deaths with an immediate replacement within [`PACE`], oldest first.
    prompt: VecDeque<Instant>,
    /// Time at which the latest well-started worker became ready.
    good: Option<Instant>,
}

/// The consequence of a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum RestartDecision {
    Wait(Duration),
    GiveUp,
}

/// Returns the failures allowed in the window, and the immediate replacements allowed in a second,
/// for a pool of so many workers.
fn allowed(policy: &RestartPolicy, workers: usize) -> usize {
    match policy.max_restarts {
        0 => 0,
        most => (most as usize).max(workers),
    }
}

impl Restarts {
    /// Notes that a worker that became ready then has started well: earlier failures do not count.
    fn forgive(&mut self, ready: Instant) {
        self.good = self.good.max(Some(ready));
    }

    fn fail(&mut self, policy: &RestartPolicy, workers: usize, now: Instant) -> RestartDecision {
        expire(&mut self.failures, policy.window, now);
        let good = self.good;
        self.failures.retain(|at| Some(*at) >= good);
        self.failures.push_back(now);
        if self.failures.len() > allowed(policy, workers) {
            return RestartDecision::GiveUp;
        }
        RestartDecision::Wait(policy.backoff(self.failures.len()))
    }

    /// Handles the death of a worker that had started well. Returns the moment at which its
    /// replacement may start.
    fn prompt(&mut self, policy: &RestartPolicy, workers: usize, now: Instant) -> Instant {
        expire(&mut self.prompt, PACE, now);
        let most = allowed(policy, workers).max(1);
        // Earlier replacements may be delayed as well, so the start of the last of them counts.
        let at = match self.prompt.len().checked_sub(most) {
            Some(index) => (self.prompt[index] + PACE).max(now),
            None => now,
        };
        self.prompt.push_back(at);
        at
    }
}

fn expire(moments: &mut VecDeque<Instant>, window: Duration, now: Instant) {
    while moments
        .front()
        .is_some_and(|at| now.saturating_duration_since(*at) >= window)
    {
        moments.pop_front();
    }
}

impl Supervisor {
    /// Handles the end of a worker. Returns `true` if it had started well.
    pub(super) fn started_well(&mut self, live: &ReadyWorker) -> bool {
        let good = live.has_started_well(self.shared.config.restart.min_lifetime);
        if good {
            self.restarts.forgive(live.ready);
        }
        good
    }

    /// Handles the death of a worker that had started well: waiting would only prolong the outage.
    pub(super) fn mishap(&mut self, error: StartError) {
        let policy = &self.shared.config.restart;
        if policy.max_restarts == 0 {
            return self.failed(error);
        }
        let now = Instant::now();
        let target = self.shared.lock().target();
        let at = self.restarts.prompt(policy, target, now);
        if at > now {
            self.not_before = self.not_before.max(Some(at));
        }
    }

    /// Records a failure, and decides when to start again.
    pub(super) fn failed(&mut self, error: StartError) {
        let now = Instant::now();
        let policy = &self.shared.config.restart;
        let target = {
            let state = self.shared.lock();
            let workers = state.workers().map(|(_, live)| live);
            let good = workers.filter(|live| live.has_started_well(policy.min_lifetime));
            if let Some(ready) = good.map(|live| live.ready).max() {
                self.restarts.forgive(ready);
            }
            state.target()
        };
        let verdict = self.restarts.fail(policy, target, now);
        match verdict {
            RestartDecision::Wait(wait) if !error.permanent && !self.half_open => {
                self.not_before = Some(now + wait);
            }
            _ => self.give_up(error, now),
        }
    }

    fn give_up(&mut self, mut error: StartError, now: Instant) {
        emit!(
            self.shared.hub,
            PoolGaveUp {
                pool: self.shared.config.name.clone(),
                error: Printable(&error.message).to_string(),
            }
        );
        self.half_open = true;
        self.not_before = Some(now + self.shared.config.restart.window);
        if error.help.is_none() {
            let window = self.shared.config.restart.window;
            error.help = Some(format!(
                "fix the cause of the worker failures; the pool retries in {window:?}"
            ));
        }
        let error = Arc::new(error);
        self.shared.give_up(&error);
        let failed = Some(error);
        self.shared
            .readiness
            .send_modify(|state| state.failed = failed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deaths_of_good_workers_are_met_at_once_but_not_without_end() {
        let policy = RestartPolicy::default();
        let (start, mut restarts) = (Instant::now(), Restarts::default());
        let mut starts = Vec::new();
        for n in 0..1000 {
            let now = start + Duration::from_millis(n);
            starts.push(restarts.prompt(&policy, 4, now));
        }
        assert!(
            starts[..10]
                .iter()
                .zip(0..)
                .all(|(at, n)| *at == start + Duration::from_millis(n))
        );
        for pair in starts.windows(11) {
            assert!(pair[10] - pair[0] >= PACE);
        }
        // A slow trickle never waits.
        let mut now = starts[999] + PACE;
        for _ in 0..100 {
            assert_eq!(restarts.prompt(&policy, 4, now), now);
            now += PACE / 10;
        }
        assert!(restarts.prompt.len() <= 11);
    }

    #[test]
    fn failures_wait_longer_each_time_and_end_in_giving_up() {
        let policy = RestartPolicy::default();
        let (now, mut restarts) = (Instant::now(), Restarts::default());
        let waits = (0..10).map(|_| restarts.fail(&policy, 4, now));
        let expected = (1..=10).map(|n| RestartDecision::Wait(policy.backoff(n)));
        assert!(waits.eq(expected));
        assert_eq!(restarts.fail(&policy, 4, now), RestartDecision::GiveUp);
        let later = now + policy.window;
        assert_eq!(
            restarts.fail(&policy, 4, later),
            RestartDecision::Wait(policy.initial_backoff)
        );
        // One for each worker of a large pool.
        for _ in 0..19 {
            assert!(matches!(
                restarts.fail(&policy, 20, later),
                RestartDecision::Wait(_)
            ));
        }
        assert_eq!(restarts.fail(&policy, 20, later), RestartDecision::GiveUp);
    }

    #[test]
    fn a_worker_that_starts_well_forgives_what_failed_before_it() {
        let policy = RestartPolicy::default();
        let (mut now, mut restarts) = (Instant::now(), Restarts::default());
        restarts.forgive(now);
        let second = Duration::from_secs(1);
        for n in 1..=5 {
            now += second;
            assert_eq!(
                restarts.fail(&policy, 4, now),
                RestartDecision::Wait(policy.backoff(n))
            );
        }
        // The worker was ready before the last two failures.
        restarts.forgive(now - second - second / 2);
        assert_eq!(
            restarts.fail(&policy, 4, now),
            RestartDecision::Wait(policy.backoff(3))
        );
        restarts.forgive(now + second);
        now += 2 * second;
        assert_eq!(
            restarts.fail(&policy, 4, now),
            RestartDecision::Wait(policy.backoff(1))
        );
    }
}
