//! Calls that are sent ahead of their turn, behind a short one that runs.
//!
//! From outside such a call waits in the queue: its queue time continues, and it counts as queued.
//! Only its arguments are in the worker already. If the call in front is slow, the call is
//! recalled, and gets its old place in the queue, or a free slot.

use std::num::NonZeroU16;
use std::pin::pin;
use std::sync::Arc;

use tokio::sync::oneshot;
use tokio::time::Instant;

use super::admission::{Admitted, Want};
use super::arrival::Arrival;
use super::journal::Progress;
use super::lease::Lease;
use super::limits::Limits;
use super::turn::Turn;
use super::waiting::Waiting;
use crate::call::CallOptions;
use crate::error::Error;
use crate::pool::Pool;
use crate::pool::shared::Shared;
use crate::pool::state::{Answer, Early};
use crate::schedule::Ask;
use crate::value::Payload;

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
    pub(crate) async fn call(
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

impl Shared {
    /// Takes a slot for a call that has come back, or its old place in the queue.
    fn queue_again(self: &Arc<Self>, early: Early, want: &Want<'_>) -> Result<Admitted, Error> {
        let (now, options) = (Instant::now(), want.options);
        let (sender, receiver) = oneshot::channel();
        let ask = Ask {
            affinity: options.affinity.unwrap_or(self.config.affinity),
            bounded: false,
            bytes: want.bytes,
            fair_key: options.fair_key.as_ref(),
            weight: options.fair_weight.map_or(1, NonZeroU16::get),
            ahead: want.ahead,
            place: Some(early.place),
            ..Ask::new(options.session.as_ref())
        };
        let answer = self.lock().admit_again(ask, || sender, early.queued, now);
        match answer.map_err(|why| self.unavailable(why))? {
            Answer::Granted(granted, _) => {
                let mut lease = Lease::new(Arc::clone(self), granted);
                lease.begin(1, now);
                Ok(Admitted::Now(lease))
            }
            Answer::Queued(ticket, queued) => {
                let arrival = Arrival::new(Arc::clone(self), receiver);
                let waiting = Waiting::new(arrival, ticket, 1, early.queued, queued);
                Ok(Admitted::Wait(waiting))
            }
        }
    }
}
