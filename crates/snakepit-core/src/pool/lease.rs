//! A lease on one slot, and the call that runs in it.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{Instant, Sleep};

use super::alone::Hold;
use super::early::{self, Early};
use super::explain::TimedOut;
use super::foreign::Guarded;
use super::journal::Progress;
use super::limits::Limits;
use super::linger::{self, Rest};
use super::shared::Shared;
use super::stats::Outcome;
use super::suspect::Suspect;
use crate::call::CallChain;
use crate::error::Error;
use crate::events::open_span::OpenSpan;
use crate::id::{CallId, Slot, WorkerId};
use crate::schedule::{Grant, Ticket, WorkerKey};
use crate::state::SessionHold;
use crate::worker::{CallError, Worker, WorkerExit};

/// A future of a worker.
pub(super) type WorkerFuture<T> = Pin<Box<dyn Future<Output = Result<T, CallError>> + Send>>;

type GuardedFuture<T> = Guarded<dyn Future<Output = Result<T, CallError>> + Send>;

/// An exclusive lease on a slot. Dropping it gives the slot back, so it must outlive its call.
pub(super) struct Lease {
    shared: Arc<Shared>,
    grant: Grant,
    worker: Arc<dyn Worker>,
    id: WorkerId,
    items: u64,
    /// Time at which the call got the slot. `None` until its caller knows of it.
    since: Option<Instant>,
    /// Set while the call is ahead of its turn and does not have the slot yet.
    pub(super) early: Option<Early>,
    /// Other calls may follow once the call is sent.
    pub(super) leads: bool,
    /// The call as a suspect. `None` without a quarantine.
    pub(super) suspect: Option<Box<Suspect>>,
    /// Keeps the call's session from expiring.
    pub(super) session: Option<SessionHold>,
    /// Keeps other calls out of the worker.
    pub(super) alone: Option<Box<Hold>>,
    /// Number of the call. `None` for a health check.
    pub(super) number: Option<CallId>,
    /// Span of the call. `None` if it is not recorded.
    pub(super) span: Option<Arc<OpenSpan>>,
    /// The slot was given back, or its worker is lost.
    void: bool,
}

impl Lease {
    pub(super) fn new(
        shared: Arc<Shared>,
        grant: Grant,
        worker: Arc<dyn Worker>,
        id: WorkerId,
        early: Option<Early>,
    ) -> Self {
        Self {
            shared,
            grant,
            worker,
            id,
            items: 1,
            since: None,
            early,
            leads: false,
            suspect: None,
            session: None,
            alone: None,
            number: None,
            span: None,
            void: false,
        }
    }

    /// Notes that the caller has the slot since `now`, for `items` items.
    pub(super) fn begin(&mut self, items: u64, now: Instant) {
        self.items = items;
        self.since = Some(now);
    }

    /// Like [`begin`](Self::begin), for a call that has waited.
    pub(super) fn begin_queued(&mut self, items: u64, queued: Instant, ticket: Ticket) {
        let now = Instant::now();
        self.begin(items, now);
        match &mut self.early {
            Some(early) => early.queued = queued,
            None => {
                let mut state = self.shared.lock();
                state.nested.remove(&ticket);
                state.scheduler.started(self.grant, now);
                state.waited(now - queued);
            }
        }
    }

    /// Marks the lease as the pool's own (a health check), excluded from call counters and
    /// estimates.
    pub(super) fn begin_check(&mut self) {
        self.items = 0;
    }

    /// Time for which the call has had the slot.
    fn held(&self) -> Option<Duration> {
        self.since.map(|since| since.elapsed())
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

    pub(super) const fn grant(&self) -> Grant {
        self.grant
    }

    pub(super) const fn key(&self) -> WorkerKey {
        self.grant.worker
    }

    /// Changes the time at which the call got its slot.
    pub(super) fn restart(&mut self, since: Instant) {
        self.since = Some(since);
    }

    /// Time at which the call got its place. `None` if it has none yet.
    pub(super) const fn since(&self) -> Option<Instant> {
        self.since
    }

    pub(super) const fn slot(&self) -> Slot {
        self.grant.slot
    }

    /// Returns the chain of the call in this slot, made from a call of `outer`.
    pub(super) fn chain(&self, outer: &CallChain) -> CallChain {
        outer.with(&self.shared.mark, self.grant)
    }

    /// Ends the lease of a call that returned a result.
    pub(super) fn succeed(mut self) {
        self.finish(Outcome::Ok);
    }

    /// Ends the lease of a call that returned an error.
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

    /// Describes the call in this slot, which timed out.
    pub(super) fn timed_out(&self, call: CallId, tool: &Arc<str>, after: Duration) -> TimedOut {
        TimedOut {
            shared: Arc::clone(&self.shared),
            worker: Arc::clone(&self.worker),
            id: self.id.clone(),
            call: self.number.unwrap_or(call),
            tool: Arc::clone(tool),
            after,
        }
    }

    /// Ends a batch with failed items. `died`: the worker's exit, and whether its last item may
    /// have run.
    pub(super) fn finish_many(mut self, failed: u64, died: Option<(&WorkerExit, bool)>) {
        let (total, time) = (self.items, self.held().unwrap_or_default());
        let good = total.saturating_sub(failed);
        let share = time.mul_f64(good as f64 / total.max(1) as f64);
        self.shared
            .count(self.grant.worker, Outcome::Error, failed, Duration::ZERO);
        self.shared
            .count(self.grant.worker, Outcome::Ok, good, share);
        if let Some((exit, ambiguous)) = died {
            self.lose();
            self.blame(exit, ambiguous);
        }
    }

    /// Gives the slot back; returns the time at which the call ended.
    fn finish(&mut self, outcome: Outcome) -> Instant {
        let now = Instant::now();
        let held = self.since.map(|since| now.saturating_duration_since(since));
        self.void = true;
        self.shared
            .release(self.grant, held, Some((outcome, self.items)));
        now
    }

    /// Counts the call as over for its caller; the slot stays taken.
    pub(super) fn count(&self, outcome: Outcome) {
        let time = self.held().unwrap_or_default();
        self.shared
            .count(self.grant.worker, outcome, self.items, time);
    }

    /// Blames the call for the worker's death, if it may have run. To be called after
    /// [`lose`](Self::lose), which counts the calls that share the blame.
    pub(super) fn blame(&self, exit: &WorkerExit, ambiguous: bool) {
        if let Some(suspect) = self.suspect.as_ref().filter(|_| ambiguous) {
            self.shared
                .blame(suspect, self.grant.worker, &self.id, exit);
        }
    }

    /// Reports a call that cannot be stopped. Returns `true` if its worker drains because it has
    /// others.
    pub(super) fn stick(&self) -> bool {
        self.shared.stuck(self.grant.worker)
    }

    /// Replaces the worker: the exception that stopped the call may have left an unknown state.
    pub(super) fn renew(&self) {
        self.shared.renew(self.grant.worker);
    }

    /// Reports that a stuck call has ended nevertheless.
    pub(super) fn unstick(&self) {
        self.shared.unstuck(self.grant.worker);
    }

    /// Keeps only the items that ran in this slot; the others count where they are made.
    pub(super) fn keep(&mut self, items: usize) {
        self.items = items as u64;
    }

    /// Gives back the slot of a call that never began: its time in the slot does not count.
    pub(super) fn give_back(mut self) {
        self.since = None;
    }

    /// Voids the slots of a worker that is gone or going: they are never used again.
    pub(super) fn lose(&mut self) {
        self.void = true;
        self.shared.lost(self.grant.worker);
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if !self.void {
            let held = self.held().filter(|_| self.early.is_none());
            self.shared.release(self.grant, held, None);
        }
    }
}

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
        std::mem::take(&mut lease.leads) && lease.shared.sent(lease.grant)
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
                linger::spawn(lease, self.call, outcome, rest);
            } else {
                early::withdraw(lease, self.call, outcome, rest);
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
