//! Calls under policies: the quarantine, circuit breakers and retries.

use std::sync::Arc;

use tokio::time::Instant;

use super::attempt::Attempt;
use super::permit;
use crate::error::Error;
use crate::events::emit;
use crate::policy::{Retries, RetryDecision, RetryPolicy};
use crate::value::Payload;

impl Attempt<'_> {
    /// Makes a call, and repeats it where its policies allow that.
    pub(crate) async fn with_policies(&mut self) -> Result<Payload, Error> {
        let Some(policy) = &self.shared.config.retry else {
            return self.once().await;
        };
        self.shared.lock().earn_retry();
        match self.once().await {
            Err(error) => self.retry(policy, error).await,
            reply => reply,
        }
    }

    /// Makes one attempt of a call, if its policies accept it.
    async fn once(&mut self) -> Result<Payload, Error> {
        let shared = self.shared;
        let harmless = shared.may_isolate(&self.progress.tool, self.options);
        let isolate = shared.screen(self.progress, &self.args, self.options, harmless)?;
        let permit = shared.permit(self.progress, 1)?;
        let result = if isolate {
            Box::pin(self.isolated()).await
        } else {
            self.call().await
        };
        permit::end(permit, result.as_ref().map(drop));
        result
    }

    /// Repeats a failed call while that is allowed. The error is that of the last attempt.
    async fn retry(&mut self, policy: &RetryPolicy, mut error: Error) -> Result<Payload, Error> {
        let (shared, tool) = (self.shared, Arc::clone(&self.progress.tool));
        let config = &shared.config;
        let wait = config.wait_of(&tool, self.options);
        let mut retries = Retries {
            policy,
            idempotent: config.is_idempotent(&tool, self.options),
            until: self.limits.call.map(|(until, _)| until),
            made: 0,
        };
        loop {
            let decision = retries.next(&error, Instant::now(), || shared.lock().take_retry());
            let (pause, at) = match decision {
                RetryDecision::Final => return Err(error),
                RetryDecision::Repeat(pause, at) => (pause, at),
                RetryDecision::Exhausted(reason) => {
                    emit!(
                        shared.hub,
                        RetryExhausted {
                            pool: config.name.clone(),
                            call: self.progress.call,
                            tool,
                            attempt: retries.made,
                            reason,
                            code: error.code().as_str(),
                        }
                    );
                    return Err(error);
                }
            };
            self.progress.retries(shared, retries.made, pause, &error);
            tokio::time::sleep_until(at).await;
            self.limits = self.limits.again(wait);
            match self.once().await {
                Ok(reply) => {
                    emit!(
                        shared.hub,
                        RetrySuccess {
                            pool: config.name.clone(),
                            call: self.progress.call,
                            tool,
                            attempt: retries.made,
                        }
                    );
                    return Ok(reply);
                }
                Err(next) => error = next,
            }
        }
    }
}
