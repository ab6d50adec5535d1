//! A slot that one call has, and the call running in it.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{Instant, Sleep};

use super::Limits;
use super::linger::{self, Rest};
use super::shared::Shared;
use super::stats::Outcome;
use super::suspect::Suspect;
use crate::schedule::Grant;
use crate::{
    CallChain, CallError, CallId, Error, Phase, Slot, Worker, WorkerExit, WorkerId, event,
};

/// A future of a worker.
pub(super) type WorkerFuture<T> = Pin<Box<dyn Future<Output = Result<T, CallError>> + Send>>;

/// Exclusive hold on a slot. Dropping it gives the slot back: whoever still has a call in it must not drop it.
pub(super) struct Lease {
    shared: Arc<Shared>,
    grant: Grant,
    worker: Arc<dyn Worker>,
    id: WorkerId,
    items: u64,
    since: Instant,
    /// The call in it, where the pool has a quarantine.
    pub(super) suspect: Option<Box<Suspect>>,
    state: State,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    /// The slot goes back when this is dropped.
    Held,
    /// The slot is void: its worker is lost.
    Void,
}

impl Lease {
    pub(super) fn new(
        shared: Arc<Shared>,
        grant: Grant,
        worker: Arc<dyn Worker>,
        id: WorkerId,
        items: u64,
    ) -> Self {
        Self {
            shared,
            grant,
            worker,
            id,
            items,
            since: Instant::now(),
            suspect: None,
            state: State::Held,
        }
    }

    /// The caller has the slot now, for `items` items.
    pub(super) fn begin(&mut self, items: u64) {
        self.items = items;
        self.since = Instant::now();
    }

    pub(super) fn worker(&self) -> &Arc<dyn Worker> {
        &self.worker
    }

    pub(super) fn id(&self) -> &WorkerId {
        &self.id
    }

    pub(super) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    pub(super) const fn slot(&self) -> Slot {
        self.grant.slot
    }

    /// The chain of the call in this slot, made from a call of `outer`.
    pub(super) fn chain(&self, outer: &CallChain) -> CallChain {
        outer.with(&self.shared.mark, self.grant)
    }

    /// The call returned a result.
    pub(super) fn succeed(mut self) {
        self.finish(Outcome::Ok);
    }

    /// The call returned an error.
    pub(super) fn fail(mut self, error: CallError) -> Error {
        if let CallError::Died { exit, ambiguous } = &error {
            self.count(Outcome::Error);
            self.lose();
            self.blame(exit, *ambiguous);
        } else {
            self.finish(Outcome::Error);
        }
        Error::from_call(error, &self.id)
    }

    /// Some items of a batch failed. `died` tells how the worker ended, if it did, and whether the item in it may have run.
    pub(super) fn finish_many(mut self, failed: u64, died: Option<(&WorkerExit, bool)>) {
        let (total, time) = (self.items, self.since.elapsed());
        let good = total.saturating_sub(failed);
        let share = time.mul_f64(if total == 0 {
            0.0
        } else {
            good as f64 / total as f64
        });
        self.shared
            .count(self.grant.worker, Outcome::Error, failed, Duration::ZERO);
        self.shared
            .count(self.grant.worker, Outcome::Ok, good, share);
        if let Some((exit, ambiguous)) = died {
            self.lose();
            self.blame(exit, ambiguous);
        }
    }

    fn finish(&mut self, outcome: Outcome) {
        let time = self.since.elapsed();
        tracing::trace!(
            target: event::TARGET,
            event = event::REQUEST_EXECUTED,
            pool = %self.shared.config.name,
            worker = %self.id,
            ok = outcome == Outcome::Ok,
            micros = time.as_micros(),
        );
        self.state = State::Void;
        self.shared
            .release(self.grant, Some((outcome, self.items, time)));
    }

    /// Counts the call as over for its caller; the slot stays taken.
    pub(super) fn count(&self, outcome: Outcome) {
        self.shared
            .count(self.grant.worker, outcome, self.items, self.since.elapsed());
    }

    /// The worker died with the call. One that was not sent has nothing to do with that. To be told after [`lose`](Self::lose), which
    /// counts the calls that share the blame.
    pub(super) fn blame(&self, exit: &WorkerExit, ambiguous: bool) {
        if let Some(suspect) = self.suspect.as_ref().filter(|_| ambiguous) {
            self.shared
                .blame(suspect, self.grant.worker, &self.id, exit);
        }
    }

    /// The worker is gone or going: its slots are never used again.
    pub(super) fn lose(&mut self) {
        self.state = State::Void;
        self.shared.lost(self.grant.worker);
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if self.state == State::Held {
            self.shared.release(self.grant, None);
        }
    }
}

/// A call on a worker. Dropping it before its end leaves it to a background task that sees to the slot.
pub(super) struct Running<T: Rest> {
    call: CallId,
    inner: Option<(Lease, WorkerFuture<T>)>,
}

impl<T: Rest> Running<T> {
    pub(super) fn new(lease: Lease, call: CallId, future: WorkerFuture<T>) -> Self {
        tracing::trace!(
            target: event::TARGET,
            event = event::CALL_DISPATCHED,
            pool = %lease.shared.config.name,
            worker = %lease.id,
            slot = lease.slot().0,
            call = call.0,
        );
        Self {
            call,
            inner: Some((lease, future)),
        }
    }

    /// Runs it to its end or to the deadline. On success the caller gets the lease back, to end it when the slot is free.
    pub(super) async fn run(mut self, limits: &Limits) -> Result<(T, Lease), Error> {
        // Most calls are over before a timer is worth its price, so the timer is armed only after the first poll.
        let mut sleep = std::pin::pin!(None::<Sleep>);
        std::future::poll_fn(|context| {
            if let Poll::Ready(result) = self.poll(context) {
                return Poll::Ready(result);
            }
            let Some((until, after)) = limits.call else {
                return Poll::Pending;
            };
            if sleep.is_none() {
                sleep.set(Some(tokio::time::sleep_until(until)));
            }
            let timer = sleep.as_mut().as_pin_mut().expect("it was just set");
            timer.poll(context).map(|()| {
                let error = self.shared().timeout(Phase::Call, after);
                self.abandon(Outcome::CallTimeout);
                Err(error)
            })
        })
        .await
    }

    fn shared(&self) -> &Arc<Shared> {
        &self.inner.as_ref().expect("the call is not over").0.shared
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Result<(T, Lease), Error>> {
        let (_, future) = self
            .inner
            .as_mut()
            .expect("a call that is over is not polled");
        let Poll::Ready(result) = future.as_mut().poll(context) else {
            return Poll::Pending;
        };
        let (lease, _) = self.inner.take().expect("it was there");
        Poll::Ready(match result {
            Ok(value) => Ok((value, lease)),
            Err(error) => Err(lease.fail(error)),
        })
    }

    fn abandon(&mut self, outcome: Outcome) {
        if let Some((lease, future)) = self.inner.take() {
            let rest = async move {
                match future.await {
                    Ok(value) => value.rest().await,
                    Err(error) => Err(error),
                }
            };
            linger::spawn(lease, self.call, outcome, rest);
        }
    }
}

impl<T: Rest> Drop for Running<T> {
    fn drop(&mut self) {
        self.abandon(Outcome::Cancelled);
    }
}
