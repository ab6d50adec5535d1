//! The way of a call through the state: its wait, its slot and its end.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::{Effects, Outcome, PoolCore};
use crate::id::{CallId, SessionId};
use crate::schedule::{Grant, Ticket, WorkerKey};
use crate::worker::CancelStep;

impl PoolCore {
    /// Notes that a call that has waited since `queued` has its slot.
    pub(crate) fn began(&mut self, ticket: Ticket, grant: Grant, queued: Instant, now: Instant) {
        self.leave_nested(ticket);
        self.scheduler.started(grant, now);
        self.waited(now.saturating_duration_since(queued));
    }

    /// Removes a call from the queue and counts it.
    pub(crate) fn leave_queue(&mut self, ticket: Ticket, outcome: Outcome, items: u64) {
        self.scheduler.cancel(ticket);
        self.leave_nested(ticket);
        self.record(outcome, items);
    }

    /// Gives back a slot that a call has held for that time, and counts its outcome if it has not
    /// been counted before.
    pub(crate) fn release(
        &mut self,
        grant: Grant,
        held: Option<Duration>,
        counted: Option<(Outcome, u64)>,
    ) -> Effects {
        let due = counted.is_some_and(|(outcome, items)| {
            self.count(grant.worker, outcome, items, held.unwrap_or_default())
        });
        let released = self.scheduler.release(grant, held);
        if released.passed_on {
            let now = Instant::now();
            self.scheduler.started(grant, now);
            if let Some(live) = self.workers.get_mut(grant.worker) {
                live.pass_on(grant.slot, now);
            }
        }
        let wake = released.wake;
        let wake = wake.map(|(waiter, grant)| (waiter, self.granted(grant)));
        let last = || self.only_stuck(grant.worker).then_some(grant.worker);
        Effects {
            wake,
            lost: released.lost,
            idle: released.idle.or_else(last),
            due,
            changed: self.reserved,
            ..Effects::default()
        }
    }

    /// Counts the end of a call whose slot is not free yet. Returns `true` if its worker is now due
    /// to be replaced.
    pub(crate) fn count(
        &mut self,
        worker: WorkerKey,
        outcome: Outcome,
        items: u64,
        time: Duration,
    ) -> bool {
        self.stats.record(outcome, items, time);
        let live = self.workers.get_mut(worker);
        live.is_some_and(|live| live.count(items, outcome == Outcome::Ok))
    }

    /// Counts calls that end without a slot.
    pub(crate) fn record(&mut self, outcome: Outcome, items: u64) {
        self.stats.record(outcome, items, Duration::ZERO);
    }

    /// Counts the step that ended the tool of an abandoned call.
    pub(crate) fn stopped(&mut self, step: CancelStep) {
        self.stats.stopped(step);
    }

    /// Notes that a call got a slot after this time in the queue.
    pub(super) fn waited(&mut self, time: Duration) {
        self.stats.waited(time);
        self.scheduler.waited(time);
    }

    /// Notes that a call is in the connection of its slot: the next waiting call may follow it.
    /// Returns `true` if the pool had recalled the call before.
    pub(crate) fn sent(&mut self, grant: Grant) -> (bool, Effects) {
        let recalled = self.scheduler.is_recalled(grant);
        let next = self.scheduler.sent(grant);
        let effects = Effects {
            wake: next.map(|(waiter, grant)| (waiter, self.granted(grant))),
            ..Effects::default()
        };
        (recalled, effects)
    }

    /// Returns true if a call that was sent ahead has its slot.
    pub(crate) fn has(&self, grant: Grant) -> bool {
        self.scheduler.has(grant)
    }

    /// Counts a call that was sent ahead as one that has waited since `queued` and has its slot.
    /// Returns the time since which it has it.
    pub(crate) fn own(&mut self, grant: Grant, sent: Instant, queued: Instant) -> Instant {
        let began = self.passed_on(grant).map_or(sent, |at| at.max(sent));
        self.waited(began.saturating_duration_since(queued));
        began
    }

    /// Returns the time at which the slot was last passed on to a call that was sent ahead to it.
    pub(crate) fn passed_on(&self, grant: Grant) -> Option<Instant> {
        self.workers.get(grant.worker)?.passed_on(grant.slot)
    }

    /// Notes that a call in front of others is slow.
    pub(crate) fn slow(&mut self) {
        self.scheduler.slow();
    }

    /// Notes that a call was given up, and that its tool still runs.
    pub(crate) fn give_up_call(&mut self, worker: WorkerKey, call: CallId, now: Instant) {
        if let Some(live) = self.workers.get_mut(worker) {
            live.heartbeat.give_up(call, now);
        }
    }

    /// Notes that the tool of such a call has ended.
    pub(crate) fn settle_call(&mut self, worker: WorkerKey, call: CallId) {
        if let Some(live) = self.workers.get_mut(worker) {
            live.heartbeat.settle(call);
        }
    }

    /// Forgets the worker of a session. Returns `false` if it is unknown.
    pub(crate) fn forget_session(&mut self, session: &SessionId) -> bool {
        self.scheduler.forget(session)
    }

    /// Returns the tools of the workers, as reported by the latest ready one.
    pub(crate) fn tools(&self) -> Option<Arc<super::Tools>> {
        self.tools.clone()
    }
}
