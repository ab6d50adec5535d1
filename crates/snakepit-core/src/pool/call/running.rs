//! A call that runs in a slot.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::Sleep;

use super::abandon::{self, Rest};
use super::journal::Progress;
use super::lease::Lease;
use super::limits::Limits;
use super::withdraw;
use crate::error::Error;
use crate::id::CallId;
use crate::pool::foreign::Guarded;
use crate::pool::state::Outcome;
use crate::worker::CallError;

/// A future of a worker.
pub(super) type WorkerFuture<T> = Pin<Box<dyn Future<Output = Result<T, CallError>> + Send>>;

type GuardedFuture<T> = Guarded<dyn Future<Output = Result<T, CallError>> + Send>;

/// A call on a worker. If dropped before its end, a background task waits for the slot.
pub(super) struct Running<T: Rest> {
    pub(super) call: CallId,
    /// The slot. `None` once the call has failed.
    pub(super) lease: Option<Lease>,
    /// The worker's future. `None` once the call is over.
    pub(super) future: Option<GuardedFuture<T>>,
}

impl<T: Rest> Running<T> {
    pub(super) const fn new(lease: Lease, call: CallId, future: WorkerFuture<T>) -> Self {
        Self {
            call,
            lease: Some(lease),
            future: Some(Guarded(future, "call")),
        }
    }

    /// Runs the call to its end or to the deadline. On success, the caller ends the returned lease
    /// when the slot is free. `None` if the worker gave the call back, which must be made again.
    pub(super) async fn run(
        mut self,
        limits: &Limits,
        tool: &Arc<str>,
    ) -> Result<Option<(T, Lease)>, Error> {
        let ended = self.ended(limits, tool).await?;
        Ok(ended.zip(self.lease.take()))
    }

    /// Like [`run`](Self::run), but the lease stays: [`succeed`](Self::succeed) ends it.
    pub(super) async fn ended(
        &mut self,
        limits: &Limits,
        tool: &Arc<str>,
    ) -> Result<Option<T>, Error> {
        // Most calls end before a timer is worth its price: it is armed after the first poll.
        let mut sleep = std::pin::pin!(None::<Sleep>);
        let ended = std::future::poll_fn(|context| {
            if let Poll::Ready(result) = self.poll(context) {
                return Poll::Ready(Ok(result));
            }
            self.tell_sent();
            let Some((until, after)) = limits.call else {
                return Poll::Pending;
            };
            if sleep.is_none() {
                sleep.set(Some(tokio::time::sleep_until(until)));
            }
            let timer = sleep.as_mut().as_pin_mut().expect("it was just set");
            timer.poll(context).map(|()| Err(after))
        })
        .await;
        match ended {
            Ok(result) => result,
            // Boxed, so that other calls do not carry the room for it.
            Err(after) => Err(Box::pin(self.expire(after, tool)).await),
        }
    }

    /// Frees the slot of a call that returned a result.
    pub(super) fn succeed(&mut self, progress: &mut Progress) {
        if let Some(lease) = &mut self.lease {
            progress.ended = Some(lease.finish(Outcome::Ok));
        }
    }

    async fn expire(&mut self, after: Duration, tool: &Arc<str>) -> Error {
        let lease = self.lease.as_ref().expect("the call is not over");
        let error = lease.timed_out(self.call, tool, after).error().await;
        self.abandon(Outcome::CallTimeout);
        error
    }

    /// Notes, once, that the call is in its connection. Returns `true` if it was called back
    /// before.
    pub(super) fn tell_sent(&mut self) -> bool {
        let Some(lease) = &mut self.lease else {
            return false;
        };
        std::mem::take(&mut lease.leads) && sent(lease)
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Result<Option<T>, Error>> {
        let future = self.future.as_mut();
        let future = future.expect("a call that is over is not polled");
        let Poll::Ready(result) = Pin::new(future).poll(context) else {
            return Poll::Pending;
        };
        self.future = None;
        let error = match result {
            Ok(value) => return Poll::Ready(Ok(Some(value))),
            Err(error) => error,
        };
        let lease = self.lease.take().expect("it was there");
        Poll::Ready(match error {
            CallError::NotBegun => {
                lease.give_back();
                Ok(None)
            }
            error => Err(lease.fail(error)),
        })
    }

    pub(super) fn abandon(&mut self, outcome: Outcome) {
        if let Some((mut lease, future)) = self.lease.take().zip(self.future.take()) {
            let rest = async move {
                match future.await {
                    Ok(value) => value.rest().await,
                    Err(error) => Err(error),
                }
            };
            if lease.is_own() {
                abandon::spawn(lease, self.call, outcome, rest);
            } else {
                withdraw::withdraw(lease, self.call, outcome, rest);
            }
        }
    }
}

impl<T: Rest> Drop for Running<T> {
    fn drop(&mut self) {
        if self.future.is_some() {
            self.abandon(Outcome::Cancelled);
        }
    }
}

/// Notes that a call is in the connection of its slot: the next waiting call may follow it. Returns
/// `true` if the call was called back before.
fn sent(lease: &Lease) -> bool {
    let shared = lease.shared();
    let (called_back, effects) = shared.lock().sent(lease.grant());
    shared.apply(effects);
    called_back
}
