//! One call in a slot, from its sending to its end. Calls, streams and batches share it: it frees
//! the slot, ends the call at its deadline, and abandons it if its caller goes away.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::time::Sleep;

use super::abandon::{self, Drain};
use super::journal::Progress;
use super::lease::Lease;
use super::limits::Limits;
use super::withdraw;
use crate::error::Error;
use crate::id::CallId;
use crate::pool::foreign::{self, Guarded};
use crate::pool::state::Outcome;
use crate::value::Payload;
use crate::worker::{CallError, ChunkStream};

/// A future of a worker.
pub(super) type WorkerFuture<T> = Pin<Box<dyn Future<Output = Result<T, CallError>> + Send>>;

/// The answer of a worker that is awaited.
pub(super) type AnswerFuture<T> = Guarded<dyn Future<Output = Result<T, CallError>> + Send>;

impl<T: Drain> Drain for AnswerFuture<T> {
    async fn drain(self) -> Result<(), CallError> {
        self.await?.drain().await
    }
}

/// A call on a worker. If dropped before its end, a background task waits for the slot.
pub(super) struct InFlight<R: Drain> {
    pub(super) call: CallId,
    /// The slot. `None` once the call has failed.
    pub(super) lease: Option<Box<Lease>>,
    /// The part of the result that the worker has not delivered yet. `None` once the call is over.
    pub(super) rest: Option<R>,
}

impl<R: Drain> InFlight<R> {
    const fn with(lease: Box<Lease>, call: CallId, rest: R) -> Self {
        Self {
            call,
            lease: Some(lease),
            rest: Some(rest),
        }
    }

    /// Returns the result of a call, and the lease on its slot.
    pub(super) fn into_parts(mut self) -> (R, Box<Lease>) {
        let rest = self.rest.take().expect("the call is not over");
        (rest, self.take())
    }

    /// Ends the call; the lease frees the slot.
    pub(super) fn take(&mut self) -> Box<Lease> {
        self.rest = None;
        self.lease.take().expect("the call is not over")
    }

    /// Ends the call at its deadline, with the stacks of its worker in the error.
    pub(super) async fn expire(&mut self, after: Duration, tool: &Arc<str>) -> Error {
        let lease = self.lease.as_ref().expect("the call is not over");
        let error = lease.timed_out(self.call, tool, after).await;
        self.abandon(Outcome::CallTimeout);
        error
    }

    /// Cancels the call, or takes it back before its turn. Its slot is free when its tool has
    /// ended.
    pub(super) fn abandon(&mut self, outcome: Outcome) {
        let Some(rest) = self.rest.take() else {
            return;
        };
        let Some(mut lease) = self.lease.take() else {
            return;
        };
        if lease.is_own() {
            abandon::spawn(lease, self.call, outcome, rest.drain());
        } else {
            withdraw::withdraw(lease, self.call, outcome, rest.drain());
        }
    }
}

impl<T: Drain> InFlight<AnswerFuture<T>> {
    pub(super) const fn new(lease: Box<Lease>, call: CallId, future: WorkerFuture<T>) -> Self {
        Self::with(lease, call, Guarded(future, "call"))
    }

    /// Runs the call to its answer or to the deadline. `None` if the worker gave the call back,
    /// which must be made again.
    pub(super) async fn run(
        mut self,
        limits: &Limits,
        tool: &Arc<str>,
    ) -> Result<Option<InFlight<T>>, Error> {
        let (ended, call) = (self.ended(limits, tool).await?, self.call);
        let answered = ended.zip(self.lease.take());
        Ok(answered.map(|(answer, lease)| InFlight::with(lease, call, answer)))
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
            self.report_sent();
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

    /// Notes, once, that the call is in its connection: the next waiting call may follow it.
    /// Returns `true` if the pool had recalled the call before.
    pub(super) fn report_sent(&mut self) -> bool {
        let Some(lease) = &mut self.lease else {
            return false;
        };
        if !std::mem::take(&mut lease.leads) {
            return false;
        }
        let shared = lease.shared();
        let (recalled, effects) = shared.lock().sent(lease.grant());
        shared.apply(effects);
        recalled
    }

    /// Polls for the answer.
    pub(super) fn poll_answer(&mut self, context: &mut Context<'_>) -> Poll<Result<T, CallError>> {
        let rest = self.rest.as_mut();
        let rest = rest.expect("a call that is over is not polled");
        let answer = ready!(Pin::new(rest).poll(context));
        self.rest = None;
        Poll::Ready(answer)
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Result<Option<T>, Error>> {
        let error = match ready!(self.poll_answer(context)) {
            Ok(value) => return Poll::Ready(Ok(Some(value))),
            Err(error) => error,
        };
        let lease = self.take();
        Poll::Ready(match error {
            CallError::NotBegun => {
                lease.release_unused();
                Ok(None)
            }
            error => Err(lease.fail(error)),
        })
    }
}

impl InFlight<ChunkStream> {
    /// Polls for the next chunk.
    pub(super) fn poll_next(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Payload, CallError>>> {
        let chunks = self.rest.as_mut();
        foreign::next(chunks.expect("the stream is not over"), context)
    }
}

impl<R: Drain> Drop for InFlight<R> {
    fn drop(&mut self) {
        self.abandon(Outcome::Cancelled);
    }
}
