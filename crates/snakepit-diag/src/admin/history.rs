//! The last events of a host, and the deaths of its workers among them.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use snakepit_core::events::{Emitted, Event, Events, Subscription};
use snakepit_core::{PoolName, Tail};
use tracing::Level;

use super::places::Places;
use crate::{Death, WorkerReport};

/// Events kept.
const EVENTS: usize = 2048;

/// Deaths kept of each pool.
const DEATHS: usize = 16;

/// Events under names that worker code gives.
const CUSTOM: [&str; 2] = ["python.*", "tool.*"];

/// What to do about a death besides.
type OnDeath = dyn Fn(&PoolName, &Death) + Send + Sync;

/// The events that are not part of each single call. It takes them until it is dropped.
pub(super) struct History {
    pub(super) events: Tail<Emitted>,
    pasts: Arc<Pasts>,
    subscriptions: Vec<Subscription>,
}

type Pasts = Mutex<HashMap<PoolName, Past>>;

/// The past of a pool.
#[derive(Debug, Default)]
struct Past {
    /// The last deaths of its workers, the last one first.
    deaths: VecDeque<Death>,
    places: Places,
}

impl History {
    /// Begins to take the events of a hub. It subscribes to those alone that it keeps: others cost what they cost without it.
    pub(super) fn of(hub: &Events, on_death: Box<OnDeath>) -> Self {
        let events = Tail::new(EVENTS, usize::MAX);
        let pasts: Arc<Pasts> = Arc::default();
        let (tail, kept) = (events.clone(), Arc::clone(&pasts));
        let handler = Arc::new(move |emitted: &Emitted| {
            if let Some((pool, death)) = death(emitted) {
                on_death(pool, &death);
                let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
                let past = kept.entry(pool.clone()).or_default();
                past.places.died(&death);
                past.deaths.push_front(death);
                past.deaths.truncate(DEATHS);
            } else if let Some(pool) = pool_of_place(&emitted.event) {
                let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
                let past = kept.entry(pool.clone()).or_default();
                past.places.take(&emitted.event);
            }
            tail.push(emitted.clone(), 0);
        });
        let kept = Event::CATALOGUE
            .iter()
            .filter(|info| info.level <= Level::DEBUG);
        let names = kept.map(|info| info.name).chain(CUSTOM);
        let subscriptions = names.filter_map(|name| {
            let handler = Arc::clone(&handler);
            hub.on_event(name, move |emitted| handler(emitted)).ok()
        });
        Self {
            events,
            pasts,
            subscriptions: subscriptions.collect(),
        }
    }

    /// The last deaths of a pool's workers, the last one first.
    pub(super) fn deaths(&self, pool: &PoolName) -> Vec<Death> {
        let pasts = self.pasts.lock().unwrap_or_else(PoisonError::into_inner);
        let past = pasts.get(pool);
        past.map_or_else(Vec::new, |past| past.deaths.iter().cloned().collect())
    }

    /// Fills in what is known of the places of a pool's workers.
    pub(super) fn places(&self, pool: &PoolName, workers: &mut [WorkerReport]) {
        let pasts = self.pasts.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(past) = pasts.get(pool) {
            workers
                .iter_mut()
                .for_each(|worker| past.places.show(worker));
        }
    }
}

impl Drop for History {
    fn drop(&mut self) {
        for subscription in self.subscriptions.drain(..) {
            subscription.detach();
        }
    }
}

/// The pool of an event that says which worker has whose place.
const fn pool_of_place(event: &Event) -> Option<&PoolName> {
    match event {
        Event::WorkerSpawned { pool, .. }
        | Event::WorkerRestarted { pool, .. }
        | Event::WorkerRecycled { pool, .. }
        | Event::WorkerTerminated { pool, .. }
        | Event::PoolSpareUsed { pool, .. } => Some(pool),
        _ => None,
    }
}

/// The death that an event tells of.
fn death(emitted: &Emitted) -> Option<(&PoolName, Death)> {
    let Event::WorkerCrashed {
        pool,
        worker,
        exit,
        cause,
        total_calls,
    } = &emitted.event
    else {
        return None;
    };
    let since = emitted.at.duration_since(SystemTime::UNIX_EPOCH);
    let death = Death {
        worker: worker.as_str().to_owned(),
        at: since.unwrap_or_default().as_secs_f64(),
        exit: exit.clone(),
        cause: (*cause).to_owned(),
        calls: *total_calls,
    };
    Some((pool, death))
}
