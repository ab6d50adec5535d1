//! Admission of calls to a pool: with a slot, or with a place in the queue.

use std::num::NonZeroU16;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::Instant;

use super::arrival::Arrival;
use super::lease::Lease;
use super::limits::Limits;
use super::nested::Nesting;
use super::waiting::Waiting;
use crate::call::CallOptions;
use crate::error::{Error, Phase};
use crate::events::{emit, kind};
use crate::pool::errors;
use crate::pool::event::Event;
use crate::pool::shared::Shared;
use crate::pool::state::{Admission, Load, Placement, PoolCore, Refusal};
use crate::schedule::{BINDING_LIMIT, QueueBound, SlotRequest};

/// Time after which to retry while nothing has been measured.
const UNMEASURED: Duration = Duration::from_millis(100);

/// An admission request.
pub(super) struct AcquireRequest<'a> {
    pub(super) options: &'a CallOptions,
    /// Number of calls that share the slot.
    pub(super) items: u64,
    /// Bytes of their arguments.
    pub(super) bytes: usize,
    /// Deadlines. `None` for batches and returned calls, which bypass the limits of the queue.
    pub(super) limits: Option<&'a Limits>,
    /// The call may be sent ahead of its turn.
    pub(super) ahead: bool,
    /// The call had a slot, and its worker gave it back.
    pub(super) again: bool,
}

impl<'a> AcquireRequest<'a> {
    /// Creates the request for one call of `bytes` bytes, in its turn and without deadlines.
    pub(super) const fn new(options: &'a CallOptions, bytes: usize) -> Self {
        Self {
            options,
            items: 1,
            bytes,
            limits: None,
            ahead: false,
            again: false,
        }
    }
}

/// An admitted call.
pub(super) enum Admitted {
    /// The call has a slot.
    Now(Box<Lease>),
    /// The call is in the queue.
    Wait(Waiting),
}

impl Shared {
    /// Takes a slot or a place in the queue. Every rejection is counted.
    pub(super) fn admit(self: &Arc<Self>, request: &AcquireRequest<'_>) -> Result<Admitted, Error> {
        let (options, items) = (request.options, request.items);
        // Taken before the lock of the pool, and only for nested calls.
        let (nesting, ancestors) = match options.chain.depth() {
            0 => (None, Vec::new()),
            _ => (Some(Nesting::acquire()), options.chain.slots_of(&self.mark)),
        };
        let now = request.limits.map_or_else(Instant::now, Limits::from);
        let limits = request.limits.filter(|_| self.config.reject_early);
        let admission = Admission {
            request: SlotRequest {
                affinity: options.affinity.unwrap_or(self.config.affinity),
                now: self.is_bound(options).then(Instant::now),
                ancestors: &ancestors,
                bounded: request.limits.is_some(),
                bytes: request.bytes,
                fair_key: options.fair_key.as_ref(),
                weight: options.fair_weight.map_or(1, NonZeroU16::get),
                patience: limits.map(Limits::patience),
                ahead: request.ahead,
                // The call is older than all waiting ones.
                place: request.again.then_some(0),
                ..SlotRequest::new(options.session.as_ref())
            },
            items,
            again: request.again,
            over: request.limits.and_then(Limits::over),
            now,
        };
        let mut receiver = None;
        let waiter = || {
            let (sender, waiting) = oneshot::channel();
            receiver = Some(waiting);
            sender
        };
        let may_wait = |state: &mut PoolCore, ticket| {
            nesting.is_none_or(|it| it.may_wait(self, state, ticket, &options.chain))
        };
        let mut state = self.lock();
        let answer = state.admit(admission, waiter, may_wait);
        // Counted only for a subscriber: an overloaded pool has no time to waste.
        let full = matches!(answer, Err(Refusal::Full { .. }));
        let told = full && self.hub.enabled(kind::PoolSaturated);
        let available = if told { state.available() } else { (0, 0) };
        drop(state);
        match answer {
            Ok(Placement::Granted(granted, load)) => {
                if load.is_full() {
                    self.report_capacity(load, false);
                }
                let mut lease = Lease::new(Arc::clone(self), granted);
                lease.begin(items, now);
                Ok(Admitted::Now(lease))
            }
            Ok(Placement::Queued(ticket, queued)) => {
                if queued == 1 && self.config.autoscale.is_some() {
                    self.send(Event::Waiting);
                }
                let receiver = receiver.expect("a queued call has a waiter");
                let (arrival, since) = (Arrival::new(Arc::clone(self), receiver), Instant::now());
                let waiting = Waiting::new(arrival, ticket, items, since, queued);
                Ok(Admitted::Wait(waiting))
            }
            Err(refusal) => Err(self.refuse(refusal, options, available)),
        }
    }

    /// Returns true if only one worker may serve the call: that of its session.
    pub(super) fn is_bound(&self, options: &CallOptions) -> bool {
        let affinity = options.affinity.unwrap_or(self.config.affinity);
        options.session.is_some() && affinity.is_strict()
    }

    fn report_capacity(&self, load: Load, rejected: bool) {
        emit!(
            self.hub,
            PoolCapacityReached {
                pool: self.config.name.clone(),
                capacity: load.capacity as u64,
                load: load.taken as u64,
                rejected,
            }
        );
    }

    fn saturated(
        &self,
        bound: QueueBound,
        queued: usize,
        (available, busy): (u64, u64),
        after: Option<Duration>,
    ) -> Error {
        let retry_after = after.map_or(UNMEASURED, |after| after.max(Duration::from_millis(1)));
        emit!(
            self.hub,
            PoolSaturated {
                pool: self.config.name.clone(),
                bound: bound.setting(),
                queue_size: queued as u64,
                max_queue_size: self.config.queue_limit as u64,
                available_workers: available,
                busy_workers: busy,
                retry_after_ms: u64::try_from(retry_after.as_millis()).unwrap_or(u64::MAX),
            }
        );
        Error::Saturated {
            pool: self.config.name.clone(),
            bound,
            queued,
            retry_after,
        }
    }

    /// Returns the error of a call that was not admitted. `available` are the workers with and
    /// without a free slot.
    fn refuse(&self, refusal: Refusal, options: &CallOptions, available: (u64, u64)) -> Error {
        let pool = self.config.name.clone();
        match refusal {
            Refusal::Unavailable(why) => self.unavailable(why),
            Refusal::Over(after) => self.timeout(Phase::Queue, after),
            Refusal::Full {
                bound,
                queued,
                after,
                load,
            } => {
                self.report_capacity(load, true);
                self.saturated(bound, queued, available, after)
            }
            Refusal::Lost(lost) => errors::lost(lost),
            Refusal::Busy(worker) => Error::AffinityBusy {
                session: options
                    .session
                    .clone()
                    .expect("only sessions have a worker"),
                worker,
            },
            Refusal::TooManyBindings => Error::AffinityFull {
                pool,
                limit: BINDING_LIMIT,
            },
            Refusal::Deadlock => Error::Deadlock {
                pool,
                depth: options.chain.depth(),
            },
        }
    }
}
