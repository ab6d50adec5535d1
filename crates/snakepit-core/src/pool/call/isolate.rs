//! Isolation: a call that may have killed a worker that it shared is repeated with a worker for
//! itself.

use std::sync::Arc;

use tokio::time::{Instant, timeout_at};

use super::hold::Hold;
use super::journal::Progress;
use super::lease::Lease;
use super::limits::Limits;
use super::suspect::Suspect;
use crate::call::CallOptions;
use crate::error::{Error, Phase};
use crate::events::emit;
use crate::pool::Pool;
use crate::pool::shared::Shared;
use crate::pool::state::{Isolation, Outcome};
use crate::value::Payload;

/// A call that waits for a worker; counted when this is dropped.
struct Waiting {
    shared: Arc<Shared>,
    /// `None` once the call has a slot.
    outcome: Option<Outcome>,
}

impl Drop for Waiting {
    fn drop(&mut self) {
        if let Some(outcome) = self.outcome {
            self.shared.lock().record(outcome, 1);
        }
    }
}

impl Pool {
    /// Makes a call with a worker for itself. An answer clears it of suspicion.
    pub(super) async fn attempt_isolated(
        &self,
        progress: &mut Progress,
        args: Payload,
        options: &CallOptions,
        limits: &Limits,
    ) -> Result<Payload, Error> {
        let shared = self.shared();
        let suspect = Suspect::new(&progress.tool, &args, options, true);
        progress.queued(shared, options, shared.queue_size() + 1);
        let lease = shared.alone(limits).await?;
        emit!(
            shared.hub,
            CallIsolated {
                pool: shared.config.name.clone(),
                worker: lease.id().clone(),
                call: progress.call,
                tool: Arc::clone(&progress.tool),
            }
        );
        let result = self.make_in(lease, progress, args, options, limits).await;
        if matches!(result, Ok(_) | Err(Error::Tool(_))) {
            suspect.acquit(shared);
        }
        result
    }
}

impl Shared {
    fn queue_size(&self) -> usize {
        self.lock().queued()
    }

    /// Returns true if the call may be isolated: running it twice is harmless, and any worker will
    /// do. A call nested in another one would wait for its caller's own worker.
    pub(super) fn may_run_alone(&self, tool: &str, options: &CallOptions) -> bool {
        if self.slots == 1 || self.config.quarantine.is_none() {
            return false;
        }
        let affinity = options.affinity.unwrap_or(self.config.affinity);
        let bound = options.session.is_some() && affinity.is_strict();
        let nested = options.chain.depth() > 0;
        !bound && !nested && self.config.is_idempotent(tool, options)
    }

    /// Waits for a worker without other calls, as long as a call may wait in the queue.
    async fn alone(self: &Arc<Self>, limits: &Limits) -> Result<Lease, Error> {
        self.lock().await_isolation();
        let mut waiting = Waiting {
            shared: Arc::clone(self),
            outcome: Some(Outcome::Cancelled),
        };
        let (until, after) = limits.queue;
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

    /// Holds a worker, waits until its calls have ended and takes a slot. Only one worker is held
    /// at a time, so that the others serve.
    async fn empty_worker(self: &Arc<Self>) -> Result<Lease, Error> {
        let mut hold: Option<Box<Hold>> = None;
        loop {
            let mut changed = std::pin::pin!(self.changed.notified());
            changed.as_mut().enable();
            let void = |hold: &Hold| self.lock().is_hold_void(hold.key);
            if hold.as_deref().is_some_and(void) {
                // The worker is gone, or another one will be empty sooner. Dropping the hold
                // permits another.
                hold = None;
            }
            let own = hold.as_ref().map(|hold| hold.key);
            let isolation = self.lock().isolate(own);
            let Isolation {
                held,
                granted,
                effects,
            } = isolation.map_err(|why| self.unavailable(why))?;
            self.apply(effects);
            if let Some(key) = held {
                let shared = Arc::clone(self);
                hold = Some(Box::new(Hold { shared, key }));
            }
            if let Some(granted) = granted {
                let mut lease = Lease::new(Arc::clone(self), granted);
                lease.alone = hold;
                return Ok(lease);
            }
            changed.await;
        }
    }
}
