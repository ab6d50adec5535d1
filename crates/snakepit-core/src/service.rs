//! A pool as a `tower` service, for use with layers, and its policies as layers for any service of
//! requests.

mod breaker;
mod quarantine;
mod retry;

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use tower_service::Service;

pub use breaker::{BreakerLayer, BreakerService};
pub use quarantine::{QuarantineLayer, QuarantineService};
pub use retry::{RetryLayer, RetryService};

use crate::call::{CallOptions, Request};
use crate::error::Error;
use crate::pool::Pool;
use crate::value::Payload;

/// The request's session and deadline become those of the call; its number is replaced.
///
/// The service is always ready: the pool has its own queue and rejects calls with
/// [`Error::Saturated`].
impl Service<Request> for Pool {
    type Response = Payload;
    type Error = Error;
    type Future = Pin<Box<dyn Future<Output = Result<Payload, Error>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request) -> Self::Future {
        let pool = self.clone();
        Box::pin(async move {
            let mut options = CallOptions::new();
            options.timeout = request.remaining(tokio::time::Instant::now());
            options.session = request.session;
            options.chain = request.chain;
            pool.execute(request.tool, request.args, &options).await
        })
    }
}
