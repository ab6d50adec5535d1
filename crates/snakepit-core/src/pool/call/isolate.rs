//! Isolation: a call that may have killed a worker that it shared is repeated with a worker for
//! itself.

use std::sync::Arc;

use tokio::time::{Instant, timeout_at};

use super::attempt::Attempt;
use super::blame::BlamedCall;
use super::lease::Lease;
use super::limits::Limit;
use super::reservation::Reservation;
use crate::call::CallOptions;
use crate::error::{Error, Phase};
use crate::events::emit;
use crate::pool::shared::Shared;
use crate::pool::state::{Isolation, Outcome};
use crate::value::Payload;

/// A call that waits for a worker; counted when this is dropped.
struct IsolationWait {
    shared: Arc<Shared>,
    /// `None` once the call has a slot.
    outcome: Option<Outcome>,
}

impl Drop for IsolationWait {
    fn drop(&mut self) {
        if let Some(outcome) = self.outcome {
            self.shared.lock().record(outcome, 1);
        }
    }
}

impl Attempt<'_> {
    /// Makes a call with a worker for itself. An answer clears it of blame.
    pub(super) async fn isolated(&mut self) -> Result<Payload, Error> {
        let shared = self.shared;
        let blamed = BlamedCall::new(&self.progress.tool, &self.args, self.options, true);
        let queue_size = shared.lock().queued() + 1;
        self.progress.queued(shared, self.options, queue_size);
        let lease = shared.isolate(self.limits.queue).await?;
        emit!(
            shared.hub,
            CallIsolated {
                pool: shared.config.name.clone(),
                worker: lease.id().clone(),
                call: self.progress.call,
                tool: Arc::clone(&self.progress.tool),
            }
        );
        let result = self.make_in(lease).await;
        if matches!(result, Ok(_) | Err(Error::Tool(_))) {
            blamed.acquit(shared);
        }
        result
    }
}

impl Shared {
    /// Returns true if the call may be isolated: running it twice is harmless, and any worker will
    /// do. A call nested in another one would wait for its caller's own worker.
    pub(super) fn may_isolate(&self, tool: &str, options: &CallOptions) -> bool {
        if self.slots == 1 || self.config.quarantine.is_none() {
            return false;
        }
        let nested = options.chain.depth() > 0;
        !self.is_bound(options) && !nested && self.config.is_idempotent(tool, options)
    }

    /// Waits for a worker without other calls, as long as a call may wait in the queue.
    async fn isolate(self: &Arc<Self>, (until, after): Limit) -> Result<Box<Lease>, Error> {
        self.lock().await_isolation();
        let mut waiting = IsolationWait {
            shared: Arc::clone(self),
            outcome: Some(Outcome::Cancelled),
        };
        match timeout_at(until, self.empty_worker()).await {
            Ok(Ok(mut lease)) => {
                waiting.outcome = None;
                let now = Instant::now();
                lease.begin(1, now);
                self.lock().started(lease.grant(), now);
                Ok(lease)
            }
            Ok(Err(error)) => {
                waiting.outcome = Some(Outcome::Error);
                Err(error)
            }
            Err(_) => {
                waiting.outcome = Some(Outcome::QueueTimeout);
                Err(self.timeout(Phase::Queue, after))
            }
        }
    }

    /// Reserves a worker, waits until its calls have ended and takes a slot. Only one worker is
    /// reserved at a time, so that the others serve.
    async fn empty_worker(self: &Arc<Self>) -> Result<Box<Lease>, Error> {
        let mut reservation: Option<Box<Reservation>> = None;
        loop {
            let mut changed = std::pin::pin!(self.changed.notified());
            changed.as_mut().enable();
            let void = |own: &Reservation| self.lock().is_reservation_void(own.key);
            if reservation.as_deref().is_some_and(void) {
                // The worker is gone, or another one will be empty sooner. Dropping the reservation
                // permits another.
                reservation = None;
            }
            let own = reservation.as_ref().map(|own| own.key);
            let isolation = self.lock().isolate(own);
            let Isolation {
                reserved,
                granted,
                effects,
            } = isolation.map_err(|why| self.unavailable(why))?;
            self.apply(effects);
            if let Some(key) = reserved {
                let shared = Arc::clone(self);
                reservation = Some(Box::new(Reservation { shared, key }));
            }
            if let Some(granted) = granted {
                let mut lease = Lease::new(Arc::clone(self), granted);
                lease.reservation = reservation;
                return Ok(lease);
            }
            changed.await;
        }
    }
}
