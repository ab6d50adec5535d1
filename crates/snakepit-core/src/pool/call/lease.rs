//! A lease on one slot.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::blame::BlamedCall;
use super::reservation::Reservation;
use crate::call::CallChain;
use crate::error::Error;
use crate::events::open_span::OpenSpan;
use crate::id::{CallId, Slot, WorkerId};
use crate::pool::shared::Shared;
use crate::pool::state::{Early, Granted, Outcome};
use crate::schedule::{Grant, Ticket, WorkerKey};
use crate::state::SessionHold;
use crate::worker::{CallError, Worker, WorkerExit};

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
    /// The call to blame for the worker's death. `None` without a quarantine.
    pub(super) blamed: Option<Box<BlamedCall>>,
    /// Keeps the call's session from expiring.
    pub(super) session: Option<SessionHold>,
    /// Reserves the worker for the call. `None` if other calls may share it.
    pub(super) reservation: Option<Box<Reservation>>,
    /// Number of the call. `None` for a health check.
    pub(super) number: Option<CallId>,
    /// Span of the call. `None` if it is not recorded.
    pub(super) span: Option<Arc<OpenSpan>>,
    /// The slot was given back, or its worker is lost.
    void: bool,
}

impl Lease {
    /// Boxed, because it passes through the futures of a call.
    pub(super) fn new(shared: Arc<Shared>, granted: Granted) -> Box<Self> {
        let Granted {
            grant,
            worker,
            id,
            early,
        } = granted;
        Box::new(Self {
            shared,
            grant,
            worker,
            id,
            items: 1,
            since: None,
            early,
            leads: false,
            blamed: None,
            session: None,
            reservation: None,
            number: None,
            span: None,
            void: false,
        })
    }

    /// Notes that the caller has the slot since `now`, for `items` items.
    pub(super) fn begin(&mut self, items: u64, now: Instant) {
        self.items = items;
        self.since = Some(now);
    }

    /// Like [`begin`](Self::begin), for a call that has waited since `queued`.
    pub(super) fn begin_queued(
        &mut self,
        items: u64,
        queued: Instant,
        now: Instant,
        ticket: Ticket,
    ) {
        self.begin(items, now);
        match &mut self.early {
            Some(early) => early.queued = queued,
            None => {
                let mut state = self.shared.lock();
                state.began(ticket, self.grant, queued, now);
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

    /// Time at which the call got its slot, or was sent ahead. `None` until its caller knows.
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

    /// Ends the lease of a call that returned an error.
    pub(super) fn fail(mut self, error: CallError) -> Error {
        if let CallError::Died { exit, ambiguous } = &error {
            self.count(Outcome::Error);
            self.worker_died(exit, *ambiguous);
        } else {
            self.finish(Outcome::Error);
        }
        Error::from_call(error, &self.id)
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
            self.worker_died(exit, ambiguous);
        }
    }

    /// Gives the slot back; returns the time at which the call ended.
    pub(super) fn finish(&mut self, outcome: Outcome) -> Instant {
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

    /// Voids the slots of a worker that died, and blames the call for the death if it may have run.
    pub(super) fn worker_died(&mut self, exit: &WorkerExit, ambiguous: bool) {
        // First, because this counts the calls that share the blame.
        self.lose();
        if let Some(blamed) = self.blamed.as_ref().filter(|_| ambiguous) {
            blamed.blame(&self.shared, self.grant.worker, &self.id, exit);
        }
    }

    /// Reports a call that cannot be stopped. Returns `true` if its worker drains because it has
    /// others.
    pub(super) fn stick(&self) -> bool {
        self.shared.stick(self.grant.worker)
    }

    /// Replaces the worker: the exception that stopped the call may have left an unknown state.
    pub(super) fn renew(&self) {
        self.shared.renew(self.grant.worker);
    }

    /// Reports that a stuck call has ended nevertheless.
    pub(super) fn unstick(&self) {
        self.shared.lock().unstick(self.grant.worker);
    }

    /// Keeps only the items that ran in this slot; the others count where they are made.
    pub(super) fn keep(&mut self, items: usize) {
        self.items = items as u64;
    }

    /// Gives back the slot of a call that never began: its time in the slot does not count.
    pub(super) fn release_unused(mut self) {
        self.since = None;
    }

    /// Voids the slots of a worker that is gone or going: they are never used again.
    pub(super) fn lose(&mut self) {
        self.void = true;
        self.shared.lose(self.grant.worker);
    }
}

impl Lease {
    /// Returns true if the call has its slot, and counts it so. `false` while other calls are
    /// before it.
    pub(super) fn is_own(&mut self) -> bool {
        if self.early.is_none() {
            return true;
        }
        let own = self.shared.lock().has(self.grant);
        if own {
            self.own();
        }
        own
    }

    /// Counts the call as one that has waited and has its slot.
    pub(super) fn own(&mut self) {
        let (Some(early), Some(sent)) = (self.early.take(), self.since) else {
            return;
        };
        let mut state = self.shared.lock();
        let began = state.own(self.grant, sent, early.queued);
        drop(state);
        self.restart(began);
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
