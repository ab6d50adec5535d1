//! Calls that are made again.

use std::sync::Arc;

use tokio::time::Instant;

use super::Pool;
use super::limits::Limits;
use crate::policy::{RetryBudget, RetryPolicy};
use crate::{CallOptions, Error, Payload, event};

/// What it takes to make a call again.
pub(super) struct Again {
    tool: Arc<str>,
    args: Payload,
}

impl Pool {
    /// Makes a call, and makes it again where its policies say so.
    pub(super) async fn execute_with_policies(
        &self,
        tool: Arc<str>,
        args: Payload,
        options: &CallOptions,
        limits: &Limits,
    ) -> Result<Payload, Error> {
        let again = self.again(&tool, &args);
        match (self.once(tool, args, options, limits).await, again) {
            (Err(error), Some(again)) => self.retry(error, again, options, limits).await,
            (result, _) => result,
        }
    }

    /// Keeps what it takes to make the call again, where the pool does that.
    fn again(&self, tool: &Arc<str>, args: &Payload) -> Option<Again> {
        self.config().retry.as_ref()?;
        let mut state = self.shared().lock();
        if let Some(budget) = &mut state.retry_budget {
            budget.call();
        }
        Some(Again {
            tool: Arc::clone(tool),
            args: args.clone(),
        })
    }

    /// Makes a call that failed again while that is allowed. The error is that of the last attempt.
    async fn retry(
        &self,
        mut error: Error,
        again: Again,
        options: &CallOptions,
        limits: &Limits,
    ) -> Result<Payload, Error> {
        let (config, tool) = (self.config(), &again.tool);
        let policy = config.retry.clone().unwrap_or_default();
        let idempotent = config.is_idempotent(tool, options);
        let wait = config.wait_of(tool, options);
        for retry in 1..=policy.retries {
            if !RetryPolicy::covers(&error, idempotent) {
                break;
            }
            let at = Instant::now() + policy.wait(retry, fastrand::f64());
            if limits.call.is_some_and(|(until, _)| at >= until) || !self.take_retry() {
                break;
            }
            tracing::debug!(
                target: event::TARGET,
                event = event::CALL_RETRIED,
                pool = %self.name(),
                tool = &*again.tool,
                retry,
                %error,
            );
            tokio::time::sleep_until(at).await;
            let limits = limits.again(wait);
            let (tool, args) = (Arc::clone(&again.tool), again.args.clone());
            match self.once(tool, args, options, &limits).await {
                Ok(reply) => return Ok(reply),
                Err(next) => error = next,
            }
        }
        Err(error)
    }

    fn take_retry(&self) -> bool {
        let mut state = self.shared().lock();
        let taken = state.retry_budget.as_mut().is_some_and(RetryBudget::take);
        state.stats.retries += u64::from(taken);
        taken
    }
}
