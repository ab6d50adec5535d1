//! Repeated calls.

use std::sync::Arc;

use tokio::time::Instant;

use super::journal::Progress;
use super::limits::Limits;
use crate::call::CallOptions;
use crate::error::Error;
use crate::events::emit;
use crate::policy::RetryPolicy;
use crate::pool::Pool;
use crate::value::Payload;

impl Pool {
    /// Makes a call, and repeats it where its policies allow that.
    pub(crate) async fn execute_with_policies(
        &self,
        progress: &mut Progress,
        args: Payload,
        options: &CallOptions,
        limits: &Limits,
    ) -> Result<Payload, Error> {
        let again = self.again(&args);
        let first = self.once(progress, args, options, limits).await;
        match (first, again) {
            (Err(error), Some(args)) => self.retry(error, progress, args, options, limits).await,
            (result, _) => result,
        }
    }

    /// Keeps the arguments for a repetition. `None` if the pool does not repeat calls.
    fn again(&self, args: &Payload) -> Option<Payload> {
        self.config().retry.as_ref()?;
        self.shared().lock().earn_retry();
        Some(args.clone())
    }

    /// Repeats a failed call while that is allowed. The error is that of the last attempt.
    async fn retry(
        &self,
        mut error: Error,
        progress: &mut Progress,
        args: Payload,
        options: &CallOptions,
        limits: &Limits,
    ) -> Result<Payload, Error> {
        let (config, shared) = (self.config(), self.shared());
        let policy = config.retry.clone().unwrap_or_default();
        let idempotent = config.is_idempotent(&progress.tool, options);
        let wait = config.wait_of(&progress.tool, options);
        let mut retry = 0;
        loop {
            if !RetryPolicy::covers(&error, idempotent) {
                return Err(error);
            }
            retry += 1;
            let pause = policy.wait(retry, fastrand::f64());
            let at = Instant::now() + pause;
            let exhausted = if retry > policy.retries {
                Some("attempts")
            } else if limits.call.is_some_and(|(until, _)| at >= until) {
                Some("deadline")
            } else {
                (!shared.lock().take_retry()).then_some("budget")
            };
            if let Some(reason) = exhausted {
                emit!(
                    shared.hub,
                    RetryExhausted {
                        pool: config.name.clone(),
                        call: progress.call,
                        tool: Arc::clone(&progress.tool),
                        attempt: retry - 1,
                        reason,
                        code: error.code().as_str(),
                    }
                );
                return Err(error);
            }
            progress.retries(shared, retry, pause, &error);
            tokio::time::sleep_until(at).await;
            let limits = limits.again(wait);
            match self.once(progress, args.clone(), options, &limits).await {
                Ok(reply) => {
                    emit!(
                        shared.hub,
                        RetrySuccess {
                            pool: config.name.clone(),
                            call: progress.call,
                            tool: Arc::clone(&progress.tool),
                            attempt: retry,
                        }
                    );
                    return Ok(reply);
                }
                Err(next) => error = next,
            }
        }
    }
}
