//! A run of the health checks of one worker, in one of its slots.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::arrival::Arrival;
use super::in_flight::InFlight;
use super::lease::Lease;
use super::limits::Limits;
use crate::call::{CallChain, Request};
use crate::error::Error;
use crate::pool::event::{CheckFailure, Checked};
use crate::pool::shared::Shared;
use crate::pool::state::Claimed;
use crate::schedule::WorkerKey;
use crate::value::Payload;

/// The outcome of the checks. `None` if their worker is gone.
type Outcome = Option<Result<(), CheckFailure>>;

/// Runs the checks of one worker as soon as it has a free slot.
pub(crate) fn check(shared: Arc<Shared>, key: WorkerKey) -> BoxFuture<'static, Option<Checked>> {
    Box::pin(async move {
        let mut lease = shared.claim(key).await?;
        lease.begin_check();
        let began = Instant::now();
        let names = lease.worker().info().health_checks.iter();
        let checks: Vec<Arc<str>> = names.map(|name| name.as_str().into()).collect();
        let run = AssertUnwindSafe(run(&shared, lease, &checks)).catch_unwind();
        let outcome = run.await.unwrap_or_else(|_| {
            let error = "the worker's implementation panicked".to_owned();
            let check = checks.first().cloned().unwrap_or_default();
            Some(Err(CheckFailure { check, error }))
        });
        let (result, took) = (outcome?, began.elapsed());
        Some(Checked { result, took })
    })
}

async fn run(shared: &Arc<Shared>, mut lease: Box<Lease>, checks: &[Arc<str>]) -> Outcome {
    let time = shared.config.health.timeout;
    let limits = Limits::until(Instant::now() + time, time);
    for check in checks {
        let fail = |error: String| {
            let check = Arc::clone(check);
            Some(Err(CheckFailure { check, error }))
        };
        let args = match Payload::encode(&()) {
            Ok(args) => args,
            Err(error) => return fail(error.to_string()),
        };
        let mut request = Request::new(Arc::clone(check), args);
        request.deadline = limits.call.map(|(at, _)| at);
        request.chain = lease.chain(&CallChain::default());
        let call = request.call;
        let worker = Arc::clone(lease.worker());
        let worker = worker.unadapted().unwrap_or(worker);
        let future = worker.call(lease.slot(), request);
        match InFlight::new(lease, call, future).run(&limits, check).await {
            Ok(Some(answered)) => (_, lease) = answered.into_parts(),
            Ok(None) | Err(Error::WorkerDied { .. }) => return None,
            Err(error) => return fail(told(&error)),
        }
    }
    Some(Ok(()))
}

/// Describes the error of a check on one line, with its place.
fn told(error: &Error) -> String {
    match error {
        Error::Tool(tool) if !tool.file.is_empty() => {
            format!("{tool} ({}:{})", tool.file, tool.line)
        }
        error => error.to_string(),
    }
}

impl Shared {
    /// Takes a slot of this worker, before all waiting calls. `None` if it takes no more calls.
    async fn claim(self: &Arc<Self>, key: WorkerKey) -> Option<Box<Lease>> {
        let (waiter, arrival) = oneshot::channel();
        match self.lock().claim(key, || waiter)? {
            Claimed::Granted(granted) => return Some(Lease::new(Arc::clone(self), granted)),
            Claimed::Waits(effects) => self.apply(effects),
        }
        Arrival::new(Arc::clone(self), arrival).slot().await?.ok()
    }
}
