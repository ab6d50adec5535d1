//! Calls that are sent ahead of their turn, behind a short one that runs.
//!
//! From outside such a call waits in the queue: its queue time continues, and it counts as queued.
//! Only its arguments are in the worker already. If the call in front is slow, the call is
//! recalled, and gets its old place in the queue, or a free slot.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::Instant;

use super::admission::{Admitted, Want};
use super::journal::Progress;
use super::lease::Lease;
use super::limits::Limits;
use super::shared::{Shared, State};
use super::stats::Outcome;
use super::turn::{self, Turn};
use super::waiting::Waiting;
use super::{Pool, linger};
use crate::call::CallOptions;
use crate::error::Error;
use crate::id::CallId;
use crate::schedule::{Acquire, Ask, Grant};
use crate::value::Payload;
use crate::worker::CallError;

/// A call that is sent ahead of its turn.
#[derive(Clone, Copy, Debug)]
pub(super) struct Early {
    /// Place of the call in the queue.
    place: u64,
    /// Number of the attempt, by which its worker knows the call.
    pub(super) call: CallId,
    /// Time at which it entered the queue.
    pub(super) queued: Instant,
}

impl Early {
    pub(super) fn new(place: u64, call: CallId) -> Self {
        let queued = Instant::now();
        Self {
            place,
            call,
            queued,
        }
    }
}

/// The outcome of a call that was sent ahead.
enum Ended {
    /// The call is over.
    Over(Payload),
    /// The call came back and has a free slot, in which it is to be made.
    Slot(Lease),
}

impl Pool {
    /// Makes one call: in a slot, or ahead of its turn.
    ///
    /// Most calls get their own slot and end in it. The other cases are boxed; otherwise all calls
    /// would carry the room for them, from one future into the next.
    pub(super) async fn call(
        &self,
        progress: &mut Progress,
        args: Payload,
        options: &CallOptions,
        limits: &Limits,
    ) -> Result<Payload, Error> {
        let affinity = options.affinity.unwrap_or(self.config().affinity);
        let bound = options.session.is_some() && affinity.is_strict();
        let want = Want {
            options,
            items: 1,
            bytes: args.bytes.len(),
            limits: Some(limits),
            ahead: !bound && options.chain.depth() == 0,
            again: false,
        };
        let slot = match self.shared().admit(&want)? {
            Admitted::Now(lease) if lease.early.is_none() => Ended::Slot(lease),
            admitted => Box::pin(self.in_turn(admitted, progress, &args, &want, limits)).await?,
        };
        let mut running = match slot {
            Ended::Over(reply) => return Ok(reply),
            Ended::Slot(own) => self.begin_in(own, progress, args.clone(), options, limits),
        };
        let ended = pin!(running.ended(limits, &progress.tool)).await?;
        match ended {
            Some(reply) => {
                running.succeed(progress);
                Ok(reply)
            }
            None => Box::pin(self.make_again(progress, args, options, limits)).await,
        }
    }

    /// Waits until a call has a slot, or is over because it was sent ahead.
    async fn in_turn(
        &self,
        admitted: Admitted,
        progress: &mut Progress,
        args: &Payload,
        want: &Want<'_>,
        limits: &Limits,
    ) -> Result<Ended, Error> {
        let lease = match admitted {
            Admitted::Now(lease) => lease,
            Admitted::Wait(waiting) => {
                progress.queued(self.shared(), want.options, waiting.queue_size());
                let mut lease = waiting.wait(Some(limits.queue)).await?;
                lease.leads = want.ahead && lease.worker().takes_ahead();
                lease
            }
        };
        if lease.early.is_none() {
            return Ok(Ended::Slot(lease));
        }
        self.call_early(lease, progress, args, want, limits).await
    }

    /// Makes a call that is sent ahead. It may come back and get a free slot.
    async fn call_early(
        &self,
        mut lease: Lease,
        progress: &mut Progress,
        args: &Payload,
        want: &Want<'_>,
        limits: &Limits,
    ) -> Result<Ended, Error> {
        loop {
            let running = self.begin_in(lease, progress, args.clone(), want.options, limits);
            let early = match running.turn(limits).await? {
                Turn::Back(early, _) => early,
                Turn::Over(reply, lease) => {
                    lease.succeed();
                    return Ok(Ended::Over(reply));
                }
                Turn::Own(mut running) => {
                    let Some(reply) = running.ended(limits, &progress.tool).await? else {
                        let lease = self.slot_again(progress, want, limits).await?;
                        return Ok(Ended::Slot(lease));
                    };
                    running.succeed(progress);
                    return Ok(Ended::Over(reply));
                }
            };
            progress.given_back(self.shared());
            lease = match self.shared().queue_again(early, want)? {
                Admitted::Now(lease) => lease,
                Admitted::Wait(waiting) => {
                    progress.waits_again();
                    waiting.wait(Some(limits.queue)).await?
                }
            };
            lease.leads = true;
            if lease.early.is_none() {
                return Ok(Ended::Slot(lease));
            }
        }
    }
}

impl Lease {
    /// Returns true if the call has its slot, and counts it so. `false` while other calls are
    /// before it.
    pub(super) fn is_own(&mut self) -> bool {
        if self.early.is_none() {
            return true;
        }
        let own = self.shared().lock().scheduler.has(self.grant());
        if own {
            self.own();
        }
        own
    }

    /// Counts the call as one that has waited and has its slot.
    pub(super) fn own(&mut self) {
        let (Some(early), Some(sent)) = (self.early.take(), self.since()) else {
            return;
        };
        let mut state = self.shared().lock();
        let began = state
            .passed_on(self.grant())
            .map_or(sent, |at| at.max(sent));
        state.waited(began.saturating_duration_since(early.queued));
        drop(state);
        self.restart(began);
    }
}

impl State {
    /// Notes that a call got a slot after this time in the queue.
    pub(super) fn waited(&mut self, time: Duration) {
        self.stats.waited(time);
        self.scheduler.waited(time);
    }

    /// Returns the time at which the slot was last passed on to a call that was sent ahead to it.
    pub(super) fn passed_on(&self, grant: Grant) -> Option<Instant> {
        self.workers.get(grant.worker)?.passed_on(grant.slot)
    }
}

impl Shared {
    /// Notes that a call is in the connection of its slot: the next waiting call may follow it.
    /// Returns `true` if the call was called back before.
    pub(super) fn sent(self: &Arc<Self>, grant: Grant) -> bool {
        let mut state = self.lock();
        let called_back = state.scheduler.is_called_back(grant);
        let next = state.scheduler.sent(grant);
        let next = next.map(|(waiter, grant)| (waiter, self.lease_locked(&state, grant)));
        drop(state);
        if let Some((waiter, lease)) = next {
            Self::wake(waiter, lease);
        }
        called_back
    }

    /// Takes a slot for a call that has come back, or its old place in the queue.
    fn queue_again(self: &Arc<Self>, early: Early, want: &Want<'_>) -> Result<Admitted, Error> {
        let now = Instant::now();
        let mut state = self.lock();
        if let Some(error) = self.refusal(&state) {
            state.stats.record(Outcome::Error, 1, Duration::ZERO);
            drop(state);
            return Err(error);
        }
        let options = want.options;
        let (sender, receiver) = oneshot::channel();
        let ask = Ask {
            affinity: options.affinity.unwrap_or(self.config.affinity),
            bounded: false,
            growing: state.scheduler.active() < state.target,
            bytes: want.bytes,
            fair_key: options.fair_key.as_ref(),
            weight: options.fair_weight.map_or(1, std::num::NonZeroU16::get),
            ahead: want.ahead,
            place: Some(early.place),
            ..Ask::new(options.session.as_ref())
        };
        match state.scheduler.ask(&ask, || sender) {
            Acquire::Granted(grant) => {
                state.waited(now.saturating_duration_since(early.queued));
                state.scheduler.started(grant, now);
                let mut lease = self.lease_locked(&state, grant);
                drop(state);
                lease.begin(1, now);
                Ok(Admitted::Now(lease))
            }
            Acquire::Queued(ticket) => {
                let queue_size = state.scheduler.queued();
                drop(state);
                let shared = Arc::clone(self);
                let waiting = Waiting::new(shared, ticket, receiver, 1, early.queued, queue_size);
                Ok(Admitted::Wait(waiting))
            }
            _ => unreachable!("a call without bounds, ancestors and a worker of its own waits"),
        }
    }
}

/// Takes back a call that its caller has given up before its turn. Its place is free once the
/// worker confirms that; if the worker has begun the call, it is cancelled like any other.
pub(super) fn withdraw(
    mut lease: Lease,
    call: CallId,
    outcome: Outcome,
    rest: impl Future<Output = Result<(), CallError>> + Send + 'static,
) {
    let shared = Arc::clone(lease.shared());
    shared.lock().stats.record(outcome, 1, Duration::ZERO);
    let (tasks, runtime) = (shared.tasks.clone(), shared.runtime.clone());
    tasks.spawn_on(
        async move {
            let mut rest = Box::pin(rest);
            tokio::select! {
                biased;
                ended = &mut rest => {
                    if let Err(CallError::Died { exit, ambiguous }) = ended {
                        lease.lose();
                        lease.blame(&exit, ambiguous);
                    }
                }
                back = turn::has_come_back(&lease, call) => {
                    if !back {
                        linger::cancel(lease, call, rest);
                    }
                }
            }
        },
        &runtime,
    );
}
