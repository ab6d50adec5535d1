//! Waiting nested calls: finds those that could only wait for each other, over several pools.

use std::collections::HashMap;
use std::sync::Arc;

use super::PoolCore;
use crate::call::{CallChain, PoolMark};
use crate::id::Slot;
use crate::schedule::{Grant, Ticket, WorkerKey};

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

impl PoolCore {
    /// Notes a nested call that waits.
    pub(crate) fn enter_nested(&mut self, ticket: Ticket, chain: CallChain) {
        self.nested.insert(ticket, chain);
    }

    /// Forgets a nested call that does not wait any more.
    pub(crate) fn leave_nested(&mut self, ticket: Ticket) {
        // Most pools have no nested calls, and the hash of the ticket takes longer than the rest.
        if !self.nested.is_empty() {
            self.nested.remove(&ticket);
        }
    }

    /// Returns true if nested calls wait, and forgets those that no longer do.
    pub(crate) fn has_nested(&mut self) -> bool {
        let scheduler = &self.scheduler;
        self.nested
            .retain(|ticket, _| scheduler.waits_for(*ticket).is_some());
        !self.nested.is_empty()
    }
}

/// Returns true if the call with this ticket of the first pool would wait for ever.
pub(crate) fn is_stuck(pools: &[(&PoolMark, &PoolCore)], new: Ticket) -> bool {
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
