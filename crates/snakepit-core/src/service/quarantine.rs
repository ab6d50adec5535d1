//! The quarantine of a pool around any service of requests.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use tokio::time::Instant;
use tower_layer::Layer;
use tower_service::Service;

use crate::call::Request;
use crate::config::ConfigError;
use crate::error::{Death, Error};
use crate::id::PoolName;
use crate::policy::{Quarantine, QuarantinePolicy, Standing};

/// Rejects requests that keep killing workers, as
/// [`PoolConfig::quarantine`](crate::pool::PoolConfig::quarantine) does for the calls of a pool.
///
/// Requests are the same if they have the same tool and arguments. All services that one layer
/// makes share its knowledge.
#[derive(Clone, Debug)]
pub struct QuarantineLayer {
    name: PoolName,
    /// Requests that one worker may have at the same time.
    slots: u16,
    quarantine: Arc<Mutex<Quarantine>>,
}

impl QuarantineLayer {
    /// Creates a layer for workers that have one request at a time. Errors carry the name.
    ///
    /// # Errors
    /// A setting is out of range.
    pub fn new(name: impl Into<PoolName>, policy: QuarantinePolicy) -> Result<Self, ConfigError> {
        policy.validate()?;
        Ok(Self {
            name: name.into(),
            slots: 1,
            quarantine: Arc::new(Mutex::new(Quarantine::new(policy))),
        })
    }

    /// Sets the number of requests that one worker may have at the same time; each takes that share
    /// of the blame for its worker. The actual number of requests is not visible from outside.
    #[must_use]
    pub const fn slots(mut self, slots: u16) -> Self {
        self.slots = if slots == 0 { 1 } else { slots };
        self
    }

    /// Number of requests that are rejected now.
    pub fn in_quarantine(&self) -> usize {
        self.lock().convicted(Instant::now())
    }

    fn lock(&self) -> MutexGuard<'_, Quarantine> {
        self.quarantine
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn screen(&self, request: &Request) -> Result<(), Error> {
        let mut quarantine = self.lock();
        if quarantine.is_empty() {
            return Ok(());
        }
        let call = quarantine.fingerprint(None, &request.tool, &request.args);
        match quarantine.check(call, Instant::now()) {
            Standing::Convicted(retry_after) => Err(Error::Quarantined {
                pool: self.name.clone(),
                tool: request.tool.to_string(),
                retry_after,
            }),
            Standing::Free | Standing::Blamed => Ok(()),
        }
    }

    fn blame(&self, request: &Request, error: &Error) {
        let Error::WorkerDied {
            cause,
            ambiguous: true,
            ..
        } = error
        else {
            return;
        };
        if *cause != Death::Stopped {
            let mut quarantine = self.lock();
            let call = quarantine.fingerprint(None, &request.tool, &request.args);
            quarantine.blame(call, self.slots, false, Instant::now());
        }
    }
}

impl<S> Layer<S> for QuarantineLayer {
    type Service = QuarantineService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        let layer = self.clone();
        QuarantineService { inner, layer }
    }
}

/// A service wrapped by a [`QuarantineLayer`].
#[derive(Clone, Debug)]
pub struct QuarantineService<S> {
    inner: S,
    layer: QuarantineLayer,
}

impl<S> Service<Request> for QuarantineService<S>
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
        if let Err(error) = self.layer.screen(&request) {
            return Box::pin(async { Err(error) });
        }
        let (layer, blamed) = (self.layer.clone(), request.clone());
        let future = self.inner.call(request);
        Box::pin(async move {
            let result = future.await;
            if let Err(error) = &result {
                layer.blame(&blamed, error);
            }
            result
        })
    }
}
