//! The last events of a host, and the last deaths of its workers.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use snakepit_core::events::{Emitted, Event, Events, Subscription};
use snakepit_core::id::PoolName;
use snakepit_core::worker::Tail;
use tracing::Level;

use super::places::Places;
use crate::{Death, WorkerReport};

/// Number of events kept.
const EVENTS: usize = 2048;

/// Number of deaths kept for each pool.
const DEATHS: usize = 16;

/// Patterns of the events that worker code names.
const CUSTOM: [&str; 2] = ["python.*", "tool.*"];

/// A callback for each death of a worker.
type OnDeath = dyn Fn(&PoolName, &Death) + Send + Sync;

/// The events of a host, without those that every call emits. Collects until it is dropped.
pub(super) struct History {
    pub(super) events: Tail<Emitted>,
    pasts: Arc<Pasts>,
    subscriptions: Vec<Subscription>,
}

type Pasts = Mutex<HashMap<PoolName, Past>>;

/// The past of a pool.
#[derive(Debug, Default)]
struct Past {
    /// The last deaths of its workers, newest first.
    deaths: VecDeque<Death>,
    places: Places,
}

impl History {
    /// Subscribes to the events of a hub. Only events of level `DEBUG` or above are subscribed to,
    /// so that the others cost nothing.
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

    /// Returns the last deaths of a pool's workers, newest first.
    pub(super) fn deaths(&self, pool: &PoolName) -> Vec<Death> {
        let pasts = self.pasts.lock().unwrap_or_else(PoisonError::into_inner);
        let past = pasts.get(pool);
        past.map_or_else(Vec::new, |past| past.deaths.iter().cloned().collect())
    }

    /// Fills in the generation and the last death of the places of a pool's workers.
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

/// Returns the pool of an event that changes which worker has which place.
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

/// Returns the pool and the death that an event reports. `None` for other events.
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
