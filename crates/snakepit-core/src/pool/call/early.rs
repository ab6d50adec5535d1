//! Calls that are sent ahead of their turn, behind a short one that runs.
//!
//! From outside such a call waits in the queue: its queue time continues, and it counts as queued.
//! Only its arguments are in the worker already. If the call in front is slow, the call is
//! recalled, and gets its old place in the queue, or a free slot.

use std::num::NonZeroU16;
use std::sync::Arc;

use tokio::sync::oneshot;
use tokio::time::Instant;

use super::admission::Admitted;
use super::arrival::Arrival;
use super::attempt::{Attempt, Ended};
use super::lease::Lease;
use super::turn::Turn;
use super::waiting::Waiting;
use crate::error::Error;
use crate::pool::state::{Early, Placement};
use crate::schedule::SlotRequest;

impl Attempt<'_> {
    /// Waits until a call has a slot, or is over because it was sent ahead.
    pub(super) async fn in_turn(&mut self, admitted: Admitted) -> Result<Ended, Error> {
        let lease = match admitted {
            Admitted::Now(lease) => lease,
            Admitted::Wait(waiting) => {
                let size = waiting.queue_size();
                self.progress.queued(self.shared, self.options, size);
                let mut lease = waiting.wait(Some(self.limits.queue)).await?;
                lease.leads = self.may_go_ahead() && lease.worker().takes_ahead();
                lease
            }
        };
        if lease.early.is_none() {
            return Ok(Ended::Slot(lease));
        }
        // Boxed, so that a call that only waits does not carry the room for it.
        Box::pin(self.call_early(lease)).await
    }

    /// Makes a call that is sent ahead. It may come back and get a free slot.
    async fn call_early(&mut self, mut lease: Box<Lease>) -> Result<Ended, Error> {
        loop {
            let mut call = self.begin(lease);
            let early = match call.turn(&self.limits).await? {
                Turn::Back(early) => early,
                Turn::Over(reply) => {
                    call.succeed(self.progress);
                    return Ok(Ended::Over(reply));
                }
                Turn::Own => {
                    let ended = call.ended(&self.limits, &self.progress.tool).await?;
                    let Some(reply) = ended else {
                        return Ok(Ended::Slot(self.slot_again().await?));
                    };
                    call.succeed(self.progress);
                    return Ok(Ended::Over(reply));
                }
            };
            self.progress.note_recall(self.shared);
            lease = match self.queue_again(early)? {
                Admitted::Now(lease) => lease,
                Admitted::Wait(waiting) => {
                    self.progress.waits_again();
                    waiting.wait(Some(self.limits.queue)).await?
                }
            };
            lease.leads = true;
            if lease.early.is_none() {
                return Ok(Ended::Slot(lease));
            }
        }
    }

    /// Takes a slot for a call that has come back, or its old place in the queue.
    fn queue_again(&self, early: Early) -> Result<Admitted, Error> {
        let (now, options, shared) = (Instant::now(), self.options, self.shared);
        let (sender, receiver) = oneshot::channel();
        let request = SlotRequest {
            affinity: options.affinity.unwrap_or(shared.config.affinity),
            bounded: false,
            bytes: self.args.bytes.len(),
            fair_key: options.fair_key.as_ref(),
            weight: options.fair_weight.map_or(1, NonZeroU16::get),
            ahead: self.may_go_ahead(),
            place: Some(early.place),
            ..SlotRequest::new(options.session.as_ref())
        };
        let answer = shared
            .lock()
            .admit_again(request, || sender, early.queued, now);
        match answer.map_err(|why| shared.unavailable(why))? {
            Placement::Granted(granted, _) => {
                let mut lease = Lease::new(Arc::clone(shared), granted);
                lease.begin(1, now);
                Ok(Admitted::Now(lease))
            }
            Placement::Queued(ticket, queued) => {
                let arrival = Arrival::new(Arc::clone(shared), receiver);
                let waiting = Waiting::new(arrival, ticket, 1, early.queued, queued);
                Ok(Admitted::Wait(waiting))
            }
        }
    }
}
