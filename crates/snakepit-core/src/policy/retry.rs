//! Retries of failed calls: their number, their waits, and their budget.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use crate::config::{ConfigError, duration, range};
use crate::error::Error;

/// The policy by which calls are repeated whose worker died.
///
/// A call is repeated if it certainly did not run, or if its caller says that running it twice is
/// harmless ([`CallOptions::idempotent`](crate::call::CallOptions::idempotent)); always within its
/// own deadline, and within the pool's budget. Streams and batches are not repeated.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct RetryPolicy {
    /// Retries of one call, 1 to 100; 2 by default.
    pub retries: u32,
    /// Retries in percent of the calls, 0 to 100; 10 by default. The limit keeps retries from
    /// adding load to a pool in trouble.
    pub budget: u32,
    /// Retries that the budget allows at once, saved up from earlier calls, 1 to 10000; 10 by
    /// default. A new pool starts with as many.
    pub burst: u32,
    /// Longest wait before the first retry; doubles with each further one. The wait is a random
    /// time between zero and that. 50 ms by default.
    pub initial_backoff: Duration,
    /// Limit of the longest wait; 1 s by default.
    pub max_backoff: Duration,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            retries: 2,
            budget: 10,
            burst: 10,
            initial_backoff: Duration::from_millis(50),
            max_backoff: Duration::from_secs(1),
        }
    }
}

impl RetryPolicy {
    pub(crate) fn validate(&self) -> Result<(), ConfigError> {
        range("retry.retries", self.retries as usize, 1, 100)?;
        range("retry.budget", self.budget as usize, 0, 100)?;
        range("retry.burst", self.burst as usize, 1, 10_000)?;
        duration("retry.initial_backoff", self.initial_backoff, true)?;
        duration("retry.max_backoff", self.max_backoff, true)
    }

    /// Returns true if a call that failed with this error may be repeated.
    const fn covers(error: &Error, idempotent: bool) -> bool {
        match error {
            Error::WorkerDied { ambiguous, .. } => idempotent || !*ambiguous,
            _ => false,
        }
    }

    /// Returns the wait before the n-th retry, from 1; `random` is between 0 and 1.
    fn wait(&self, retry: u32, random: f64) -> Duration {
        // 2^20 times the first wait is past any sensible limit, and the shift stays in range.
        let longest = self
            .initial_backoff
            .saturating_mul(1 << (retry - 1).min(20));
        longest.min(self.max_backoff).mul_f64(random)
    }
}

/// The decision about a failed attempt of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RetryDecision {
    /// The call is repeated after this pause, at this moment.
    Repeat(Duration, Instant),
    /// The call could be repeated, but a limit is reached, which this word names.
    Exhausted(&'static str),
    /// The error is final.
    Final,
}

/// The retries of one call.
#[derive(Debug)]
pub(crate) struct Retries<'a> {
    pub(crate) policy: &'a RetryPolicy,
    /// Running the call twice is harmless.
    pub(crate) idempotent: bool,
    /// The deadline of the call. `None` if it has none.
    pub(crate) until: Option<Instant>,
    /// Retries so far.
    pub(crate) made: u32,
}

impl Retries<'_> {
    /// Decides about an attempt that failed `now`. `take` takes a retry from the budget.
    pub(crate) fn next(
        &mut self,
        error: &Error,
        now: Instant,
        take: impl FnOnce() -> bool,
    ) -> RetryDecision {
        if !RetryPolicy::covers(error, self.idempotent) {
            return RetryDecision::Final;
        }
        if self.made == self.policy.retries {
            return RetryDecision::Exhausted("attempts");
        }
        let pause = self.policy.wait(self.made + 1, fastrand::f64());
        let at = now + pause;
        if self.until.is_some_and(|until| at >= until) {
            return RetryDecision::Exhausted("deadline");
        }
        if !take() {
            return RetryDecision::Exhausted("budget");
        }
        self.made += 1;
        RetryDecision::Repeat(pause, at)
    }
}

/// The retries that a pool may still make: each call adds its percentage, each retry takes one.
#[derive(Debug)]
pub(crate) struct RetryBudget {
    /// Saved retries, in hundredths.
    saved: u64,
    each: u64,
    most: u64,
}

impl RetryBudget {
    pub(crate) fn new(policy: &RetryPolicy) -> Self {
        let most = u64::from(policy.burst) * 100;
        Self {
            saved: most,
            each: u64::from(policy.budget),
            most,
        }
    }

    /// Adds the percentage of a new call.
    pub(crate) fn call(&mut self) {
        self.saved = (self.saved + self.each).min(self.most);
    }

    /// Takes one retry. Returns `false` if the budget is used up.
    pub(crate) fn take(&mut self) -> bool {
        let rest = self.saved.checked_sub(100);
        self.saved = rest.unwrap_or(self.saved);
        rest.is_some()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// In any stretch of time, retries do not exceed the burst and the percentage of its calls,
        /// and none is denied within that.
        #[test]
        fn retries_keep_to_the_budget(
            steps in prop::collection::vec(any::<bool>(), 1..400),
            budget in 0_u32..=100,
            burst in 1_u32..5,
        ) {
            let policy = RetryPolicy { budget, burst, ..RetryPolicy::default() };
            let mut state = RetryBudget::new(&policy);
            let mut history = Vec::new();
            for call in steps {
                if call {
                    state.call();
                    history.push((1_u64, 0_u64));
                    continue;
                }
                let taken = state.take();
                history.push((0, u64::from(taken)));
                // The most that any stretch up to now allows.
                let (mut calls, mut retries, mut full) = (0, 0, false);
                for (call, retry) in history.iter().rev() {
                    (calls, retries) = (calls + call, retries + retry);
                    prop_assert!(retries * 100 <= u64::from(burst) * 100 + calls * u64::from(budget));
                    full |= (retries + 1) * 100 > u64::from(burst) * 100 + calls * u64::from(budget);
                }
                if !taken {
                    prop_assert!(full, "refused without need");
                }
            }
        }

        #[test]
        fn waits_grow_to_their_limit_and_never_beyond(retry in 1_u32..200, random in 0.0_f64..=1.0) {
            let policy = RetryPolicy::default();
            let wait = policy.wait(retry, random);
            prop_assert!(wait <= policy.wait(retry, 1.0));
            prop_assert!(policy.wait(retry, 1.0) <= policy.max_backoff);
            prop_assert!(policy.wait(retry, 1.0) <= policy.wait(retry + 1, 1.0));
            prop_assert_eq!(policy.wait(retry, 0.0), Duration::ZERO);
        }
    }
}
