//! The retries of a pool around any service of requests.

use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use tokio::time::Instant;
use tower_layer::Layer;
use tower_service::Service;

use crate::call::Request;
use crate::config::ConfigError;
use crate::error::Error;
use crate::id::CallId;
use crate::policy::{Retries, RetryBudget, RetryDecision, RetryPolicy};

/// A predicate: running the request twice is harmless.
type Harmless = Arc<dyn Fn(&Request) -> bool + Send + Sync>;

/// Repeats requests whose worker died, as [`PoolConfig::retry`](crate::pool::PoolConfig::retry)
/// does for the calls of a pool.
///
/// All services that one layer makes share its budget. A request is repeated within its own
/// deadline.
#[derive(Clone)]
pub struct RetryLayer {
    policy: RetryPolicy,
    budget: Arc<Mutex<RetryBudget>>,
    harmless: Harmless,
}

impl RetryLayer {
    /// Creates a layer that repeats requests that certainly did not run.
    ///
    /// # Errors
    /// A setting is out of range.
    pub fn new(policy: RetryPolicy) -> Result<Self, ConfigError> {
        policy.validate()?;
        Ok(Self {
            budget: Arc::new(Mutex::new(RetryBudget::new(&policy))),
            policy,
            harmless: Arc::new(|_| false),
        })
    }

    /// Also repeats requests that may have run, if `harmless` returns true for them.
    #[must_use]
    pub fn idempotent(
        mut self,
        harmless: impl Fn(&Request) -> bool + Send + Sync + 'static,
    ) -> Self {
        self.harmless = Arc::new(harmless);
        self
    }
}

impl fmt::Debug for RetryLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RetryLayer")
            .field("policy", &self.policy)
            .finish_non_exhaustive()
    }
}

impl<S> Layer<S> for RetryLayer {
    type Service = RetryService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        let layer = self.clone();
        RetryService { inner, layer }
    }
}

/// A service wrapped by a [`RetryLayer`].
#[derive(Clone, Debug)]
pub struct RetryService<S> {
    inner: S,
    layer: RetryLayer,
}

impl<S> Service<Request> for RetryService<S>
where
    S: Service<Request, Error = Error> + Clone + Send + 'static,
    S::Future: Send,
    S::Response: Send,
{
    type Response = S::Response;
    type Error = Error;
    type Future = Pin<Box<dyn Future<Output = Result<S::Response, Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request) -> Self::Future {
        // The service that is ready is used; its clone becomes ready for the next request.
        let clone = self.inner.clone();
        let mut inner = std::mem::replace(&mut self.inner, clone);
        let layer = self.layer.clone();
        layer.lock().call();
        Box::pin(async move {
            let mut error = match inner.call(request.clone()).await {
                Ok(response) => return Ok(response),
                Err(error) => error,
            };
            let mut retries = Retries {
                policy: &layer.policy,
                idempotent: (layer.harmless)(&request),
                until: request.deadline,
                made: 0,
            };
            let take = || layer.lock().take();
            while let RetryDecision::Repeat(_, at) = retries.next(&error, Instant::now(), take) {
                tokio::time::sleep_until(at).await;
                poll_fn(|context| inner.poll_ready(context)).await?;
                let mut again = request.clone();
                // The number of the call stays the same.
                again.call = CallId::next();
                match inner.call(again).await {
                    Ok(response) => return Ok(response),
                    Err(next) => error = next,
                }
            }
            Err(error)
        })
    }
}

impl RetryLayer {
    fn lock(&self) -> std::sync::MutexGuard<'_, RetryBudget> {
        self.budget.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
