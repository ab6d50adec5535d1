//! One attempt of a call: its slot, and its sending. A call that a worker returns before it has
//! begun it, because a call that cannot be stopped blocks it, is made elsewhere.

use std::pin::pin;
use std::sync::Arc;

use super::abandon::Drain;
use super::admission::{AcquireRequest, Admitted};
use super::in_flight::{AnswerFuture, InFlight, WorkerFuture};
use super::journal::Progress;
use super::lease::Lease;
use super::limits::{Limit, Limits};
use crate::call::{CallOptions, Request};
use crate::error::Error;
use crate::id::Slot;
use crate::pool::shared::Shared;
use crate::value::Payload;
use crate::worker::Worker;

/// One attempt of a call, a stream or a batch.
pub(crate) struct Attempt<'a> {
    pub(crate) shared: &'a Arc<Shared>,
    pub(crate) progress: &'a mut Progress,
    /// The arguments. Empty for a batch.
    pub(crate) args: Payload,
    pub(crate) options: &'a CallOptions,
    pub(crate) limits: Limits,
}

/// The outcome of the wait for a slot.
pub(super) enum Ended {
    /// The call is over: it was sent ahead.
    Over(Payload),
    /// The call has a free slot, in which it is to be made.
    Slot(Box<Lease>),
}

impl Attempt<'_> {
    /// Makes one call: in a slot, or ahead of its turn.
    ///
    /// Most calls get their own slot and end in it. The other cases are boxed; otherwise all calls
    /// would carry the room for them, from one future into the next.
    pub(crate) async fn call(&mut self) -> Result<Payload, Error> {
        let slot = match self.admit()? {
            Admitted::Now(lease) if lease.early.is_none() => Ended::Slot(lease),
            admitted => Box::pin(self.in_turn(admitted)).await?,
        };
        let mut call = match slot {
            Ended::Over(reply) => return Ok(reply),
            Ended::Slot(lease) => self.begin(lease),
        };
        let ended = pin!(call.ended(&self.limits, &self.progress.tool)).await?;
        match ended {
            Some(reply) => {
                call.succeed(self.progress);
                Ok(reply)
            }
            None => Box::pin(self.make_again()).await,
        }
    }

    /// Takes a slot or a place in the queue.
    fn admit(&self) -> Result<Admitted, Error> {
        self.shared.admit(&AcquireRequest {
            limits: Some(&self.limits),
            ahead: self.may_go_ahead(),
            ..AcquireRequest::new(self.options, self.args.bytes.len())
        })
    }

    /// Returns true if the call may be sent to a slot that is still busy.
    pub(super) fn may_go_ahead(&self) -> bool {
        !self.shared.is_bound(self.options) && self.options.chain.depth() == 0
    }

    /// Obtains a slot for a call that its worker has given back. The call precedes all waiting
    /// ones, since it had a slot, and gets its full queue time again.
    pub(super) async fn slot_again(&mut self) -> Result<Box<Lease>, Error> {
        self.progress.note_recall(self.shared);
        let request = AcquireRequest {
            again: true,
            ..AcquireRequest::new(self.options, self.args.bytes.len())
        };
        let wait = self
            .shared
            .config
            .wait_of(&self.progress.tool, self.options);
        let limits = &self.limits;
        let until = || Some(limits.again(wait).queue);
        self.shared.acquire(self.progress, &request, until).await
    }

    /// Makes a call that its worker has given back.
    async fn make_again(&mut self) -> Result<Payload, Error> {
        let lease = self.slot_again().await?;
        self.make_in(lease).await
    }

    /// Sends a call to its slot.
    pub(super) fn begin(&mut self, mut lease: Box<Lease>) -> InFlight<AnswerFuture<Payload>> {
        let (shared, tool) = (self.shared, &self.progress.tool);
        if shared.config.quarantine.is_some() {
            let harmless = shared.may_isolate(tool, self.options);
            lease.blamed = shared.blamed(tool, &self.args, self.options, harmless);
        }
        let bytes = self.args.bytes.len();
        self.send(lease, bytes, |worker, slot, request| {
            worker.call(slot, request)
        })
    }

    /// Sends the request to the worker of this lease, by the method of its kind of call. `bytes` is
    /// the size of the arguments.
    pub(super) fn send<T>(
        &mut self,
        mut lease: Box<Lease>,
        bytes: usize,
        method: impl FnOnce(Arc<dyn Worker>, Slot, Request) -> WorkerFuture<T>,
    ) -> InFlight<AnswerFuture<T>>
    where
        T: Drain,
    {
        lease.session.clone_from(&self.options.hold);
        self.progress.dispatched(self.shared, &mut lease);
        let progress = &*self.progress;
        let early = lease.early.as_ref();
        let request = Request {
            call: early.map_or_else(|| progress.attempt(), |early| early.call),
            number: progress.call,
            tool: Arc::clone(&progress.tool),
            args: self.args.clone(),
            session: self.options.session.clone(),
            hold: self.options.hold.clone(),
            deadline: self.limits.call.map(|(at, _)| at),
            at: lease.since().unwrap_or_else(|| self.limits.from()),
            chain: lease.chain(&self.options.chain),
            trace: progress.trace(),
            trace_state: progress.trace_state().clone(),
            correlation: self.options.correlation.clone(),
            metadata: self.options.metadata.clone(),
        };
        self.progress.sent(self.shared, &request, &lease, bytes);
        let call = request.call;
        let future = method(Arc::clone(lease.worker()), lease.slot(), request);
        InFlight::new(lease, call, future)
    }

    /// Makes a call in a slot; if a worker gives it back, makes it elsewhere, until it has run.
    pub(super) async fn make_in(&mut self, mut lease: Box<Lease>) -> Result<Payload, Error> {
        loop {
            let mut call = self.begin(lease);
            if let Some(reply) = call.ended(&self.limits, &self.progress.tool).await? {
                call.succeed(self.progress);
                return Ok(reply);
            }
            lease = self.slot_again().await?;
        }
    }
}

impl Shared {
    /// Obtains a slot, now or from the queue. The call may wait there until the time that `until`
    /// returns, or without end.
    pub(super) async fn acquire(
        self: &Arc<Self>,
        progress: &mut Progress,
        request: &AcquireRequest<'_>,
        until: impl FnOnce() -> Option<Limit>,
    ) -> Result<Box<Lease>, Error> {
        match self.admit(request)? {
            Admitted::Now(lease) => Ok(lease),
            Admitted::Wait(waiting) => {
                progress.queued(self, request.options, waiting.queue_size());
                waiting.wait(until()).await
            }
        }
    }
}
