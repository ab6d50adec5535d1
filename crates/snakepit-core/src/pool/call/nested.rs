//! Waiting nested calls in all pools of the process: a call that would close a circle is rejected.
//!
//! A call in a slot of one pool may wait for a slot of another one, whose calls wait in turn, over
//! any number of pools. Such a call can never end if every slot that it could get belongs to a call
//! that waits in the same way. One lock orders all nested calls that may have to wait. It is taken
//! before that of any pool, and only its holder takes the locks of several pools.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use crate::call::{CallChain, PoolMark};
use crate::pool::shared::Shared;
use crate::pool::state::{PoolCore, is_stuck};
use crate::schedule::Ticket;

/// Pools in which nested calls may be waiting.
static POOLS: Mutex<Vec<Weak<Shared>>> = Mutex::new(Vec::new());

/// The right to let a nested call wait.
pub(super) struct Nesting(MutexGuard<'static, Vec<Weak<Shared>>>);

impl Nesting {
    /// Acquires the right to let a nested call wait. Blocks while another call has it.
    pub(super) fn acquire() -> Self {
        Self(POOLS.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Notes a nested call that was just put into the queue of `own`. Returns `false` if it would
    /// close a circle; it must leave the queue then.
    pub(super) fn may_wait(
        mut self,
        own: &Arc<Shared>,
        state: &mut PoolCore,
        ticket: Ticket,
        chain: &CallChain,
    ) -> bool {
        state.enter_nested(ticket, chain.clone());
        // Pools that are gone, or without waiting nested calls, are forgotten.
        let mut others = Vec::new();
        self.0.retain(|pool| {
            let Some(pool) = pool.upgrade().filter(|pool| !Arc::ptr_eq(pool, own)) else {
                return false;
            };
            let waiting = pool.lock().has_nested();
            if waiting {
                others.push(pool);
            }
            waiting
        });
        self.0.push(Arc::downgrade(own));
        let guards: Vec<_> = others
            .iter()
            .map(|pool| (&pool.mark, pool.lock()))
            .collect();
        let mut pools: Vec<(&PoolMark, &PoolCore)> = vec![(&own.mark, &*state)];
        pools.extend(guards.iter().map(|(mark, state)| (*mark, &**state)));
        let possible = !is_stuck(&pools, ticket);
        drop(guards);
        if !possible {
            state.leave_nested(ticket);
        }
        possible
    }
}
