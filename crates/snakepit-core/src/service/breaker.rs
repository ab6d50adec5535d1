//! The circuit breakers of a pool around any service of requests.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use tokio::time::Instant;
use tower_layer::Layer;
use tower_service::Service;

use crate::call::Request;
use crate::config::ConfigError;
use crate::error::Error;
use crate::id::PoolName;
use crate::policy::{
    BreakerPermit, BreakerPolicy, Breakers, CallEvidence, Circuit, Circuits, Permits,
};

/// Rejects requests at once while workers fail, as
/// [`PoolConfig::breaker`](crate::pool::PoolConfig::breaker) and
/// [`PoolConfig::tool_breaker`](crate::pool::PoolConfig::tool_breaker) do for the calls of a pool.
///
/// All services that one layer makes share its circuits.
#[derive(Clone, Debug)]
pub struct BreakerLayer {
    name: PoolName,
    breakers: Arc<Mutex<Breakers>>,
}

impl BreakerLayer {
    /// Creates a layer with one circuit for all requests, and one for each tool, where they have a
    /// policy. Errors carry the name.
    ///
    /// # Errors
    /// A setting is out of range.
    pub fn new(
        name: impl Into<PoolName>,
        all: Option<BreakerPolicy>,
        each_tool: Option<BreakerPolicy>,
    ) -> Result<Self, ConfigError> {
        for (policy, key) in [(&all, "breaker"), (&each_tool, "tool_breaker")] {
            policy
                .as_ref()
                .map_or(Ok(()), |policy| policy.validate(key))?;
        }
        Ok(Self {
            name: name.into(),
            breakers: Arc::new(Mutex::new(Breakers::new(all, each_tool))),
        })
    }

    /// Returns the circuits that are not closed.
    pub fn circuits(&self) -> Vec<Circuit> {
        self.lock().circuits(Instant::now())
    }

    fn lock(&self) -> MutexGuard<'_, Breakers> {
        self.breakers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn permit(&self, tool: &Arc<str>) -> Result<BreakerPermit<Self>, Error> {
        let admitted = self.lock().try_admit(tool, Instant::now());
        match admitted {
            Ok(permits) => Ok(BreakerPermit::new(self.clone(), tool, permits)),
            Err(refused) => Err(refused.error(&self.name, tool)),
        }
    }
}

impl Circuits for BreakerLayer {
    fn end_permit(&self, permits: Permits, tool: &Arc<str>, evidence: CallEvidence) {
        self.lock().end(permits, tool, evidence, Instant::now());
    }
}

impl<S> Layer<S> for BreakerLayer {
    type Service = BreakerService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        let layer = self.clone();
        BreakerService { inner, layer }
    }
}

/// A service wrapped by a [`BreakerLayer`].
#[derive(Clone, Debug)]
pub struct BreakerService<S> {
    inner: S,
    layer: BreakerLayer,
}

impl<S> Service<Request> for BreakerService<S>
where
    S: Service<Request, Error = Error>,
    S::Future: Send + 'static,
{
    type Response = S::Response;
    type Error = Error;
    type Future = Pin<Box<dyn Future<Output = Result<S::Response, Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request) -> Self::Future {
        let permit = match self.layer.permit(&request.tool) {
            Ok(permit) => permit,
            Err(error) => return Box::pin(async { Err(error) }),
        };
        let future = self.inner.call(request);
        Box::pin(async move {
            let result = future.await;
            permit.end(result.as_ref().map(drop));
            result
        })
    }
}
