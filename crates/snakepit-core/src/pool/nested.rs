//! Waiting nested calls in all pools of the process: a call that would close a circle is rejected.
//!
//! A call in a slot of one pool may wait for a slot of another one, whose calls wait in turn, over
//! any number of pools. Such a call can never end if every slot that it could get belongs to a call
//! that waits in the same way. One lock orders all nested calls that may have to wait. It is taken
//! before that of any pool, and only its holder takes the locks of several pools.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use super::shared::{Shared, State};
use crate::call::{CallChain, PoolMark};
use crate::id::Slot;
use crate::schedule::{Grant, Ticket, WorkerKey};

/// Pools in which nested calls may be waiting.
static POOLS: Mutex<Vec<Weak<Shared>>> = Mutex::new(Vec::new());

/// The right to let a nested call wait.
pub(super) struct Nesting(MutexGuard<'static, Vec<Weak<Shared>>>);

/// One waiting nested call.
struct Wait {
    /// Index of its pool.
    pool: usize,
    /// The only usable worker. `None` if any will do.
    worker: Option<WorkerKey>,
    /// Slots that become free only after the call has ended.
    blocks: Vec<(usize, Grant)>,
    is_new: bool,
}

/// Slots whose calls wait for calls that can get none; counted in three ways.
#[derive(Default)]
struct Blocked {
    slots: HashMap<(usize, WorkerKey, Slot), usize>,
    workers: HashMap<(usize, WorkerKey), usize>,
    pools: HashMap<usize, usize>,
}

impl Nesting {
    /// Acquires the right, for a call that is nested in others.
    pub(super) fn of(chain: &CallChain) -> Option<Self> {
        if chain.depth() == 0 {
            return None;
        }
        let pools = POOLS.lock();
        Some(Self(pools.unwrap_or_else(PoisonError::into_inner)))
    }

    /// Notes a nested call that was just put into the queue of `own`. Returns `false` if it would
    /// close a circle; it must leave the queue then.
    pub(super) fn may_wait(
        mut self,
        own: &Arc<Shared>,
        state: &mut State,
        ticket: Ticket,
        chain: &CallChain,
    ) -> bool {
        state.nested.insert(ticket, chain.clone());
        // Pools that are gone, or without waiting nested calls, are forgotten.
        let mut others = Vec::new();
        self.0.retain(|pool| {
            let Some(pool) = pool.upgrade().filter(|pool| !Arc::ptr_eq(pool, own)) else {
                return false;
            };
            let mut state = pool.lock();
            state.forget_nested();
            let waiting = !state.nested.is_empty();
            drop(state);
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
        let mut pools: Vec<(&PoolMark, &State)> = vec![(&own.mark, &*state)];
        pools.extend(guards.iter().map(|(mark, state)| (*mark, &**state)));
        let possible = !is_stuck(&pools, ticket);
        drop(guards);
        if !possible {
            state.nested.remove(&ticket);
        }
        possible
    }
}

impl State {
    /// Forgets nested calls that no longer wait.
    fn forget_nested(&mut self) {
        let scheduler = &self.scheduler;
        self.nested
            .retain(|ticket, _| scheduler.waits_for(*ticket).is_some());
    }

    fn is_growing(&self) -> bool {
        self.scheduler.active() < self.target
    }
}

/// Returns true if the call with this ticket of the first pool would wait for ever.
fn is_stuck(pools: &[(&PoolMark, &State)], new: Ticket) -> bool {
    let mut waits = Vec::new();
    for (pool, (_, state)) in pools.iter().enumerate() {
        for (ticket, chain) in &state.nested {
            let Some(worker) = state.scheduler.waits_for(*ticket) else {
                continue;
            };
            let slots = chain.slots().filter_map(|(mark, grant)| {
                let pool = pools.iter().position(|(own, _)| Arc::ptr_eq(own, mark))?;
                let (_, state) = pools[pool];
                state.scheduler.holds(&grant).then_some((pool, grant))
            });
            let blocks = slots.collect();
            let is_new = pool == 0 && *ticket == new;
            waits.push(Wait {
                pool,
                worker,
                blocks,
                is_new,
            });
        }
    }
    let mut blocked = Blocked::default();
    for slot in waits.iter().flat_map(|wait| &wait.blocks) {
        blocked.add(*slot);
    }
    // A call that can get a slot ends some day, and frees the calls that wait for it.
    loop {
        let before = waits.len();
        waits.retain(|wait| {
            let (_, state) = pools[wait.pool];
            let slots = state.scheduler.slots_of(wait.worker);
            let growing = wait.worker.is_none() && state.is_growing();
            let stuck = slots > 0 && !growing && blocked.of(wait) == slots;
            if !stuck {
                for slot in &wait.blocks {
                    blocked.take(*slot);
                }
            }
            stuck
        });
        if waits.len() == before {
            return waits.iter().any(|wait| wait.is_new);
        }
    }
}

impl Blocked {
    fn add(&mut self, (pool, grant): (usize, Grant)) {
        let place = (pool, grant.worker, grant.slot);
        let count = self.slots.entry(place).or_default();
        *count += 1;
        if *count == 1 {
            *self.workers.entry((pool, grant.worker)).or_default() += 1;
            *self.pools.entry(pool).or_default() += 1;
        }
    }

    fn take(&mut self, (pool, grant): (usize, Grant)) {
        let place = (pool, grant.worker, grant.slot);
        let count = self.slots.entry(place).or_default();
        *count -= 1;
        if *count == 0 {
            *self.workers.entry((pool, grant.worker)).or_default() -= 1;
            *self.pools.entry(pool).or_default() -= 1;
        }
    }

    /// Number of blocked slots among those that a call could get.
    fn of(&self, wait: &Wait) -> usize {
        let count = match wait.worker {
            Some(worker) => self.workers.get(&(wait.pool, worker)),
            None => self.pools.get(&wait.pool),
        };
        count.copied().unwrap_or(0)
    }
}
